"""The monitoring port against nats-server's: the same keys in the same order with the same types,
the same errors byte for byte.

Method: both servers get the same stream, consumer and clients; then each page is asked of both.
What we leave out or add is listed here.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import nats
import pytest

from raw_client import wait_until
from slipstream.testing import server
from wire import Place, StartBoth, get, shape

CONFIG = """
server_name: n, server_tags: [a, "b:c"], server_metadata { k: v }
authorization { users: [{user: a, password: b}] }, max_subs: 100
jetstream { limits { max_ack_pending: 5000 } }
"""
COUNTERS = ("in_msgs", "in_bytes", "out_msgs", "out_bytes")
LEFT_OUT = {"git_commit", "feature_flags"}


async def fill(place: Place) -> list[nats.NATS]:
    first = await nats.connect(place.url, name="first", user="a", password="b")
    second = await nats.connect(place.url, name="second", user="a", password="b")
    await first.subscribe("x.>")
    await first.subscribe("x.>", queue="q")
    await second.publish("x.y", b"hello")
    await second.flush()
    stream = first.jetstream()
    await stream.add_stream(name="S", subjects=["s.*"])
    await stream.publish("s.a", b"x")
    await stream.add_consumer("S", durable_name="D", ack_policy="explicit")
    return [first, second]


def keys(value: Any) -> list[str]:
    """In their order; Go's encoder keeps that of the fields."""
    return list(value)


def has_round_trips(url: str) -> bool:
    """A server pings some seconds after a connect; from then on /connz shows the round trip."""
    return all("rtt" in client for client in get(url, "/connz").json["connections"])


async def test_pages_have_the_same_shape(both: StartBoth) -> None:  # K-203..K-212
    places = both(CONFIG)
    clients = [client for place in places for client in await fill(place)]
    for place in places:
        timed = partial(has_round_trips, place.monitoring_url)
        await asyncio.to_thread(wait_until, timed, "round trips")
    for path in (
        "/connz", "/connz?auth=1", "/connz?subs=detail&sort=subs&limit=1", "/connz?cid=999",
        "/connz?acc=NO", "/connz?state=all&offset=1", "/connz?user=a&auth=true", "/connz?user=zz",
        "/jsz", "/jsz?acc=$G", "/jsz?consumers=1&config=1", "/jsz?streams=true", "/jsz?acc=NO",
        "/healthz", "/routez", "/leafz", "/gatewayz", "/accstatz",
    ):  # fmt: skip
        ours, theirs = (get(place.monitoring_url, path) for place in places)
        assert (ours.status, ours.headers["Content-Type"]) == (200, "application/json")
        assert theirs.status == 200
        assert without_unknown(shape(ours.json)) == without_unknown(shape(theirs.json)), path
        assert keys(ours.json) == keys(theirs.json), path
    for client in clients:
        await client.close()


def without_unknown(found: Any) -> Any:
    """Without what differs for a reason: our limits' names, levels of the API, how a sync is done,
    and the round trip of a client that has not answered a PING yet.
    """
    unlike = {"limits", "metadata", "rtt", "config", "consumer_detail"}
    if isinstance(found, dict):
        return {key: without_unknown(value) for key, value in found.items() if key not in unlike}
    return [without_unknown(value) for value in found] if isinstance(found, list) else found


