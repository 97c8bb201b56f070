"""Goal: no two types of the kernel share a name.

Two types of one name in one namespace break C++'s one-definition rule without a word from the
compiler: the linker keeps one std::vector<Entry> for both, and destroys one kind as the other. It
happened (a segment's entry and a log's entry), and only the sanitized build told.

Method: the names of the types that are defined outside unnamed namespaces, from the sources' text.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src/slipstream/kernel/src"
DEFINITION = re.compile(
    r"^(?:struct|class|enum class) (\w+)(?: final)?(?: : [^{;()]*)?\s*\{", re.MULTILINE
)
UNNAMED = re.compile(r"^namespace \{$.*?^\}  // namespace$", re.MULTILINE | re.DOTALL)


def test_type_names_are_unique() -> None:
    counts: Counter[str] = Counter()
    for path in sorted([*SOURCES.rglob("*.hpp"), *SOURCES.rglob("*.cpp")]):
        counts.update(DEFINITION.findall(UNNAMED.sub("", path.read_text())))
    assert counts["Stream"] == 1, "the pattern finds definitions"
    assert [name for name, n in counts.items() if n > 1] == []
