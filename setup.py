"""Builds the compiled kernel; everything else about the package stands in pyproject.toml."""

from __future__ import annotations

import shutil
import sysconfig
from glob import glob

from Cython.Build import cythonize
from setuptools import Extension, setup

KERNEL = "src/slipstream/kernel"
BENCH = "src/slipstream/bench"

# Python is built with assertions off; -UNDEBUG keeps ours on.
COMPILE = ["-std=c++20", "-O2", "-g1", "-Wall", "-Wno-unused-function", "-fvisibility=hidden"]
COMPILE += ["-UNDEBUG"]


def require_compiler() -> None:
    """Fails with one sentence where setuptools would print a page of tracebacks."""
    compiler = (sysconfig.get_config_var("CXX") or "g++").split()[0]
    if not any(shutil.which(name) for name in (compiler, "c++", "g++", "clang++")):
        raise SystemExit(
            "slipstream needs a C++20 compiler to build its kernel: "
            "install one (Debian: apt-get install g++) and run the command again."
        )


def extension(module: str, folder: str, pyx: str) -> Extension:
    return Extension(
        module,
        sources=[pyx, *sorted(glob(f"{folder}/src/*.cpp"))],
        depends=[*glob(f"{KERNEL}/src/*.hpp"), *glob(f"{folder}/*.px[id]"), *glob(f"{folder}/src/*.hpp")],
        include_dirs=[f"{KERNEL}/src"],
        extra_compile_args=COMPILE,
        extra_link_args=["-pthread"],
        language="c++",
    )


require_compiler()
setup(
    ext_modules=cythonize(
        [
            extension("slipstream.kernel._kernel", KERNEL, f"{KERNEL}/_kernel.pyx"),
            extension("slipstream.bench._load", BENCH, f"{BENCH}/_load.pyx"),
        ],
        language_level=3,
        compiler_directives={"embedsignature": False, "boundscheck": False, "wraparound": False},
    )
)
