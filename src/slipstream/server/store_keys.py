"""The keys of an encrypted store: made, sealed with the configuration's key, and opened again.

What encrypts the files are *data keys*, drawn once and kept in the store itself, in the file
`slipstream.keys`, each sealed (XChaCha20-Poly1305) with a key that Argon2id (RFC 9106) derives from
the configuration's `key`. So another `key` seals them anew and no file changes; another `cipher`
adds a data key, and the server writes its files anew with it while it runs.

Without that file nothing in the store can be read, so it has a copy, `slipstream.keys.copy`: where
the file is damaged or missing the copy opens the store, and each start makes both the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from slipstream.kernel import StoreError
from slipstream.kernel._kernel import (
    OPEN_CREATE,
    OPEN_READ,
    OPEN_TRUNCATE,
    OPEN_WRITE,
    Disk,
    KeyRing,
)
from slipstream.kernel.values import StoreCipher, StoreKey, StoreKeys

KEYS_FILE = "slipstream.keys"
KEYS_COPY = KEYS_FILE + ".copy"
_FORMAT = 1
_UNKNOWN = "has an unknown format"
_SECRET_BYTES = 32
_SALT_BYTES = 16
_NONCE_BYTES = 24
_TAG_BYTES = 16

CIPHERS: Mapping[str, StoreCipher] = {
    "chacha": StoreCipher.CHACHA20_POLY1305,
    "aes": StoreCipher.AES256_GCM,
}
"""By their names in a configuration."""

SHOWN: Mapping[StoreCipher, str] = {
    StoreCipher.CHACHA20_POLY1305: "ChaCha20-Poly1305",
    StoreCipher.AES256_GCM: "AES-GCM",
}


@dataclass(frozen=True)
class Passphrases:
    """What the configuration says; empty texts are not set."""

    key: str = ""
    previous_key: str = ""
    cipher: StoreCipher = StoreCipher.CHACHA20_POLY1305


Random = Callable[[int], bytes]
"""So many unpredictable bytes."""


def unlock(disk: Disk, passphrases: Passphrases, random: Random) -> StoreKeys | None:
    """The keys of the store on `disk`; None when it is not encrypted and is not to be.

    Makes or changes the file where that is called for, durably. Raises StoreError when the store
    is encrypted and the configuration's keys do not open it; nothing is changed then.
    """
    texts = {name: text for name in (KEYS_FILE, KEYS_COPY) if (text := _text(disk, name))}
    if not texts:
        if not passphrases.key:
            return None
        _refuse_lost(disk)
        drawn = StoreKeys((StoreKey(1, passphrases.cipher, random(_SECRET_BYTES)),), 1)
        _refuse_unusable(drawn)
        _write(disk, drawn, passphrases.key, random)
        return drawn
    if not passphrases.key:
        raise StoreError(
            f"the store is encrypted (it has a file {next(iter(texts))!r}): "
            "the jetstream block of the configuration needs its 'key'"
        )
    name, keys, current = _open_one(texts, passphrases)
    changed = _with_cipher(keys, passphrases.cipher, random)
    _refuse_unusable(changed)
    if changed is not keys or not current:
        _write(disk, changed, passphrases.key, random)
    elif len(set(texts.values())) > 1 or len(texts) == 1:
        for other in {KEYS_FILE, KEYS_COPY} - {name}:
            _write_file(disk, other, texts[name])
    return changed


def _open_one(texts: Mapping[str, bytes], passphrases: Passphrases) -> tuple[str, StoreKeys, bool]:
    """The first file that opens: its name, its keys, and whether with the key of now."""
    fault = ""
    sealed = False
    for name, text in texts.items():
        content = _content(text)
        if isinstance(content, str):
            fault = fault or f"the file {name!r} of the store {content}"
            if content == _UNKNOWN and not _nearly_the_same(texts):
                raise StoreError(fault)  # of a later version, perhaps
            continue
        sealed = True
        for passphrase in filter(None, (passphrases.key, passphrases.previous_key)):
            if keys := _open(content, passphrase):
                return name, keys, passphrase == passphrases.key
    if fault and not sealed:
        raise StoreError(fault)
    raise StoreError(
        "the store is encrypted and neither 'key' nor 'prev_key' of the configuration opens "
        "it; it was left untouched"
        if passphrases.previous_key
        else "the store is encrypted and the configuration's 'key' does not open it; "
        "it was left untouched. After a change of the key, 'prev_key' has to name the old one"
    )


def _nearly_the_same(texts: Mapping[str, bytes]) -> bool:
    """Whether one is a damaged copy of the other."""
    if len(texts) < 2:
        return False
    first, second = texts.values()
    differing = sum(a != b for a, b in zip(first, second, strict=False))
    return len(first) == len(second) and differing == 1


def _refuse_lost(disk: Disk) -> None:
    """New keys would open nothing of a store that has a journal under older ones."""
    try:
        names = [name for name in disk.list("journal") if name.endswith(".journal")]
    except FileNotFoundError:
        return
    for name in names:
        handle = disk.open(f"journal/{name}", OPEN_READ)
        try:
            head = disk.pread(handle, 52, 0)  # journal_format.hpp
        finally:
            disk.close(handle)
        if head[8:12] == b"\2\0\0\0" and any(head[48:52]):
            raise StoreError(
                f"the store is encrypted and its file {KEYS_FILE!r} is missing; "
                "it was left untouched"
            )


def _refuse_unusable(keys: StoreKeys) -> None:
    try:
        KeyRing(keys)
    except ValueError as error:
        raise StoreError(str(error)) from None


def _with_cipher(keys: StoreKeys, cipher: StoreCipher, random: Random) -> StoreKeys:
    """With a current key of that cipher. Older keys stay: files may need them."""
    current = next(key for key in keys.keys if key.number == keys.current)
    if current.cipher is cipher:
        return keys
    added = StoreKey(max(key.number for key in keys.keys) + 1, cipher, random(_SECRET_BYTES))
    return StoreKeys((*keys.keys, added), added.number)


def _sealing_key(passphrase: str, derivation: Mapping[str, Any]) -> bytes:
    from nacl.pwhash import argon2id  # only an encrypted store needs libsodium

    return bytes(
        argon2id.kdf(
            _SECRET_BYTES,
            passphrase.encode(),
            bytes.fromhex(derivation["salt"]),
            opslimit=derivation["operations"],
            memlimit=derivation["memory"],
        )
    )


def _context(number: int, cipher: int) -> bytes:
    return f"slipstream store key {number} {cipher}".encode()


def _open(content: Mapping[str, Any], passphrase: str) -> StoreKeys | None:
    """None: it was sealed with another passphrase, or is damaged."""
    from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt
    from nacl.exceptions import CryptoError

    sealing_key = _sealing_key(passphrase, content["derivation"])
    keys = []
    try:
        for row in content["keys"]:
            number, cipher = row["number"], StoreCipher(row["cipher"])
            secret = decrypt(
                bytes.fromhex(row["sealed"]),
                _context(number, cipher),
                bytes.fromhex(row["nonce"]),
                sealing_key,
            )
            keys.append(StoreKey(number, cipher, secret))
    except CryptoError:
        return None
    return StoreKeys(tuple(keys), content["current"])


def _seal(keys: StoreKeys, passphrase: str, random: Random) -> dict[str, Any]:
    from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as encrypt
    from nacl.pwhash import argon2id

    derivation = {
        "function": "argon2id",
        "salt": random(_SALT_BYTES).hex(),
        "operations": argon2id.OPSLIMIT_INTERACTIVE,
        "memory": argon2id.MEMLIMIT_INTERACTIVE,
    }
    sealing_key = _sealing_key(passphrase, derivation)
    rows = []
    for key in keys.keys:
        nonce = random(_NONCE_BYTES)
        sealed = encrypt(key.secret, _context(key.number, key.cipher), nonce, sealing_key)
        rows.append(
            {
                "number": key.number,
                "cipher": int(key.cipher),
                "nonce": nonce.hex(),
                "sealed": sealed.hex(),
            }
        )
    return {"format": _FORMAT, "derivation": derivation, "keys": rows, "current": keys.current}


def _text(disk: Disk, name: str) -> bytes:
    """Empty when there is no such file."""
    try:
        handle = disk.open(name, OPEN_READ)
    except FileNotFoundError:
        return b""
    try:
        return disk.pread(handle, disk.size(handle), 0) or b"\0"
    finally:
        disk.close(handle)


def _content(text: bytes) -> Mapping[str, Any] | str:
    """What a file of keys says, or what is wrong with it."""
    try:
        content = json.loads(text)
        if content["format"] != _FORMAT:
            return _UNKNOWN
        whole = _is_whole(content)
    except (ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        return (
            "is damaged; it was left untouched. Nothing of the store can be read without it: "
            "put it back from a backup of the store"
        )
    assert isinstance(content, dict)
    return content


def _is_whole(content: Mapping[str, Any]) -> bool:
    """Whether everything is there and has its size; what is sealed shows only when it is opened.

    Raises ValueError, KeyError, TypeError or AttributeError for something of another type.
    """
    from nacl.pwhash import argon2id

    derivation, rows = content["derivation"], content["keys"]
    numbers = [row["number"] for row in rows]
    return (
        derivation["function"] == "argon2id"
        and len(bytes.fromhex(derivation["salt"])) == _SALT_BYTES
        and argon2id.OPSLIMIT_MIN <= derivation["operations"] <= argon2id.OPSLIMIT_SENSITIVE
        and argon2id.MEMLIMIT_MIN <= derivation["memory"] <= argon2id.MEMLIMIT_SENSITIVE
        and all(type(number) is int and 0 < number < 1 << 32 for number in numbers)
        and len(set(numbers)) == len(numbers)
        and content["current"] in numbers
        and all(StoreCipher(row["cipher"]) for row in rows)
        and all(len(bytes.fromhex(row["nonce"])) == _NONCE_BYTES for row in rows)
        and all(len(bytes.fromhex(row["sealed"])) == _SECRET_BYTES + _TAG_BYTES for row in rows)
    )


def _write(disk: Disk, keys: StoreKeys, passphrase: str, random: Random) -> None:
    """Both files, durable before anything is encrypted with the keys."""
    text = json.dumps(_seal(keys, passphrase, random), indent=1).encode()
    for name in (KEYS_FILE, KEYS_COPY):
        _write_file(disk, name, text)


def _write_file(disk: Disk, name: str, text: bytes) -> None:
    """Whole or not at all."""
    unfinished = name + ".new"
    handle = disk.open(unfinished, OPEN_WRITE | OPEN_CREATE | OPEN_TRUNCATE)
    try:
        disk.pwrite(handle, text, 0)
        disk.sync(handle)
    finally:
        disk.close(handle)
    disk.rename(unfinished, name)
    disk.sync_folder("")
