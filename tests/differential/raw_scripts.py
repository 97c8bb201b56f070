"""Byte scripts of the client protocol for the comparison with nats-server: a name, what one client
sends, and (where the answers are meant to differ) why.
"""

from __future__ import annotations

from typing import NamedTuple


class Script(NamedTuple):
    name: str
    sent: bytes
    differs: str = ""  # the reason, where Slipstream answers otherwise on purpose
    bytewise: bool = True  # compared byte by byte too


CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
VERBOSE = b'CONNECT {"verbose":true,"pedantic":true}\r\n'
QUIET = b'CONNECT {"verbose":false}\r\n'
PING = b"PING\r\n"


def _pub(subject: bytes, body: bytes = b"", reply: bytes = b"") -> bytes:
    to = subject + b" " + reply if reply else subject
    return b"PUB %b %d\r\n%b\r\n" % (to, len(body), body)


SCRIPTS = [
    # Connecting (K-001, K-035..K-043)
    Script("commands before CONNECT", b"SUB a 1\r\n" + _pub(b"a", b"hi") + PING),
    Script("subscribed before CONNECT", b"SUB a 1\r\n" + QUIET + _pub(b"a", b"hi") + PING),
    Script("PING before CONNECT", PING + PING + CONNECT + PING),
    Script("CONNECT twice", CONNECT + b"SUB a 1\r\n" + CONNECT + _pub(b"a", b"hi") + PING),
    Script("CONNECT twice, verbose", VERBOSE + b"SUB a 1\r\n" + VERBOSE + _pub(b"a") + PING),
    Script("protocol 7", b'CONNECT {"protocol":7}\r\n' + PING),
    Script("no JSON", b"CONNECT {nope}\r\n" + PING),
    Script("no options", b"CONNECT\r\n" + PING),
    Script("an array", b"CONNECT []\r\n" + PING),
    Script("null", b"CONNECT null\r\n" + PING),
    Script("wrong type", b'CONNECT {"verbose":"yes"}\r\n' + PING),
    Script("no blank", b'CONNECT{"verbose":false}\r\n' + PING),
    Script("an account", b'CONNECT {"account":"x"}\r\n' + PING),
    Script("no_responders without headers", b'CONNECT {"no_responders":true}\r\n' + PING),
    # Verbose and pedantic (K-071, K-095, K-097)
    Script(
        "verbose", VERBOSE + b"SUB a 1\r\n" + _pub(b"a", b"hi") + b"UNSUB 1\r\nUNSUB 9\r\n" + PING
    ),
    Script(
        "pedantic",
        VERBOSE
        + _pub(b"a.*", b"hi")
        + b"SUB a..b 1\r\nSUB > 2\r\n"
        + _pub(b"x.>")
        + _pub(b"x..y")
        + PING,
        bytewise=False,  # nats-server repeats its complaint when a line comes in pieces
    ),
    # Subjects (K-070, K-096, K-097)
    Script(
        "invalid subscriptions",
        CONNECT + b"SUB a..b 1\r\nSUB .a 2\r\nSUB a. 3\r\nSUB >.a 4\r\nSUB a.>.b 5\r\n" + PING,
    ),
    Script(
        "a form feed in a subject",
        CONNECT + b"SUB a\fb 1\r\n" + PING,
        differs="K-096 forbids it; nats-server takes it in SUB and calls it invalid elsewhere",
    ),
    Script("a zero byte in a subject", CONNECT + b"SUB a\0b 1\r\n" + _pub(b"a\0b") + PING),
    Script(
        "publishing what nobody can match",
        CONNECT + b"SUB > 1\r\n" + _pub(b"a..b") + _pub(b".a") + _pub(b"a.") + _pub(b"*") + PING,
    ),
    Script(
        "wildcards inside tokens",
        CONNECT + b"SUB a* 1\r\nSUB b>.c 2\r\n" + _pub(b"ab") + _pub(b"a*") + _pub(b"b>.c") + PING,
    ),
    Script(
        "a published wildcard",
        CONNECT + b"SUB a.* 1\r\nSUB a.b 2\r\n" + _pub(b"a.*", b"x") + _pub(b"a.>", b"y") + PING,
    ),
    # SUB and UNSUB (K-004, K-005, K-092, K-093)
    Script("a sid twice", VERBOSE + b"SUB a 1\r\nSUB b 1\r\n" + _pub(b"b") + _pub(b"a") + PING),
    Script("a sid twice, then invalid", CONNECT + b"SUB a 1\r\nSUB a..b 1\r\n" + PING),
    Script("a long sid", CONNECT + b"SUB a " + b"9" * 200 + b"\r\n" + _pub(b"a") + PING),
    # Where the CR is cut off depends on how the bytes arrive.
    Script("a CR among words", CONNECT + b"SUB a 1\r2\r\n" + _pub(b"a") + PING, bytewise=False),
    Script("too few words", CONNECT + PING + b"SUB a\r\n" + PING),
    Script("too many words", CONNECT + PING + b"SUB a b c d\r\n" + PING),
    Script("UNSUB alone", CONNECT + PING + b"UNSUB\r\n" + PING),
    Script("UNSUB and a blank", CONNECT + PING + b"UNSUB \r\n" + PING),
    Script(
        "UNSUB with a maximum",
        CONNECT
        + b"SUB a 1\r\nUNSUB 1 2\r\n"
        + _pub(b"a", b"1")
        + _pub(b"a", b"2")
        + _pub(b"a")
        + b"SUB a 1\r\n"
        + _pub(b"a", b"4")
        + PING,
    ),
    Script(
        "a maximum that is reached already",
        CONNECT
        + b"SUB a 1\r\n"
        + _pub(b"a", b"1")
        + _pub(b"a", b"2")
        + b"UNSUB 1 2\r\n"
        + _pub(b"a", b"3")
        + PING,
    ),
    Script(
        "UNSUB after the maximum",
        CONNECT
        + b"SUB a 1\r\nUNSUB 1 1\r\n"
        + _pub(b"a", b"1")
        + b"UNSUB 1\r\nSUB a 1\r\n"
        + _pub(b"a", b"2")
        + PING,
    ),
    Script("a senseless maximum", CONNECT + b"SUB a 1\r\nUNSUB 1 -5\r\n" + _pub(b"a", b"1") + PING),
    Script(
        "plain and in a queue group",
        CONNECT + b"SUB a 1\r\nSUB a q 2\r\nSUB a.> 4\r\n" + _pub(b"a", b"x") + PING,
    ),
    Script("the group _sys_", CONNECT + b"SUB a _sys_ 1\r\n" + PING),
    Script(
        "no echo",
        b'CONNECT {"verbose":false,"echo":false}\r\nSUB a 1\r\nSUB a q 2\r\n' + _pub(b"a") + PING,
    ),
    # PUB and HPUB (K-002, K-003, K-069, K-078)
    Script(
        "tabs and lower case", CONNECT + b"sub\ta\t1\r\npub\ta\tr\t2\t\r\nhi\r\nping\r\n" + PING
    ),
    Script("bare line feeds", CONNECT + b"SUB a 1\nPUB a 2\nhi\r\nPING\n"),
    Script("no arguments", CONNECT + b"PUB\r\n"),
    Script("a blank for arguments", CONNECT + PING + b"PUB \r\n"),
    Script("one argument", CONNECT + PING + b"PUB a\r\n"),
    Script("a negative size", CONNECT + PING + b"PUB a -1\r\n"),
    Script("a signed size", CONNECT + PING + b"PUB a +1\r\nx\r\n"),
    Script("a size of ten digits", CONNECT + PING + b"PUB a 0000000002\r\nhi\r\n"),
    Script(
        "a size with leading zeros",
        CONNECT + b"SUB a 1\r\nPUB a 000000002\r\nhi\r\n" + PING,
        differs="nats-server hands the digits on as they came; the number is the same",
    ),
    Script("a payload with a wrong end", CONNECT + b"SUB a 1\r\nPUB a 2\r\nhixx\r\n" + PING),
    Script("a payload that ends in LF", CONNECT + b"PUB a 2\r\nhi\n" + PING),
    Script("CRLF in a payload", CONNECT + b"SUB a 1\r\n" + _pub(b"a", b"\r\nPUB x\r\n") + PING),
    Script("too big", CONNECT + PING + b"PUB a 1048577\r\n"),
    Script("far too big", CONNECT + PING + b"PUB a 999999999\r\n"),
    Script(
        "a CR inside a subject",
        CONNECT + b"SUB > 1\r\n" + b"PUB a\rb 0\r\n\r\n" + PING,
        bytewise=False,  # nats-server forgets the CR then, and takes a byte off the end of the line
    ),
    Script(
        "HPUB",
        CONNECT + b"SUB a 1\r\nHPUB a r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
        b"HPUB a 0 2\r\nhi\r\nHPUB a 2 2\r\nhi\r\n" + PING,
    ),
    Script("a header larger than all", CONNECT + PING + b"HPUB a 5 2\r\nhi\r\n"),
    Script("HPUB without headers", QUIET + PING + b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n" + PING),
    Script("HPUB before CONNECT", b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n" + PING),
    Script(
        "reserved subjects",
        CONNECT
        + b"".join(_pub(s) for s in (b"$NRG.x", b"_GR_.x", b"$NRG", b"$NRG.", b"_GR_.", b"_R_.x"))
        + b"".join(
            _pub(b"a", b"", reply)
            for reply in (b"$JS.ACK.x", b"_R_.x", b"_GR_.x", b"$JS.ACK.", b"_R_.", b"_GR_.")
        )
        + PING,
    ),
    # No responders (K-087)
    Script(
        "nobody answers",
        CONNECT
        + b"SUB r.* 1\r\n"
        + _pub(b"nobody", b"hi", b"r.1")
        + _pub(b"nobody", b"", b"r.2")
        + b"HPUB nobody r.3 12 12\r\nNATS/1.0\r\n\r\n\r\n"
        + PING,
    ),
    Script("nobody, and no subscription", CONNECT + _pub(b"nobody", b"hi", b"r.1") + PING),
    Script("nobody, in a group", CONNECT + b"SUB r.* q 1\r\n" + _pub(b"no", b"hi", b"r.1") + PING),
    Script("nobody can", CONNECT + b"SUB r.* 1\r\n" + _pub(b"a..b", b"hi", b"r.1") + PING),
    Script("not asked for", QUIET + b"SUB r.* 1\r\n" + _pub(b"nobody", b"hi", b"r.1") + PING),
    # Other verbs (K-006..K-008, K-059)
    Script("unknown", CONNECT + b"XYZ\r\n" + PING),
    Script("MSG from a client", CONNECT + PING + b"MSG a 1 2\r\n"),
    Script("RS+ from a client", CONNECT + PING + b"RS+ A a\r\n"),
    Script("an empty line", CONNECT + b"\r\n"),
    Script("an empty line, LF", CONNECT + b"\n"),
    Script("words behind PING", CONNECT + b"PINGxyz\r\nPONGabc\r\n+OK yes\r\n" + PING),
    Script("-ERR", CONNECT + PING + b"-ERR 'x'\r\n" + PING),
    Script("-ERR alone", CONNECT + PING + b"-ERR\r\n" + PING),
    Script("INFO", CONNECT + b"INFO {}\r\n" + PING),
    Script(
        "INFO without JSON",
        CONNECT + b"INFO x\r\n" + PING,
        differs="nats-server closes; what an INFO of a client says is of no interest here",
    ),
    # Long lines (K-046, K-068)
    Script("the longest line", CONNECT + b"SUB " + b"a" * 4094 + b" 1\r\n" + PING),
    Script("a line too long", CONNECT + b"SUB " + b"a" * 4095 + b" 1\r\n" + PING),
    Script("a line without end", CONNECT + b"SUB " + b"a" * 4200),
    Script("PUB, too long", CONNECT + b"PUB " + b"a" * 4095 + b" 1\r\nx\r\n" + PING),
    Script("5,000 bytes", CONNECT + b"SUB a 1\r\n" + _pub(b"a", b"x" * 5000) + PING),
]

# Against servers with max_payload 100, max_control_line 128, max_subscriptions 2.
LIMITED_SCRIPTS = [
    Script("the largest payload", CONNECT + b"SUB a 1\r\n" + _pub(b"a", b"x" * 100) + PING),
    Script("a payload too large", CONNECT + b"SUB a 1\r\n" + _pub(b"a", b"x" * 101) + PING),
    Script("the longest line", QUIET + b"SUB " + b"a" * 126 + b" 1\r\n" + PING),
    Script("a line too long", QUIET + b"SUB " + b"a" * 127 + b" 1\r\n" + PING),
    Script(
        "three subscriptions",
        QUIET + b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nUNSUB 1\r\nSUB c 3\r\n" + _pub(b"c") + PING,
    ),
    Script("a sid twice at the limit", QUIET + b"SUB a 1\r\nSUB b 2\r\nSUB a 1\r\n" + PING),
    Script("invalid at the limit", QUIET + b"SUB a 1\r\nSUB b 2\r\nSUB a..b 3\r\n" + PING),
]
