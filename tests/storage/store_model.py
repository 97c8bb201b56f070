"""What a message store is, as a dict: the model that the compiled one is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Message:
    time_ns: int
    subject: bytes
    header: bytes
    body: bytes


def subject_matches(pattern: bytes, subject: bytes) -> bool:
    """NATS wildcards: `*` is one token, a last `>` is one or more."""
    wanted, tokens = pattern.split(b"."), subject.split(b".")
    if wanted[-1] == b">":
        wanted = wanted[:-1]
        if len(tokens) <= len(wanted):
            return False
        tokens = tokens[: len(wanted)]
    return len(wanted) == len(tokens) and all(
        w in (b"*", t) for w, t in zip(wanted, tokens, strict=True)
    )


@dataclass
class StoreModel:
    memory: bool
    live: dict[int, Message] = field(default_factory=dict)
    last_seq: int = 0
    last_time_ns: int = 0
    empty_first: int = 0

    def append(self, seq: int, message: Message) -> None:
        assert seq > self.last_seq
        self.live[seq] = message
        self.last_seq, self.last_time_ns = seq, message.time_ns

    def remove(self, seq: int) -> bool:
        if seq not in self.live:
            return False
        del self.live[seq]
        self._note_empty()
        return True

    def remove_below(self, seq: int) -> int:
        gone = [s for s in self.live if s < seq]
        for s in gone:
            del self.live[s]
        if gone:
            self._note_empty()
        return len(gone)

    def _note_empty(self) -> None:
        if not self.live:
            self.empty_first = self.last_seq + 1

    def set_sequences(self, first: int, last: int, time_ns: int) -> None:
        self.empty_first, self.last_seq, self.last_time_ns = first, last, time_ns

    @property
    def first_seq(self) -> int:
        return min(self.live, default=self.empty_first)

    def size(self, message: Message) -> int:
        subject, header, body = len(message.subject), len(message.header), len(message.body)
        if self.memory:
            return subject + header + body + 16
        return 22 + subject + (4 + header if header else 0) + body + 8

    def bytes(self) -> int:
        return sum(self.size(m) for m in self.live.values())

    def on_subject(self, subject: bytes) -> list[int]:
        return [s for s in sorted(self.live) if self.live[s].subject == subject]

    def subjects(self) -> set[bytes]:
        return {m.subject for m in self.live.values()}

    def next_live(self, seq: int) -> int:
        if seq == 0:  # behind the last of all
            return 0
        return min((s for s in self.live if s >= seq), default=0)

    def previous_live(self, seq: int) -> int:
        return max((s for s in self.live if s <= seq), default=0)

    def live_above(self, seq: int) -> int:
        return sum(s > seq for s in self.live)

    def next_on_subject(self, subject: bytes, seq: int) -> int:
        if seq == 0:
            return 0
        return min((s for s in self.on_subject(subject) if s >= seq), default=0)

    def first_at_or_after(self, time_ns: int) -> int:
        later = (s for s, m in self.live.items() if m.time_ns >= time_ns)
        return min(later, default=self.last_seq + 1)
