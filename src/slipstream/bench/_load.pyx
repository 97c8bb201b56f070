# distutils: language=c++
"""The load generator's compiled core; what it offers Python is described in _load.pyi."""

from libc.stdint cimport uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.utility cimport move
from libcpp.vector cimport vector


cdef extern from "src/client_frames.hpp" namespace "slipstream::load" nogil:
    cdef cppclass string_view "slipstream::string_view":
        const char* data()
        size_t size()

    cdef enum class FrameKind "slipstream::load::FrameKind"(unsigned char):
        malformed, message, ping, pong, ok, error, info

    cdef cppclass Frame:
        FrameKind kind
        uint64_t sid
        string_view subject, reply, header, body, text


cdef extern from "src/frame_template.hpp" namespace "slipstream::load" nogil:
    const string_view kIndexMarker
    const string_view kSubjectMarker
    const char kNumberMarker

    cdef cppclass MessageText:
        string subject, reply, header, payload


cdef extern from "src/role.hpp" namespace "slipstream::load" nogil:
    cdef cppclass Role:
        pass


cdef extern from "src/connection.hpp" namespace "slipstream::load" nogil:
    cdef cppclass ServerAddress:
        string host, user, password, token
        int port


cdef extern from "src/core_roles.hpp" namespace "slipstream::load" nogil:
    cdef cppclass PublishOptions:
        MessageText message
        uint64_t count, subjects
        size_t clients
        double rate
        cbool timestamps, background

    unique_ptr[Role] make_publishers(PublishOptions) except +

    cdef cppclass SubscribeOptions:
        string subject, queue
        uint64_t subjects, count
        size_t clients, payload_bytes
        cbool timestamps, background

    unique_ptr[Role] make_subscribers(SubscribeOptions) except +

    cdef cppclass RespondOptions:
        string subject, queue
        size_t clients, payload_bytes

    unique_ptr[Role] make_responders(RespondOptions) except +


cdef extern from "src/request_role.hpp" namespace "slipstream::load" nogil:
    cdef enum class AnswerCheck "slipstream::load::AnswerCheck"(unsigned char):
        size, pub_ack, direct, api

    cdef enum class NumberRule "slipstream::load::NumberRule"(unsigned char):
        none, cycle, previous_on_subject

    cdef cppclass RequestOptions:
        vector[MessageText] messages
        uint64_t count, subjects, index_first, number_first, number_cycle
        size_t clients, window, answer_bytes
        double rate
        NumberRule number_rule
        AnswerCheck check
        string stream, inbox, name
        cbool latencies, background

    unique_ptr[Role] make_requesters(RequestOptions) except +


cdef extern from "src/consume_roles.hpp" namespace "slipstream::load" nogil:
    cdef cppclass PullOptions:
        string stream, consumer, inbox
        uint64_t count, first_sequence, batch
        size_t clients, payload_bytes
        cbool continuous, acknowledge, background

    unique_ptr[Role] make_pullers(PullOptions) except +

    cdef cppclass ReceiveOptions:
        string stream, deliver_subject, inbox, create_subject, create_request
        uint64_t count, first_sequence
        size_t payload_bytes
        cbool background

    unique_ptr[Role] make_receiver(ReceiveOptions) except +


cdef extern from "src/load_run.hpp" namespace "slipstream::load" nogil:
    cdef cppclass LatencySummary:
        uint64_t samples, p50_ns, p90_ns, p99_ns, p999_ns, max_ns
        double mean_ns

    cdef cppclass RunResult:
        string name
        cbool background
        uint64_t messages, bytes
        double seconds
        LatencySummary latency

    cdef cppclass CLoadRun "slipstream::load::LoadRun":
        CLoadRun(ServerAddress, double) except +
        void add(unique_ptr[Role])
        string connect()
        string execute()
        void stop()
        size_t roles()
        uint64_t progress(size_t)
        uint64_t target(size_t)
        RunResult result(size_t)


cdef extern from *:
    """
    #include "src/client_frames.hpp"
    namespace {
    // The bytes in pieces of the given lengths through a splitter, as a connection would feed them.
    template <class Each> bool split_frames(const char* p, const size_t* lengths, size_t pieces, Each each) {
      slipstream::load::FrameSplitter splitter;
      slipstream::Buffer scratch;
      for (size_t i = 0; i < pieces; i++) {
        memcpy(splitter.room(scratch, lengths[i]), p, lengths[i]);
        if (!splitter.received(scratch, lengths[i], each)) return false;
        p += lengths[i];
      }
      return true;
    }
    struct KeptFrame { int kind; uint64_t sid; std::string subject, reply, header, body, text; };
    bool keep_frames(const char* p, const size_t* lengths, size_t pieces, std::vector<KeptFrame>& kept) {
      return split_frames(p, lengths, pieces, [&](const slipstream::load::Frame& f) {
        kept.push_back({(int)f.kind, f.sid, std::string(f.subject), std::string(f.reply), std::string(f.header),
                        std::string(f.body), std::string(f.text)});
      });
    }
    }
    """
    cdef cppclass KeptFrame:
        int kind
        uint64_t sid
        string subject, reply, header, body, text
    cbool keep_frames(const char*, const size_t*, size_t, vector[KeptFrame]&) except +


FRAME_KINDS = ("malformed", "message", "ping", "pong", "ok", "error", "info")
INDEX = (<bytes>kIndexMarker.data()[:kIndexMarker.size()]).decode()
SUBJECT_NUMBER = (<bytes>kSubjectMarker.data()[:kSubjectMarker.size()]).decode()
NUMBER = chr(kNumberMarker)


class LoadError(RuntimeError):
    """The run did not go as it must; the text says what was seen."""


