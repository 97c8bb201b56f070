"""What the server calls those that the model names: ids of pins are random (C-096)."""

from __future__ import annotations

import json
import re
from typing import Any

PIN_ID_CHARACTERS = 22
_NAME = re.compile(rb"Nats-Pin-Id: (pin-[^\r]+)")
_ID = re.compile(rb"Nats-Pin-Id: ([^\r]+)")


class PinNames:
    """Of one life of a server: an id is learned from the first message that is like the expected
    one but for its id, and must be a new one.
    """

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}  # by the model's name

    def named(self, said: Any) -> Any:
        """What the model says, as the server does."""
        text = json.dumps(said)
        for name, id_ in self._ids.items():
            text = text.replace(json.dumps(name), json.dumps(id_))
        return json.loads(text)

    def learn(self, wanted: bytes, got: bytes) -> bytes:
        """The header that was wanted, with the server's id in it."""
        named, found = _NAME.search(wanted), _ID.search(got)
        if named is None:
            return wanted
        name = named[1].decode()
        if name not in self._ids and found is not None:
            self._learn(name, found[1].decode(), wanted.replace(named[1], found[1]) == got)
        return wanted.replace(named[1], self._ids.get(name, name).encode())

    def _learn(self, name: str, id_: str, is_like_it: bool) -> None:
        if is_like_it and len(id_) == PIN_ID_CHARACTERS and id_ not in self._ids.values():
            self._ids[name] = id_
