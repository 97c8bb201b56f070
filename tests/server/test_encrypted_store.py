"""An encrypted store from a user's view: the configuration's key, its change, its loss, another
cipher, and that nothing readable is on the disk.

Method: servers in this process over one store, one after the other; their files are searched for
what was published. What happens in crashes is in tests/crash/test_crash_points.py.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raw_client import RawClient, wait_until
from slipstream.cli import verify
from slipstream.cli.store_folder import Outcome
from slipstream.config.load import load
from slipstream.config.source import ConfigError
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import Loss, RealDisk, SimDisk
from slipstream.kernel.values import StoreCipher
from slipstream.server.errors import StartError
from slipstream.server.store_keys import KEYS_COPY, KEYS_FILE, Passphrases, unlock
from slipstream.testing import EmbeddedServer, server

SECRET = b"the recipe of the house"


@contextmanager
def running(store: Path, settings: str = "") -> Iterator[EmbeddedServer]:
    with server(f"jetstream {{ store_dir: '{store}', {settings} }}") as started:
        yield started


class Asker(RawClient):
    """Asks, one request after the other; answers are one line of JSON."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.send(b"SUB answer 1\r\n")

    def ask(self, subject: str, body: object = b"") -> dict[str, Any]:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.publish(subject.encode(), text, b"answer")
        self.until(b"MSG answer 1 ")
        self.line()
        found: dict[str, Any] = json.loads(self.line())
        return found


def fill(started: EmbeddedServer, messages: int = 50) -> None:
    with Asker(started.port) as client:
        created = client.ask(
            "$JS.API.STREAM.CREATE.RECIPES",
            {"name": "RECIPES", "subjects": ["recipes.>"], "description": SECRET.decode()},
        )
        assert "error" not in created, created
        for number in range(messages):
            assert client.ask(f"recipes.{number}", SECRET * 40)["seq"] == number + 1


def check(started: EmbeddedServer, messages: int = 50) -> None:
    with Asker(started.port) as client:
        info = client.ask("$JS.API.STREAM.INFO.RECIPES")
        assert info["state"]["messages"] == messages
        assert info["config"]["description"] == SECRET.decode()
        found = client.ask("$JS.API.STREAM.MSG.GET.RECIPES", {"seq": 7})
        assert base64.b64decode(found["message"]["data"]) == SECRET * 40


def readable(store: Path, text: bytes = SECRET) -> list[str]:
    return [str(p) for p in store.rglob("*") if p.is_file() and text in p.read_bytes()]


def key_numbers(store: Path) -> set[int]:
    """Which keys the segments need."""
    heads = [path.read_bytes()[:64] for path in store.rglob("*.segment")]
    return {int.from_bytes(head[24:28], "little") for head in heads}


@pytest.mark.parametrize("cipher", ["chacha", "aes"])
def test_nothing_readable_is_on_the_disk(tmp_path: Path, cipher: str) -> None:
    settings = f"key: 'open sesame', cipher: {cipher}"
    with running(tmp_path, settings) as started:
        fill(started)
        started.server.kernel.checkpoint()
        check(started)
    assert not readable(tmp_path)
    assert not readable(tmp_path, b"recipes.")
    with running(tmp_path, settings) as started:
        check(started)


def test_a_store_becomes_encrypted_and_its_old_files_go(tmp_path: Path) -> None:
    with running(tmp_path) as started:
        fill(started)
    assert readable(tmp_path)
    with running(tmp_path, "key: k1") as started:
        wait_until(lambda: not readable(tmp_path), "nothing readable is left")
        check(started)


def test_files_of_a_deleted_stream_go_with_the_next_start(tmp_path: Path) -> None:
    """A crash came between the checkpoint that no longer names them and their end."""
    with running(tmp_path) as started:
        fill(started)
        folders = started.server.store_path / "streams"
    [folder] = folders.iterdir()
    shutil.copytree(folder, tmp_path / "kept")
    with running(tmp_path) as started, Asker(started.port) as client:
        assert client.ask("$JS.API.STREAM.DELETE.RECIPES")["success"]
        wait_until(lambda: not folder.exists(), "the stream's files are gone")
    shutil.copytree(tmp_path / "kept", folder)
    unknown = folders / "00000000000000ff"  # no stream ever had this number
    (tmp_path / "kept").rename(unknown)
    with running(tmp_path, "key: k1"):
        wait_until(lambda: not folder.exists(), "what was left of the stream is gone")
    assert list(unknown.iterdir())