async def test_varz(both: StartBoth) -> None:  # K-231
    places = both(CONFIG)
    clients = [client for place in places for client in await fill(place)]
    ours, theirs = (get(place.monitoring_url, "/varz").json for place in places)
    expected = [key for key in theirs if key not in LEFT_OUT]
    assert keys(ours) == [*expected, "slipstream"]
    for key in expected:
        if key != "jetstream":
            assert shape(ours[key]) == shape(theirs[key]), key
    for key in ("server_name", "version", "proto", "host", "auth_required", "max_connections",
                "max_subscriptions", "ping_interval", "ping_max", "auth_timeout", "max_payload",
                "max_control_line", "max_pending", "write_deadline", "connections", "tags",
                "total_connections", "metadata", "http_port", "system_account",
                "tls_timeout"):  # fmt: skip
        assert ours[key] == theirs[key], key
    assert keys(ours["jetstream"]) == keys(theirs["jetstream"])
    assert keys(ours["jetstream"]["stats"]) == keys(theirs["jetstream"]["stats"])
    assert ours["jetstream"]["config"] | {"sync_interval": 0} == {
        "max_memory": theirs["jetstream"]["config"]["max_memory"],
        "max_storage": ours["jetstream"]["config"]["max_storage"],
        "store_dir": ours["jetstream"]["config"]["store_dir"],
        "sync_always": True, "sync_interval": 0, "strict": True,
    }  # fmt: skip
    limits = ours["jetstream"]["limits"]
    assert limits == {"max_ack_pending": 5000, "default_max_consumers": 1000}
    assert limits == theirs["jetstream"]["limits"]
    own = ours["slipstream"]
    assert own["turns"] > 0
    assert own["python_steps"] > 0
    assert own["store"]["durability"] == "every acknowledged message is synced"
    for client in clients:
        await client.close()


async def test_closed_connections(both: StartBoth) -> None:  # K-222
    places = both("")
    for place in places:
        for name in ("one", "two"):
            await (await nats.connect(place.url, name=name)).close()
    for path in ("/connz?state=closed", "/connz?state=closed&sort=stop&limit=1",
                 "/connz?state=closed&sort=reason"):  # fmt: skip
        ours, theirs = (get(place.monitoring_url, path).json for place in places)
        assert without_unknown(shape(ours)) == without_unknown(shape(theirs)), path
        names = [[one["name"] for one in page["connections"]] for page in (ours, theirs)]
        assert names[0] == names[1], path
        reasons = {one["reason"] for one in ours["connections"]}
        assert reasons <= {"Client Closed", "Read Error"}  # the latter when bytes were under way


@pytest.mark.parametrize(
    "path",
    [
        "/nope", "/varz/", "/foo/bar", "/connz?limit=x", "/connz?offset=1.5", "/connz?cid=-1",
        "/connz?auth=maybe", "/connz?subs=maybe", "/connz?state=nope", "/connz?sort=nope",
        "/connz?sort=stop", "/connz?sort=reason&state=all", "/jsz?streams=x", "/jsz?limit=x",
        "/jsz?config=2", "/subsz?test=a.*", "/subsz?subs=x", "/subsz?limit=x",
        "/healthz?js-enabled-only=x", "/healthz?stream=x", "/healthz?consumer=x&account=$G",
        "/healthz?stream=x&details=1", "/healthz?account=NO", "/healthz?account=NO&details=true",
    ],
)  # fmt: skip
def test_errors_are_those_of_nats_server(path: str, pages: tuple[Place, Place]) -> None:  # K-216
    ours, theirs = (get(place.monitoring_url, path) for place in pages)
    assert (ours.status, ours.body) == (theirs.status, theirs.body)
    assert ours.headers["Content-Type"] == theirs.headers["Content-Type"]
    assert ours.headers.get("Access-Control-Allow-Origin") == theirs.headers.get(
        "Access-Control-Allow-Origin"
    )


@pytest.fixture
def pages(both: StartBoth) -> tuple[Place, Place]:
    return both("")


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "DELETE"])
def test_every_method_is_a_get(method: str, pages: tuple[Place, Place]) -> None:
    ours, theirs = (get(place.monitoring_url, "/healthz", method) for place in pages)
    assert (ours.status, ours.body) == (theirs.status, theirs.body)


def test_bodies_are_indented_by_two_blanks_except_healthz(pages: tuple[Place, Place]) -> None:
    for place in pages:  # K-218
        body = get(place.monitoring_url, "/routez").body.decode()
        assert body == json.dumps(json.loads(body), indent=2)
        assert get(place.monitoring_url, "/healthz").body == b'{"status":"ok"}'


