"""Goal: the kernel's subject transforms do what their readable twin says.

Method: a table of examples of every mapping function runs on the compiled class and on the twin;
then random sources, destinations and subjects of few tokens, so that they often fit, go to both:
the same transforms exist, and they give the same subjects. tests/differential holds the twin
against nats-server.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.kernel import _kernel
from slipstream.protocol import subject_transform as twin

DRAWN = 7

EXAMPLES: list[tuple[bytes, bytes, bytes, bytes | None]] = [
    # source, destination, subject, result  # S-031
    (b"a.*", b"b.{{wildcard(1)}}", b"a.x", b"b.x"),
    (b"a.*.*", b"b.$2.$1", b"a.x.y", b"b.y.x"),
    (b"a.*", b"b.{{ Wildcard( 1 ) }}", b"a.x", b"b.x"),
    (b"a.*", b"b.$0.$-3", b"a.x", b"b.a.a"),
    (b"a.*", b"b.$x", b"a.x", b"b.$x"),
    (b"a.*", b"b", b"c.x", None),
    (b"a.*", b"b", b"a.*", None),
    (b"a.*", b"b", b"a..", None),
    (b"a.>", b"b.>", b"a.x.y", b"b.x.y"),
    (b"a.*.>", b"b.>", b"a.x.y.z", b"b.y.z"),
    (b">", b"b.>", b"a.x", b"b.a.x"),
    (b"", b"b.>", b"a.x", b"b.a.x"),
    (b">", b">", b"a.x", b"a.x"),
    (b"a.>", b">", b"a.x.y", b"x.y"),
    (b"a", b"b", b"a", b"b"),
    (b"*", b"{{partition(10,1)}}", b"foo", b"3"),
    (b"*.*", b"{{partition(5,1,2)}}", b"foo.bar", b"0"),
    (b"*.*", b"{{partition(0,1)}}", b"foo.bar", b"0"),
    (b"foo", b"{{partition(3)}}", b"foo", b"0"),
    (b"*", b"{{random(5)}}", b"x", b"2"),
    (b"*", b"{{random(0)}}", b"x", b"0"),
    (b"*", b"{{split(1,-)}}", b"a-b--c-", b"a.b.c"),
    (b"*", b"{{split(1,-)}}", b"-a", b"a"),
    (b"*", b"{{split(1,-)}}", b"--a", b".a"),
    (b"*", b"{{split(1,)}}", "aöb".encode(), "a.ö.b".encode()),
    (b"*", b"{{splitfromleft(1,2)}}", b"abcde", b"ab.cde"),
    (b"*", b"{{SplitFromRight(1,2)}}", b"abcde", b"abc.de"),
    (b"*", b"{{splitFromLeft(1,5)}}", b"abcde", b"abcde"),
    (b"*", b"{{slicefromleft(1,2)}}", b"abcde", b"ab.cd.e"),
    (b"*", b"{{slicefromright(1,2)}}", b"abcde", b"a.bc.de"),
    (b"*", b"{{slicefromright(1,-1)}}", b"abcde", b"abcde"),
    (b"*", b"{{left(1,2)}}", b"abcde", b"ab"),
    (b"*", b"{{right(1,2)}}", b"abcde", b"de"),
]

FAULTS = [
    (b"a", b"b.*", "invalid subject"),
    (b"a.>", b"b", "invalid subject"),
    (b"a..b", b"b", "invalid subject"),
    (b"a", b"b\nMSG forged 1 0", "invalid subject"),
    (b"a.*", b"{{ wildcard(1) }}.b c", "invalid subject"),
    (b"a.*", b"$1.$x\t", "invalid subject"),
    (b"*", b"$2", "invalid mapping destination: wildcard index out of range in $2: [2]"),
    (b"a", b"$1", "invalid mapping destination: wildcard index out of range in $1"),
    (b"*", b"{{nothing(1)}}", "invalid mapping destination: unknown function in {{nothing(1)}}"),
    (
        b"*",
        b"{{wildcard()}}",
        "invalid mapping destination: not enough arguments passed to the function"
        " in {{wildcard()}}",
    ),
    (
        b"*",
        b"{{wildcard(1,2)}}",
        "invalid mapping destination: too many arguments passed to the function"
        " in {{wildcard(1,2)}}",
    ),
    (
        b"*",
        b"{{left(1,x)}}",
        "invalid mapping destination: function argument is invalid or in the wrong format"
        " in {{left(1,x)}}",
    ),
]


def result(module: Any, source: bytes, destination: bytes, subject: bytes) -> object:
    try:
        transform = module.SubjectTransform(source, destination)
    except ValueError:
        return "no such transform"
    drawn = DRAWN if module is _kernel else lambda: DRAWN
    return transform.transform(subject, drawn)


@pytest.mark.parametrize("module", [twin, _kernel], ids=["twin", "compiled"])
@pytest.mark.parametrize(("source", "destination", "subject", "expected"), EXAMPLES)
def test_examples(module, source, destination, subject, expected):
    assert result(module, source, destination, subject) == expected


@pytest.mark.parametrize(("source", "destination", "text"), FAULTS)
def test_what_is_none_says_why(source, destination, text):
    with pytest.raises(twin.TransformError) as caught:
        twin.SubjectTransform(source, destination)
    assert str(caught.value) == text
    with pytest.raises(ValueError, match="no such transform"):
        _kernel.SubjectTransform(source, destination)


# Pieces that make valid calls likely, and broken ones possible.
_NAMES = st.sampled_from([*twin._NAMES, "wildcard", "splitfromleft", "nothing", "w ildcard"])
_ARGUMENTS = st.sampled_from(["1", "2", "-1", "0", "3", " 1 ", "+2", "", "x", "-", "2147483648"])
_CALLS = st.builds(
    lambda name, blank, arguments, gap: f"{{{{{blank}{name}({gap.join(arguments)}){blank}}}}}",
    _NAMES,
    st.sampled_from(["", "", " ", "\t", "\n"]),
    st.lists(_ARGUMENTS, min_size=0, max_size=3),
    st.sampled_from([",", ", "]),
)
_TOKENS = st.sampled_from(["a", "b", "*", ">", "", "$1", "$2", "$", "ab-cd", "--é", "x.y"])
_SOURCES = st.lists(st.sampled_from(["a", "*", "*", ">", "b"]), min_size=1, max_size=4)
_LITERALS = st.lists(
    st.sampled_from(["a", "b", "abcde", "a-b--c", "--x", "é😀ü", "*", ""]), min_size=1, max_size=5
)


def _join(tokens: list[str]) -> bytes:
    return ".".join(tokens).encode()


@given(
    _SOURCES.map(_join),
    st.lists(_TOKENS | _CALLS, min_size=1, max_size=4).map(_join),
    _LITERALS.map(_join),
)
def test_twins_agree(source, destination, subject):
    expected = result(twin, source, destination, subject)
    assert result(_kernel, source, destination, subject) == expected


@given(
    st.binary(max_size=6).filter(lambda token: b"." not in token and token not in (b"", b">", b"*"))
)
def test_twins_agree_on_bytes_that_are_no_text(token):
    for call in (b"{{split(1,)}}", b"{{slicefromright(1,2)}}"):
        assert result(_kernel, b"*", call, token) == result(twin, b"*", call, token)
