"""Builds the compiled kernel; everything else about the package stands in pyproject.toml."""

from __future__ import annotations

import os
import shutil
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from glob import glob
from typing import Any

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

KERNEL = "src/slipstream/kernel"
BENCH = "src/slipstream/bench"

# Python is built with assertions off; -UNDEBUG keeps ours on.
COMPILE = ["-std=c++20", "-O2", "-g1", "-Wall", "-Wno-unused-function", "-fvisibility=hidden"]
COMPILE += ["-UNDEBUG"]

COMPILERS_MAX = 8  # at the same time; about 500 MB each


def require_compiler() -> None:
    """Fails with one sentence where setuptools would print a page of tracebacks."""
    chosen = os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "g++"
    names = [chosen.split()[0], "c++", "g++", "clang++"]
    if not any(shutil.which(name) for name in names):
        raise SystemExit(
            "slipstream needs a C++20 compiler to build its kernel: "
            "install one (Debian: apt-get install g++) and run the command again."
        )


class build_ext_in_parallel(build_ext):
    """Compiles an extension's sources side by side; setuptools only does so with extensions."""

    def build_extensions(self) -> None:
        compile_sources = self.compiler.compile

        def compile_side_by_side(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(min(os.cpu_count() or 1, COMPILERS_MAX)) as pool:
                compiled = pool.map(lambda source: compile_sources([source], **options), sources)
                return [name for names in compiled for name in names]

        self.compiler.compile = compile_side_by_side
        super().build_extensions()


def extension(module: str, folder: str, pyx: str) -> Extension:
    return Extension(
        module,
        # What Cython generates takes the longest, so it comes first.
        sources=[pyx, *sorted(glob(f"{folder}/src/**/*.cpp", recursive=True))],
        depends=[
            *glob(f"{KERNEL}/src/**/*.hpp", recursive=True),
            *glob(f"{folder}/*.px[id]"),
            *glob(f"{folder}/src/*.hpp"),
        ],
        include_dirs=[f"{KERNEL}/src"],
        extra_compile_args=COMPILE,
        extra_link_args=["-pthread"],
        language="c++",
    )


require_compiler()
setup(
    cmdclass={"build_ext": build_ext_in_parallel},
    ext_modules=cythonize(
        [
            extension("slipstream.kernel._kernel", KERNEL, f"{KERNEL}/_kernel.pyx"),
            extension("slipstream.bench._load", BENCH, f"{BENCH}/_load.pyx"),
        ],
        language_level=3,
        compiler_directives={"embedsignature": False, "boundscheck": False, "wraparound": False},
    ),
)