async def test_subsz_finds_what_matches() -> None:  # K-208
    with server(http_port=-1) as ours:
        client = await nats.connect(ours.url)
        for subject in ("a.b", "a.*", "b.>", "a.b.c"):
            await client.subscribe(subject)
        await client.subscribe("a.>", queue="q")
        await client.flush()
        url = ours.monitoring_url
        found = get(url, "/subsz?subs=1&test=a.b").json
        assert found["total"] == 3
        assert sorted(one["subject"] for one in found["subscriptions_list"]) == [
            "a.*",
            "a.>",
            "a.b",
        ]
        assert [one["qgroup"] for one in found["subscriptions_list"] if "qgroup" in one] == ["q"]
        page = get(url, "/subsz?subs=1&acc=$G&limit=2&offset=1").json
        assert (len(page["subscriptions_list"]), page["offset"], page["limit"]) == (2, 1, 2)
        assert "subscriptions_list" not in get(url, "/subsz").json
        assert get(url, "/subsz?acc=NO&subs=1").json["num_subscriptions"] == 0
        await client.close()


async def test_connz_sorts_and_pages() -> None:  # K-204
    with server(http_port=-1) as ours:
        clients = [await nats.connect(ours.url, name=str(number)) for number in range(5)]
        for number, client in enumerate(clients):
            for _ in range(number):
                await client.publish("x", b"y" * (10 - number))
                await client.subscribe("z")
            await client.flush()
        url = ours.monitoring_url

        def names(query: str) -> str:
            return "".join(one["name"] for one in get(url, f"/connz?{query}").json["connections"])

        assert names("sort=cid") == names("sort=start") == names("") == "01234"
        assert names("sort=subs") == names("sort=msgs_from") == "43210"
        assert names("sort=uptime") == "43210"
        for query, newest_first in (("sort=last", True), ("sort=idle", False)):
            page = get(url, f"/connz?{query}").json["connections"]
            times = [one["last_activity"].removesuffix("Z").ljust(30, "0") for one in page]
            assert times == sorted(times, reverse=newest_first), query  # the server pings meanwhile
        assert names("sort=subs&limit=2&offset=1") == "32"
        assert names("offset=9") == ""
        for client in clients:
            await client.close()


COUNTERS = ("in_msgs", "in_bytes", "out_msgs", "out_bytes")


async def test_counters_count(pages: tuple[Place, Place]) -> None:
    expected = [7, 35, 7, 35]
    for place in pages:
        client = await nats.connect(place.url)
        await client.subscribe("a")
        for _ in range(7):
            await client.publish("a", b"12345")
        await client.flush()

        def counted(url: str = place.monitoring_url) -> list[int]:
            page = get(url, "/varz").json
            return [page[name] for name in COUNTERS]

        # Both add up when a read is done.
        wait_until(lambda: counted() == expected, "all is counted")
        await client.flush()
        assert counted() == expected
        await client.close()


def test_requests_are_counted(pages: tuple[Place, Place]) -> None:
    for place in pages:
        get(place.monitoring_url, "/connz?limit=x")
        get(place.monitoring_url, "/nope")
        get(place.monitoring_url, "/varz")
        requests = get(place.monitoring_url, "/varz").json["http_req_stats"]
        assert requests["/varz"] == 2


def test_the_base_path_prefixes_every_page() -> None:
    with server("http_base_path: /mon", http_port=-1) as ours:
        assert get(ours.monitoring_url, "/mon/varz").status == 200
        assert get(ours.monitoring_url, "/varz").status == 404
        assert b"Slipstream" in get(ours.monitoring_url, "/mon").body


async def test_healthz_of_streams_and_consumers(both: StartBoth) -> None:  # K-217
    places = both("authorization { users: [{user: a, password: b}] }")
    clients = [client for place in places for client in await fill(place)]
    for query in (
        "stream=S", "stream=S&consumer=D", "stream=X", "stream=X&details=1", "stream=X&consumer=D",
        "stream=S&consumer=X", "stream=S&consumer=X&details=1",
    ):  # fmt: skip
        path = f"/healthz?account=$G&{query}"
        ours, theirs = (get(place.monitoring_url, path) for place in places)
        assert (ours.status, ours.body) == (theirs.status, theirs.body), path
    for client in clients:
        await client.close()