def test_another_cipher_writes_the_files_anew(tmp_path: Path) -> None:
    with running(tmp_path, "key: k1, cipher: chacha") as started:
        fill(started)
    assert key_numbers(tmp_path) == {1}
    with running(tmp_path, "key: k1, cipher: aes") as started:
        wait_until(lambda: key_numbers(tmp_path) == {2}, "the new key is used")
        check(started)


def test_another_key_needs_the_previous_one_once(tmp_path: Path) -> None:
    with running(tmp_path, "key: k1") as started:
        fill(started)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.segment")}
    for settings in ("key: k2", "key: k2, prev_key: wrong"):
        with pytest.raises(StartError, match="left untouched"), running(tmp_path, settings):
            pass
    with running(tmp_path, "key: k2, prev_key: k1") as started:
        check(started)
    with running(tmp_path, "key: k2") as started:
        check(started)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*.segment")} == before
    with pytest.raises(StartError, match="does not open it"), running(tmp_path, "key: k1"):
        pass


def test_an_encrypted_store_without_a_key_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "key: k1") as started:
        fill(started, 8)
    with pytest.raises(StartError, match="needs its 'key'"), running(tmp_path):
        pass
    with running(tmp_path, "key: k1") as started:
        check(started, 8)


def test_verify_reads_an_encrypted_store_with_its_configuration(tmp_path: Path) -> None:
    store, config = tmp_path / "store", tmp_path / "server.conf"
    with running(store, "key: k1") as started:
        fill(started)
        folder = started.server.store_path
    config.write_text("jetstream { key: k1 }")
    assert verify.main(str(folder)) == Outcome.NOT_A_STORE
    assert verify.main(str(folder), config=str(config)) == Outcome.SOUND
    config.write_text("jetstream { key: k3 }")
    assert verify.main(str(folder), config=str(config)) == Outcome.NOT_A_STORE


def test_ciphers_of_a_configuration(tmp_path: Path) -> None:
    """As nats-server reads them (K-314)."""
    config = tmp_path / "server.conf"
    for name, wanted in (("chacha", "chacha"), ("ChaChaPoly", "chacha"), ("AES", "aes")):
        config.write_text(f"jetstream {{ ek: secret, cipher: {name} }}")
        options = load(str(config)).options.jetstream
        assert (options.encryption_key, options.cipher) == ("secret", wanted)
    config.write_text("jetstream { key: secret, cipher: des }")
    with pytest.raises(ConfigError, match='Unknown cipher type: "des"'):
        load(str(config))


# ---------------------------------------------------------------- the file of keys


class Source:
    """Random bytes that differ and repeat."""

    def __init__(self) -> None:
        self.drawn = 0

    def __call__(self, n: int) -> bytes:
        self.drawn += 1
        return bytes([self.drawn]) * n


def test_keys_are_drawn_once_and_stay() -> None:
    disk, source = SimDisk(1), Source()
    assert unlock(disk, Passphrases(), source) is None
    keys = unlock(disk, Passphrases("k1"), source)
    assert keys is not None
    assert (keys.current, keys.keys[0].cipher) == (1, StoreCipher.CHACHA20_POLY1305)
    assert unlock(disk, Passphrases("k1"), source) == keys
    assert unlock(disk, Passphrases("k2", "k1"), source) == keys
    assert unlock(disk, Passphrases("k2"), source) == keys
    both = unlock(disk, Passphrases("k2", cipher=StoreCipher.AES256_GCM), source)
    assert both is not None
    assert both.current == 2
    assert both.keys[0] == keys.keys[0]
    back = unlock(disk, Passphrases("k2"), source)
    assert back is not None
    assert back.current == 3
    assert back.keys[:2] == both.keys


def test_a_crash_leaves_the_keys_or_none() -> None:
    for operation in range(1, 12):
        disk = SimDisk(1)
        disk.crash_at(operation)
        try:
            unlock(disk, Passphrases("k1"), Source())
        except OSError:
            assert disk.crashed
        image = disk.image(list(Loss)[operation % 4], operation)
        first = unlock(image, Passphrases("k1"), Source())
        assert first == unlock(image, Passphrases("k1"), Source())


