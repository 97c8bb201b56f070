"""The JSON schemas of nats-io/jsm.go, which say what clients' tools check for. They are not part of
this repository: put them beside it as ../shared/jetstream-schemas or name their folder in
JETSTREAM_SCHEMAS.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from slipstream.protocol.errors import ERROR_TABLE

_BESIDE = Path(__file__).parents[3] / "shared" / "jetstream-schemas"
SCHEMAS = Path(os.environ.get("JETSTREAM_SCHEMAS", _BESIDE))
_PREFIX = "io.nats.jetstream."

_ERROR_FIELDS = {"code", "err_code", "description"}
# nats-server sends a number here.
_KNOWN_SCHEMA_FAULTS = {
    ("nak", "8 is not of type 'string'"),
    ("terminated", "8 is not of type 'string'"),
}


@cache
def validator(type_: str) -> jsonschema.Draft7Validator:
    path = SCHEMAS / "jetstream" / Path(*type_.removeprefix(_PREFIX).split("."))
    return jsonschema.Draft7Validator(json.loads(path.with_suffix(".json").read_text()))


def faults(answer: dict[str, Any]) -> list[str]:
    if "error" in answer:
        # The schemas' oneOf refuses the empty fields that nats-server shows beside an error.
        error = answer["error"]
        known = ERROR_TABLE[error["err_code"]].code == error["code"]
        return [] if known and error.keys() == _ERROR_FIELDS else [f"{answer}"]
    return [
        f"{answer['type']} {'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in validator(answer["type"]).iter_errors(answer)
        if (answer["type"].rsplit(".", 1)[1], error.message) not in _KNOWN_SCHEMA_FAULTS
    ]
