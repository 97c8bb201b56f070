"""Goal: messages never visit Python, so an embedded server passes them on, stores and acknowledges
them while the interpreter is busy with something that never lets go.

Method: a client in another process connects and makes a stream; then this thread holds the
interpreter's lock, all of the time, until the client has had answers to all that it sends.
"""

from __future__ import annotations

import ctypes
import select
import subprocess
import sys
from pathlib import Path

import raw_client
from slipstream.testing import server

ANSWERS_S_MAX = 60
CLIENT = """
import sys
from raw_client import RawClient, bodies

with RawClient(int(sys.argv[1])) as asks, RawClient(int(sys.argv[1])) as serves:
    serves.send(b"SUB ask 1\\r\\n")
    serves.flush()
    asks.send(b"SUB answer 1\\r\\n")
    asks.publish(b"$JS.API.STREAM.CREATE.S", b'{"name":"S","subjects":["s"]}', b"answer")
    asks.until(b"}\\r\\n")
    print("connected", flush=True)
    for i in range(300):
        asks.publish(b"ask", b"%d" % i, b"answer")
        asks.flush()
        assert bodies(serves.flush()) == [(b"1", b"%d" % i)]
        serves.publish(b"answer", b"%d" % i)
        serves.flush()
        assert bodies(asks.flush()) == [(b"1", b"%d" % i)]
    for i in range(30):
        asks.publish(b"s", b"%d" % i, b"answer")
        assert b'"seq":%d}' % (i + 1) in asks.until(b"}\\r\\n") + b"}"
    print("answered", flush=True)
"""


class PollDescriptor(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]


def hold_interpreter_until_readable(descriptor: int) -> bool:
    """False when the time ran out. What is called through PyDLL keeps the lock while it waits."""
    wanted = PollDescriptor(descriptor, select.POLLIN, 0)
    poll = ctypes.PyDLL(None).poll
    return bool(poll(ctypes.byref(wanted), 1, ANSWERS_S_MAX * 1000) == 1)


def test_messages_do_not_wait_for_the_interpreter() -> None:
    with server() as running:
        command = [sys.executable, "-c", CLIENT, str(running.port)]
        folder = Path(raw_client.__file__).parent
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, bufsize=0) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == b"connected\n"
            assert hold_interpreter_until_readable(client.stdout.fileno()), "messages wait"
            assert client.stdout.readline() == b"answered\n"
            assert client.wait() == 0
