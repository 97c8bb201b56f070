"""A damaged segment's file, made one that a start accepts: whatever of it is whole stays where it
is, and zeros take the place of the rest, so that the messages there are known to be lost.

The formats are described in segment.cpp and framed_file.hpp of the kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from slipstream.kernel._kernel import crc32c

HEAD_BYTES = 64
FRAME_HEAD_BYTES = 12
FRAME_BYTES_MAX = 64 << 10
SEAL_BYTES = 28  # nonce and tag (cipher.hpp)
COMPRESSED = 1 << 31
PLAIN, FRAMED = 1, 2
MISSING_BYTES = 17 << 20  # of a file whose size nobody knows; a start cuts off what is too much


def repaired_segment(content: bytes, base: int, size: int) -> bytes:
    """`content` of the file that begins with sequence `base`; `size`: of the segment's bytes, as
    its stream's snapshot has it; 0 where that is not known.
    """
    head = _mended(content[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"), _head_is_whole)
    if head is None or head[8:12] == struct.pack("<I", PLAIN):
        plain = head or _plain_head(base)
        wanted = size or (0 if content else MISSING_BYTES)
        return plain + content[HEAD_BYTES:].ljust(max(wanted - HEAD_BYTES, 0), b"\0")
    encrypted = any(head[24:28])
    return head + _repaired_frames(content[HEAD_BYTES:], max(size - HEAD_BYTES, 0), encrypted)


def has_whole_head(content: bytes) -> bool:
    return _head_is_whole(content[:HEAD_BYTES])


def _head_is_whole(head: bytes) -> bool:
    (checksum,) = struct.unpack("<I", head[-4:])
    return head[:8] == b"SLIPSEG1" and checksum == crc32c(head[:-4])


def _plain_head(base: int) -> bytes:
    head = b"SLIPSEG1" + struct.pack("<I4xQ36x", PLAIN, base)
    return head + struct.pack("<I", crc32c(head))


def _mended(piece: bytes, is_whole: Callable[[bytes], bool]) -> bytes | None:
    """As it is, or with the one bit put right that its checksum points at."""
    if is_whole(piece):
        return piece
    for bit in range(len(piece) * 8):
        changed = bytearray(piece)
        changed[bit // 8] ^= 1 << bit % 8
        if is_whole(bytes(changed)):
            return bytes(changed)
    return None


def _frame_at(frames: bytes, at: int, head: bytes | None = None) -> bytes:
    """The whole frame there; empty if there is none. `head`: instead of the one that is there."""
    head = head or frames[at : at + FRAME_HEAD_BYTES]
    if len(head) < FRAME_HEAD_BYTES:
        return b""
    word, stored, checksum = struct.unpack("<III", head)
    content = frames[at + FRAME_HEAD_BYTES : at + FRAME_HEAD_BYTES + stored]
    fits = 0 < word & ~COMPRESSED <= FRAME_BYTES_MAX and stored <= FRAME_BYTES_MAX + SEAL_BYTES
    whole = fits and len(content) == stored and checksum == crc32c(head[:8] + content)
    return head + content if whole else b""


def _length(frame: bytes) -> int:
    return int(struct.unpack("<I", frame[:4])[0] & ~COMPRESSED)


def _chain(frames: bytes, at: int) -> list[bytes]:
    """The whole frames that follow on each other from there."""
    chain = []
    while frame := _frame_at(frames, at):
        chain.append(frame)
        at += len(frame)
    return chain


def _lost_frames(length: int, encrypted: bool) -> bytes:
    """Frames for so many bytes of the segment; what is in them is no record."""
    out = b""
    while length:
        piece = min(length, FRAME_BYTES_MAX)
        stored = bytes(piece + (SEAL_BYTES if encrypted else 0))
        words = struct.pack("<II", piece, len(stored))
        out += words + struct.pack("<I", crc32c(words + stored)) + stored
        length -= piece
    return out


def _repaired_frames(frames: bytes, size: int, encrypted: bool) -> bytes:
    out, at, length = b"", 0, 0
    while at < len(frames) and (not size or length < size):
        frame = _frame_at(frames, at) or _mended_frame(frames, at)
        if frame:
            at += len(frame)
        else:
            frame, behind = _damaged_frame(frames, at, encrypted)
            if not frame:
                return out + _behind_a_gap(frames, at, size - length, encrypted)
            at = behind
        out += frame
        length += _length(frame)
    return out + _lost_frames(max(size - length, 0), encrypted)


def _mended_frame(frames: bytes, at: int) -> bytes:
    head = frames[at : at + FRAME_HEAD_BYTES]
    mended = _mended(head, lambda candidate: bool(_frame_at(frames, at, candidate)))
    return _frame_at(frames, at, mended) if mended else b""


def _damaged_frame(frames: bytes, at: int, encrypted: bool) -> tuple[bytes, int]:
    """One whose head says where the next one is, and is right: zeros for it, and where that is."""
    head = frames[at : at + FRAME_HEAD_BYTES]
    if len(head) < FRAME_HEAD_BYTES:
        return b"", at
    word, stored, _ = struct.unpack("<III", head)
    length, behind = word & ~COMPRESSED, at + FRAME_HEAD_BYTES + stored
    follows = behind == len(frames) or _frame_at(frames, behind)
    if not 0 < length <= FRAME_BYTES_MAX or not follows:
        return b"", at
    return _lost_frames(length, encrypted), behind


def _behind_a_gap(frames: bytes, at: int, left: int, encrypted: bool) -> bytes:
    """`left` bytes of the segment: lost ones, then the whole frames up to the end of the file."""
    for start in range(at + 1, len(frames) - FRAME_HEAD_BYTES):
        chain = _chain(frames, start)
        if not chain:
            continue
        lost = left - sum(map(_length, chain))
        if lost > 0 and start + sum(map(len, chain)) == len(frames):
            return _lost_frames(lost, encrypted) + b"".join(chain)
        break
    return _lost_frames(max(left, 0), encrypted)
