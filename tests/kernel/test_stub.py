"""Goal: the typed face of the compiled kernel says what the kernel offers, and all of it.

Method: the stub is read with `ast` and held against the compiled module: names of functions,
classes, methods, properties and constants in both directions; names, kinds and defaults of
parameters; members of enumerations. A compiled class does not tell how it is made, so the
parameters of constructors are read from the binding's text.
"""

from __future__ import annotations

import ast
import inspect
import re
from enum import IntEnum
from typing import Any, NamedTuple

import pytest

from declarations import KERNEL, binding
from slipstream.kernel import _kernel

STUB = ast.parse((KERNEL / "_kernel.pyi").read_text())
Definition = ast.FunctionDef | ast.ClassDef
DEFINED = {node.name: node for node in STUB.body if isinstance(node, Definition)}
CONSTANTS = {
    node.target.id
    for node in STUB.body
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
}
CLASSES = [node for node in DEFINED.values() if isinstance(node, ast.ClassDef)]
ANY = object()  # the stub says that there is a default, and not which


class Parameter(NamedTuple):
    name: str
    kind: Any
    default: Any = inspect.Parameter.empty


def test_functions_classes_and_constants() -> None:
    own = {
        name
        for name, value in vars(_kernel).items()
        if not name.startswith("_")
        and (
            getattr(value, "__module__", "") == _kernel.__name__
            or isinstance(value, (int, str, bytes))
        )
    }
    assert own == set(DEFINED) | CONSTANTS


@pytest.mark.parametrize(
    "function", [node for node in DEFINED.values() if isinstance(node, ast.FunctionDef)],
    ids=lambda node: node.name,
)  # fmt: skip
def test_parameters_of_functions(function: ast.FunctionDef) -> None:
    compare(declared(function), offered(getattr(_kernel, function.name)))


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_members_of_classes(node: ast.ClassDef) -> None:
    compiled = getattr(_kernel, node.name)
    if issubclass(compiled, IntEnum):
        written = {
            entry.targets[0].id: entry.value.value
            for entry in node.body
            if isinstance(entry, ast.Assign)
            and isinstance(entry.targets[0], ast.Name)
            and isinstance(entry.value, ast.Constant)
        }
        assert written == {member.name: member.value for member in compiled}
        return
    named = {method.name for method in methods(node)}
    members = {name for name in vars(compiled) if not name.startswith("_")}
    assert {name for name in named if not name.startswith("_")} == members
    assert all(hasattr(compiled, name) for name in named)


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_parameters_of_methods(node: ast.ClassDef) -> None:
    compiled = getattr(_kernel, node.name)
    for method in methods(node):
        if method.name.startswith("__"):
            continue
        member = inspect.getattr_static(compiled, method.name)
        decorators = {d.id for d in method.decorator_list if isinstance(d, ast.Name)}
        assert inspect.isgetsetdescriptor(member) == ("property" in decorators), method.name
        assert isinstance(member, staticmethod) == ("staticmethod" in decorators), method.name
        if "property" not in decorators:
            compare(declared(method), offered(getattr(compiled, method.name)), method.name)


@pytest.mark.parametrize("node", CLASSES, ids=lambda node: node.name)
def test_parameters_of_constructors(node: ast.ClassDef) -> None:
    written = [method for method in methods(node) if method.name == "__init__"]
    text = re.search(
        rf"^cdef class {node.name}\b[^\n]*:$(?:(?!^\S).)*?^    def __c?init__\((.*?)\):$",
        binding(),
        re.MULTILINE | re.DOTALL,
    )
    taken = bound(text[1]) if text else []
    compare(declared(written[0]) if written else [Parameter("self", POSITIONAL)], taken or SELF)


# ---------------------------------------------------------------- signatures

POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD = inspect.Parameter.KEYWORD_ONLY
REST = inspect.Parameter.VAR_KEYWORD
SELF = [Parameter("self", POSITIONAL)]


def compare(stub: list[Parameter], compiled: list[Parameter], where: str = "") -> None:
    assert [p[:2] for p in stub] == [p[:2] for p in compiled], where
    for said, real in zip(stub, compiled, strict=True):
        if said.default is ANY:
            assert real.default is not inspect.Parameter.empty, (where, said.name)
        else:
            assert said.default == real.default, (where, said.name)


def methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [entry for entry in node.body if isinstance(entry, ast.FunctionDef)]


def declared(function: ast.FunctionDef) -> list[Parameter]:
    arguments = function.args
    assert not arguments.posonlyargs
    assert arguments.vararg is None
    found: list[Parameter] = []
    missing = len(arguments.args) - len(arguments.defaults)
    defaults = [None] * missing + arguments.defaults
    for argument, default in zip(arguments.args, defaults, strict=True):
        found.append(Parameter(argument.arg, POSITIONAL, value_of(default)))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append(Parameter(argument.arg, KEYWORD, value_of(default)))
    if arguments.kwarg is not None:
        found.append(Parameter(arguments.kwarg.arg, REST))
    return found


def value_of(default: ast.expr | None) -> Any:
    if default is None:
        return inspect.Parameter.empty
    value = ast.literal_eval(default)
    return ANY if value is ... else value


def offered(function: Any) -> list[Parameter]:
    return [
        Parameter(p.name, p.kind, p.default)
        for p in inspect.signature(function).parameters.values()
    ]


def bound(text: str) -> list[Parameter]:
    """The parameters of a function in Cython."""
    kind, found = POSITIONAL, []
    for part in text.replace("\n", " ").split(","):
        written, has_default, default = part.strip().partition("=")
        if written == "*":
            kind = KEYWORD
        elif written.startswith("**"):
            found.append(Parameter(written[2:], REST))
        else:
            name = written.removesuffix(" not None").split()[-1]
            value = literal(default) if has_default else inspect.Parameter.empty
            found.append(Parameter(name, kind, value))
    return found


def literal(text: str) -> Any:
    """A default of the binding; what is no literal (`16 << 20`) is for the stub a `...`."""
    try:
        return ast.literal_eval(text.strip().replace("true", "True").replace("false", "False"))
    except ValueError:
        return text