def parse_frames(pieces):
    cdef vector[size_t] lengths
    cdef vector[KeptFrame] kept
    cdef bytes whole = b"".join(pieces)
    for piece in pieces:
        lengths.push_back(len(piece))
    cdef bint good = keep_frames(whole, lengths.data(), lengths.size(), kept)
    frames = []
    for frame in kept:
        kind = FRAME_KINDS[frame.kind]
        if kind == "message":
            frames.append((kind, frame.sid, frame.subject, frame.reply, frame.header, frame.body))
        elif kind in ("info", "error"):
            frames.append((kind, frame.text))
        else:
            frames.append((kind,))
    if not good:
        frames.append(("malformed",))
    return frames


cdef MessageText message_text(message):
    cdef MessageText text
    text.subject = message.subject.encode()
    text.header = message.header
    text.payload = message.payload
    return text


cdef class LoadRun:
    cdef unique_ptr[CLoadRun] run

    def __init__(self, host, port, *, user="", password="", token="", stall_seconds=30.0):
        cdef ServerAddress server
        server.host = host.encode()
        server.port = port
        server.user = user.encode()
        server.password = password.encode()
        server.token = token.encode()
        self.run.reset(new CLoadRun(server, stall_seconds))

    def add_publishers(self, message, *, count, subjects=1, clients=1, rate=0.0, timestamps=False, background=False):
        cdef PublishOptions options
        options.message = message_text(message)
        options.count = count
        options.subjects = subjects
        options.clients = clients
        options.rate = rate
        options.timestamps = timestamps
        options.background = background
        self.run.get().add(make_publishers(options))

    def add_subscribers(self, subject, *, count, payload_bytes, queue="", subjects=1, clients=1, timestamps=False,
                        background=False):
        cdef SubscribeOptions options
        options.subject = subject.encode()
        options.queue = queue.encode()
        options.count = count
        options.subjects = subjects
        options.clients = clients
        options.payload_bytes = payload_bytes
        options.timestamps = timestamps
        options.background = background
        self.run.get().add(make_subscribers(options))

    def add_responders(self, subject, *, payload_bytes, queue="", clients=1):
        cdef RespondOptions options
        options.subject = subject.encode()
        options.queue = queue.encode()
        options.payload_bytes = payload_bytes
        options.clients = clients
        self.run.get().add(make_responders(options))

    def add_requesters(self, messages, *, count, inbox, check, stream="", answer_bytes=0, subjects=1, index_first=0,
                       clients=1, window=1, rate=0.0, number="none", number_first=1, number_cycle=1,
                       background=False, name="request"):
        cdef RequestOptions options
        for message in messages:
            options.messages.push_back(message_text(message))
        options.count = count
        options.inbox = inbox.encode()
        options.check = {"size": AnswerCheck.size, "pub_ack": AnswerCheck.pub_ack, "direct": AnswerCheck.direct,
                         "api": AnswerCheck.api}[check]
        options.stream = stream.encode()
        options.answer_bytes = answer_bytes
        options.subjects = subjects
        options.index_first = index_first
        options.clients = clients
        options.window = window
        options.rate = rate
        options.number_rule = {"none": NumberRule.none, "cycle": NumberRule.cycle,
                               "previous_on_subject": NumberRule.previous_on_subject}[number]
        options.number_first = number_first
        options.number_cycle = number_cycle
        options.background = background
        options.name = name.encode()
        self.run.get().add(make_requesters(options))

    def add_pullers(self, stream, consumer, *, inbox, count, payload_bytes, first_sequence=1, clients=1, batch=100,
                    continuous=False, acknowledge=False, background=False):
        cdef PullOptions options
        options.stream = stream.encode()
        options.consumer = consumer.encode()
        options.inbox = inbox.encode()
        options.count = count
        options.payload_bytes = payload_bytes
        options.first_sequence = first_sequence
        options.clients = clients
        options.batch = batch
        options.continuous = continuous
        options.acknowledge = acknowledge
        options.background = background
        self.run.get().add(make_pullers(options))

    def add_receiver(self, stream, *, deliver_subject, inbox, create_subject, create_request, count, payload_bytes,
                     first_sequence=1, background=False):
        cdef ReceiveOptions options
        options.stream = stream.encode()
        options.deliver_subject = deliver_subject.encode()
        options.inbox = inbox.encode()
        options.create_subject = create_subject.encode()
        options.create_request = create_request
        options.count = count
        options.payload_bytes = payload_bytes
        options.first_sequence = first_sequence
        options.background = background
        self.run.get().add(make_receiver(options))

    def connect(self):
        cdef string failure
        with nogil:
            failure = self.run.get().connect()
        if not failure.empty():
            raise LoadError(failure.decode())

    def execute(self):
        cdef string failure
        with nogil:
            failure = self.run.get().execute()
        if not failure.empty():
            raise LoadError(failure.decode())

    def stop(self):
        self.run.get().stop()

    def progress(self):
        cdef size_t i
        return [(self.run.get().progress(i), self.run.get().target(i)) for i in range(self.run.get().roles())]

    def results(self):
        cdef size_t i
        cdef RunResult result
        found = []
        for i in range(self.run.get().roles()):
            result = self.run.get().result(i)
            found.append({
                "role": result.name.decode(),
                "background": bool(result.background),
                "messages": result.messages,
                "bytes": result.bytes,
                "seconds": result.seconds,
                "latency_ns": None if result.latency.samples == 0 else {
                    "samples": result.latency.samples,
                    "mean": result.latency.mean_ns,
                    "p50": result.latency.p50_ns,
                    "p90": result.latency.p90_ns,
                    "p99": result.latency.p99_ns,
                    "p99.9": result.latency.p999_ns,
                    "max": result.latency.max_ns,
                },
            })
        return found
