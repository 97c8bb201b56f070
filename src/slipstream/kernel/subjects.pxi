# The compiled subject functions and the trie by themselves, for the tests that hold them against their model
# (slipstream/protocol/subjects.py).
from libc.stdint cimport uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport make_unique, unique_ptr
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector


cdef extern from "turn/subject_trie.hpp" namespace "slipstream" nogil:
    cbool c_valid_subject "slipstream::valid_subject"(string_view)
    cbool c_valid_literal "slipstream::valid_literal"(string_view)
    cbool c_has_wildcard "slipstream::has_wildcard"(string_view)
    cbool c_subject_matches "slipstream::subject_matches"(string_view, string_view)

    cdef cppclass CSubscription "slipstream::Subscription":
        string subject, queue, sid

    cdef cppclass CMatchResult "slipstream::MatchResult":
        vector[CSubscription*] plain
        vector[vector[CSubscription*]] queues

    cdef cppclass CSubjectTrie "slipstream::SubjectTrie":
        void insert(CSubscription*)
        void remove(CSubscription*)
        const CMatchResult& match(string_view)
        void match_uncached(string_view, CMatchResult&)
        size_t size()
        uint64_t hits, misses


cdef extern from *:
    """
    #include "message/subject_transform.hpp"
    namespace slipstream {
    inline bool transform_with(const SubjectTransform& t, std::string_view subject, uint32_t drawn, std::string& out) {
      return t.transform(subject, [drawn] { return drawn; }, out);
    }
    }
    """
    cdef cppclass CSubjectTransform "slipstream::SubjectTransform":
        @staticmethod
        unique_ptr[CSubjectTransform] compile(string_view, string_view)
    cbool transform_with "slipstream::transform_with"(const CSubjectTransform&, string_view, uint32_t, string&)


cdef string_view _to_view(bytes text):
    return string_view(<const char*>text, len(text))


def valid_subject(bytes subject):
    return c_valid_subject(_to_view(subject))


def valid_literal(bytes subject):
    return c_valid_literal(_to_view(subject))


def has_wildcard(bytes subject):
    return c_has_wildcard(_to_view(subject))


def subject_matches(bytes filter, bytes literal):
    return c_subject_matches(_to_view(filter), _to_view(literal))


cdef class _HeldSubscription:
    cdef unique_ptr[CSubscription] held


cdef class SubjectTrie:
    cdef CSubjectTrie trie
    cdef dict held

    def __cinit__(self):
        self.held = {}

    def insert(self, int key, bytes subject, bytes queue=b""):
        assert key not in self.held, "a key is used once"
        assert c_valid_subject(_to_view(subject)), "the trie takes valid subjects only"
        cdef _HeldSubscription s = _HeldSubscription()
        s.held = make_unique[CSubscription]()
        s.held.get().subject = subject
        s.held.get().queue = queue
        s.held.get().sid = b"%d" % key
        self.held[key] = s
        self.trie.insert(s.held.get())

    def remove(self, int key):
        cdef _HeldSubscription s = self.held.pop(key)
        self.trie.remove(s.held.get())

    def match(self, bytes literal, *, bint cached=True):
        cdef CMatchResult own
        cdef const CMatchResult* found = &own
        if cached:
            found = &self.trie.match(_to_view(literal))
        else:
            self.trie.match_uncached(_to_view(literal), own)
        plain = [int(found.plain[i].sid) for i in range(found.plain.size())]
        groups = {}
        for i in range(found.queues.size()):
            members = [int(found.queues[i][j].sid) for j in range(found.queues[i].size())]
            groups[<bytes>found.queues[i][0].queue] = members
        return plain, groups

    def __len__(self):
        return self.trie.size()

    @property
    def hits(self):
        return self.trie.hits


cdef class SubjectTransform:
    cdef unique_ptr[CSubjectTransform] compiled

    def __init__(self, bytes source, bytes destination):
        self.compiled = CSubjectTransform.compile(_to_view(source), _to_view(destination))
        if self.compiled.get() == NULL:
            raise ValueError("no such transform")

    def transform(self, bytes subject, uint32_t drawn):
        cdef string out
        return <bytes>out if transform_with(self.compiled.get()[0], _to_view(subject), drawn, out) else None