@pytest.mark.parametrize("name", [KEYS_FILE, KEYS_COPY])
def test_one_damaged_file_of_keys_does_no_harm(tmp_path: Path, name: str) -> None:
    """Any flipped bit, and a file that is missing, cut or empty; the next start mends it."""
    disk = RealDisk(str(tmp_path))
    made = unlock(disk, Passphrases("k1"), Source())
    path = tmp_path / name
    whole = path.read_bytes()
    for at in range(0, len(whole), 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        assert unlock(disk, Passphrases("k1"), Source()) == made, at
        assert path.read_bytes().lower() == whole.lower()  # digits of either case are digits
    for content in (b"", whole[:40], bytes(len(whole))):
        path.write_bytes(content)
        assert unlock(disk, Passphrases("k1"), Source()) == made
        assert path.read_bytes().lower() == whole.lower()
    path.unlink()
    assert unlock(disk, Passphrases("k2", "k1"), Source()) == made
    assert (tmp_path / KEYS_FILE).read_bytes() == (tmp_path / KEYS_COPY).read_bytes() != whole


def test_the_copy_is_not_taken_where_a_later_version_wrote_the_file(tmp_path: Path) -> None:
    disk = RealDisk(str(tmp_path))
    unlock(disk, Passphrases("k1"), Source())
    path = tmp_path / KEYS_FILE
    path.write_bytes(path.read_bytes().replace(b'"format": 1', b'"format": 22'))
    with pytest.raises(StoreError, match="unknown format"):
        unlock(disk, Passphrases("k1"), Source())


def test_a_damaged_file_of_keys_is_refused(tmp_path: Path) -> None:
    disk = RealDisk(str(tmp_path))
    unlock(disk, Passphrases("k1"), Source())
    path = tmp_path / KEYS_FILE
    (tmp_path / KEYS_COPY).unlink()
    whole = path.read_text()
    path.write_text(whole[:40])
    with pytest.raises(StoreError, match="damaged"):
        unlock(disk, Passphrases("k1"), Source())
    path.write_text(whole.replace('"format": 1', '"format": 9'))
    with pytest.raises(StoreError, match="unknown format"):
        unlock(disk, Passphrases("k1"), Source())
    path.write_text(re.sub('"number": 1|"current": 1', lambda found: found[0][:-1] + "2", whole))
    with pytest.raises(StoreError, match="does not open it"):
        unlock(disk, Passphrases("k1"), Source())


@pytest.mark.parametrize(
    "change",
    [
        {"current": 2},
        {"current": "1"},
        {"keys": []},
        {"keys": {"1": 1}},
        {"number": 0},
        {"number": 1 << 32},
        {"cipher": 3},
        {"nonce": "00" * 23},
        {"sealed": "0" * 95 + "g"},
        {"sealed": None},
        {"salt": ""},
        {"operations": 1 << 40},
        {"memory": 1 << 50},
        {"function": "argon2d"},
    ],
    ids=str,
)
def test_every_part_of_the_file_of_keys_is_looked_at(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """The server refuses it by name, and verify says the same instead of falling over it."""
    with running(tmp_path, "key: k1") as started:
        folder = started.server.store_path
    path = folder / KEYS_FILE
    (folder / KEYS_COPY).unlink()
    content = json.loads(path.read_text())
    for part in (content, content["derivation"], content["keys"][0]):
        part.update({name: value for name, value in change.items() if name in part})
    path.write_text(json.dumps(content))
    with pytest.raises(StartError, match="of the store is damaged"):
        running(tmp_path, "key: k1").__enter__()
    report = verify.verify(RealDisk(str(folder)), Passphrases("k1"))
    assert report.outcome is Outcome.NOT_A_STORE
    assert "'slipstream.keys' of the store is damaged" in report.lines[-1]
    assert json.loads(path.read_text()) == content


def test_an_encrypted_store_without_its_file_of_keys_gets_no_new_ones(tmp_path: Path) -> None:
    with running(tmp_path, "key: k1") as started:
        fill(started, 8)
        path = started.server.store_path / KEYS_FILE
        (started.server.store_path / KEYS_COPY).unlink()
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(StartError, match="is missing"):
        running(tmp_path, "key: k1").__enter__()
    assert not path.exists()
    path.write_bytes(kept)
    with running(tmp_path, "key: k1") as started:
        check(started, 8)
