"""The system services that every account has, against nats-server's answers (K-175, K-176)."""

from __future__ import annotations

import json

import nats
import pytest

from wire import StartBoth, shape

CONFIG = """
server_name: n, server_tags: [x], server_metadata { k: v }
authorization { users: [{user: a, password: b}] }
"""


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("$SYS.REQ.USER.INFO", b""),
        ("$SYS.REQ.ACCOUNT.PING.CONNZ", b""),
        ("$SYS.REQ.ACCOUNT.PING.CONNZ", b'{"limit":1,"auth":true,"subscriptions_detail":true}'),
        ("$SYS.REQ.SERVER.PING.CONNZ", b'{"state":1}'),
        ("$SYS.REQ.ACCOUNT.PING.STATZ", b""),
    ],
)
async def test_answers_have_the_same_shape(subject: str, body: bytes, both: StartBoth) -> None:
    answers = []
    for place in both(CONFIG):
        client = await nats.connect(place.url, user="a", password="b")
        answer = await client.request(subject, body)
        answers.append(json.loads(answer.data))
        await client.close()
    ours, theirs = answers
    theirs["server"].pop("feature_flags")
    assert list(ours["server"]) == list(theirs["server"])
    assert shape(ours["server"]) == shape(theirs["server"])
    assert list(ours["data"]) == list(theirs["data"])
    for page in (ours["data"], theirs["data"]):
        for connection in page.get("connections", []):
            connection.pop("rtt", None)  # only after an answered PING
    assert shape(ours["data"]) == shape(theirs["data"])


async def test_who_am_i(both: StartBoth) -> None:
    for place in both(CONFIG):
        client = await nats.connect(place.url, user="a", password="b")
        answer = json.loads((await client.request("$SYS.REQ.USER.INFO")).data)
        assert answer["data"] == {"user": "a", "account": "$G", "account_name": "$G"}
        await client.close()


async def test_a_wrong_request_is_answered_with_an_error(both: StartBoth) -> None:
    for place in both(CONFIG):
        client = await nats.connect(place.url, user="a", password="b")
        answer = json.loads(
            (await client.request("$SYS.REQ.ACCOUNT.PING.CONNZ", b'{"limit":"x"}')).data
        )
        assert answer["error"]["code"] == 400
        assert "data" not in answer
        await client.close()


async def test_connections_by_the_subject_they_listen_to(both: StartBoth) -> None:
    for place in both(CONFIG):
        clients = [
            await nats.connect(place.url, user="a", password="b", name=name) for name in "xyz"
        ]
        for client, subject in zip(clients, ("a.b", "a.*", "c"), strict=True):
            await client.subscribe(subject)
            await client.flush()
        request = b'{"filter_subject":"a.b"}'
        reply = await clients[2].request("$SYS.REQ.ACCOUNT.PING.CONNZ", request)
        found = json.loads(reply.data)["data"]["connections"]
        assert [connection["name"] for connection in found] == ["x", "y"]
        for client in clients:
            await client.close()


@pytest.mark.parametrize("request_body", [b'{"sort":"nope"}', b'{"sort":"stop"}'])
async def test_wrong_options_are_answered_alike(request_body: bytes, both: StartBoth) -> None:
    errors = []
    for place in both(CONFIG):
        client = await nats.connect(place.url, user="a", password="b")
        reply = await client.request("$SYS.REQ.ACCOUNT.PING.CONNZ", request_body)
        errors.append(json.loads(reply.data).get("error"))
        await client.close()
    assert errors[0] == errors[1]


async def test_services_of_the_system_account_are_nobodys(both: StartBoth) -> None:
    for place in both(CONFIG):
        client = await nats.connect(place.url, user="a", password="b")
        with pytest.raises(nats.errors.NoRespondersError):
            await client.request("$SYS.REQ.SERVER.PING.VARZ")
        await client.close()
