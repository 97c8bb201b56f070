# The compiled protocol parser by itself, for the tests that hold it against its twin (slipstream/protocol/parser.py).
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string_view cimport string_view


cdef extern from "turn/protocol_parser.hpp" namespace "slipstream" nogil:
    cdef cppclass CCommand "slipstream::Command":
        uint8_t verb
        string_view subject, reply, queue, sid, text, header, body
        uint64_t max

    cdef cppclass CParserLimits "slipstream::ParserLimits":
        size_t max_control_line
        int64_t max_payload
        cbool headers

    cdef cppclass CParser "slipstream::ProtocolParser":
        CParserLimits limits
        size_t consumed, wanted
        uint8_t next(const char*, size_t, CCommand&)


# In the order of the C++ enumerations.
_PARSE_STATUSES = ("command", "need_more", "unknown", "bad_arguments", "headers_refused", "line_long", "payload_big")
_VERBS = ("none", "pub", "hpub", "sub", "unsub", "ping", "pong", "connect", "info", "ok", "err")


cdef bytes _view_bytes(string_view s):
    return s.data()[:s.size()] if s.size() else b""


cdef class ProtocolParser:
    cdef CParser parser

    def __init__(self, *, size_t max_control_line=4096, int64_t max_payload=1048576, cbool headers=True):
        self.parser.limits.max_control_line = max_control_line
        self.parser.limits.max_payload = max_payload
        self.parser.limits.headers = headers

    def next(self, bytes received):
        cdef CCommand c
        cdef uint8_t status = <uint8_t>self.parser.next(received, len(received), c)
        name = _PARSE_STATUSES[status]
        if name == "need_more":
            return name, 0, self.parser.wanted, None
        if name != "command":
            return name, 0, 0, None
        command = (
            _VERBS[<uint8_t>c.verb], _view_bytes(c.subject), _view_bytes(c.reply), _view_bytes(c.queue), _view_bytes(c.sid),
            _view_bytes(c.text), c.max, _view_bytes(c.header), _view_bytes(c.body),
        )
        return name, self.parser.consumed, 0, command
