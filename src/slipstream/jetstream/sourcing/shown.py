"""Mirrors and sources as STREAM.INFO shows them (S-066, S-067)."""

from __future__ import annotations

from typing import Any

import msgspec

from slipstream.gotext.objects import to_json
from slipstream.jetstream.sourcing.link import Link


def shown_links(links: list[Link], now_ns: int) -> dict[str, Any]:
    """The fields of a stream's description; none when it has neither mirror nor sources."""
    if not links:
        return {}
    shown = [shown_link(link, now_ns) for link in links]
    return {"mirror": shown[0]} if links[0].is_mirror else {"sources": shown}


def shown_link(link: Link, now_ns: int) -> dict[str, Any]:
    source, status = link.source, link.status
    shown: dict[str, Any] = {"name": source.name}
    if source.external is not None:
        shown["external"] = to_json(source.external)
    shown["lag"] = status.lag if status is not None else 0
    if not link.is_mirror and link.origin_seq:
        shown["seq"] = link.origin_seq
    # The kernel's turn may be ahead of the time at which this request began.
    shown["active"] = max(0, now_ns - status.seen_ns) if status is not None else -1
    if link.error is not None:
        shown["error"] = msgspec.to_builtins(link.error)
    # nats-server knows a mirror's filter only when it asks the origin.
    if source.filter_subject and (link.asked or not link.is_mirror):
        shown["filter_subject"] = source.filter_subject
    if source.subject_transforms:
        shown["subject_transforms"] = [to_json(t) for t in source.subject_transforms]
    return shown
