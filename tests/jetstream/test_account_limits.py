"""Goal: limits of an account, plain and by tier, and the advisory of an overloaded API.

Method: requests to the API over the fake kernel.
"""

from __future__ import annotations

import json
from typing import Any

from conversation import Conversation
from slipstream.jetstream.limits import AccountLimits, TieredLimits
from slipstream.kernel.events import RequestQueue, RequestsDroppedEvent


def create(talk: Conversation, name: str, **config: Any) -> dict[str, Any]:
    body = json.dumps({"name": name, "subjects": [name], **config}).encode()
    answer = talk.request_raw(f"STREAM.CREATE.{name}", body)
    assert answer is not None
    found: dict[str, Any] = json.loads(answer)
    return found


def test_limits_of_the_tier_count() -> None:  # S-240, S-242
    tiers = {"R1": AccountLimits(max_streams=1, max_store=100), "R3": AccountLimits(max_streams=5)}
    talk = Conversation(account_limits=TieredLimits(tiers))
    assert create(talk, "A", max_bytes=101)["error"]["err_code"] == 10047
    assert "error" not in create(talk, "A", max_bytes=60)
    assert create(talk, "B")["error"]["err_code"] == 10027

    answer = talk.request_raw("INFO")
    assert answer is not None
    shown = json.loads(answer)
    assert shown["limits"]["max_streams"] == 0
    assert shown["tiers"]["R1"]["streams"] == 1
    assert shown["tiers"]["R1"]["reserved_storage"] == 60
    assert shown["tiers"]["R1"]["limits"]["max_storage"] == 100
    assert shown["tiers"]["R3"]["streams"] == 0


def test_without_a_tier_there_is_nothing() -> None:  # S-240
    talk = Conversation(account_limits=TieredLimits({"R3": AccountLimits()}))
    error = create(talk, "A")["error"]
    assert error["err_code"] == 10120
    assert error["description"] == "no JetStream default or applicable tiered limit present"


def test_dropped_requests_are_announced() -> None:  # S-109, S-257
    talk = Conversation()
    talk.kernel.subscriptions.add(b"$JS.EVENT.>")
    talk.api.handle(RequestsDroppedEvent(12, RequestQueue.API), talk.kernel.now_ns)
    (event,) = talk.kernel.take_published()
    assert event.subject == b"$JS.EVENT.ADVISORY.API.LIMIT_REACHED"
    fields = json.loads(event.body)
    assert fields["type"] == "io.nats.jetstream.advisory.v1.api_limit_reached"
    assert (fields["server"], fields["dropped"]) == ("ORACLE", 12)
