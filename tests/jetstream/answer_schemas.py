"""The JSON schemas of nats-io/jsm.go, which say what clients' tools check for. They are not part of
this repository: put them beside it as ../shared/jetstream-schemas or name their folder in
JETSTREAM_SCHEMAS.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from jsonschema.exceptions import best_match

from slipstream.protocol.errors import ERROR_TABLE

_BESIDE = Path(__file__).parents[3] / "shared" / "jetstream-schemas"
SCHEMAS = Path(os.environ.get("JETSTREAM_SCHEMAS", _BESIDE))
_PREFIX = "io.nats.jetstream."
_TYPED = b'"type":"io.nats.jetstream.'

_ERROR_FIELDS = {"code", "err_code", "description"}
# Where nats-server is not what its schemas say; ours is as nats-server.
_KNOWN = (
    ("nak|terminated", r"\d+ is not of type 'string'"),
    ("consumer_group_(un)?pinned", "'server' is a required property"),
    ("snapshot_create", "'(blocks|block_size)' is a required property|.*'state' was unexpected.*"),
    ("stream_batch_abandoned", "'unsupported' is not one of .*"),
    # Of consumer_limits.
    ("stream_(create|update|info)_response", "-1 is less than the minimum of 0"),
    ("stream_create_response", ".*'mirror': {'name': ''.*"),
)


@cache
def validator(type_: str) -> jsonschema.Draft7Validator:
    path = SCHEMAS / "jetstream" / Path(*type_.removeprefix(_PREFIX).split("."))
    return jsonschema.Draft7Validator(json.loads(path.with_suffix(".json").read_text()))


def check_answer(text: bytes) -> None:
    """What a server said, if it is an answer, an advisory or an event of JetStream."""
    if _TYPED in text and SCHEMAS.is_dir():
        found = faults(json.loads(text))
        assert not found, found


def faults(answer: dict[str, Any]) -> list[str]:
    if "error" in answer:
        # The schemas' oneOf refuses the empty fields that nats-server shows beside an error.
        error = answer["error"]
        known = ERROR_TABLE[error["err_code"]].code == error["code"]
        return [] if known and error.keys() == _ERROR_FIELDS else [f"{answer}"]
    found = []
    kind = answer["type"].rsplit(".", 1)[1]
    for error in validator(answer["type"]).iter_errors(answer):
        deepest = best_match([error])
        if not any(
            re.fullmatch(of, kind) and re.fullmatch(known, deepest.message) for of, known in _KNOWN
        ):
            place = "/".join(map(str, deepest.absolute_path))
            found.append(f"{answer['type']} {place}: {deepest.message[:300]}")
    return found
