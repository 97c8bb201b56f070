# The subjects of a stream, listed in steps (src/binding/subject_listing.hpp). Part of _kernel.pyx.
from libc.stdint cimport uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector


cdef extern from "binding/subject_listing.hpp" namespace "slipstream" nogil:
    cdef cppclass SubjectRow:
        string subject
        uint64_t count

    cdef cppclass CSubjectListing "slipstream::SubjectListing":
        CSubjectListing(uint64_t, string_view, size_t, size_t)
        cbool step(CKernel&, vector[SubjectRow]&) except +
        size_t total()


cdef class SubjectListing:
    cdef CSubjectListing* listing
    cdef Kernel kernel

    def __cinit__(self, Kernel kernel, uint64_t stream, bytes filter, size_t offset, size_t limit):
        self.kernel = kernel
        self.listing = new CSubjectListing(stream, _view(filter), offset, limit)

    def __dealloc__(self):
        del self.listing

    @property
    def total(self):
        return self.listing.total()

    def step(self):
        cdef vector[SubjectRow] rows
        cdef cbool more
        with nogil:
            more = self.listing.step(self.kernel.k[0], rows)
        return more, [(<bytes>row.subject, row.count) for row in rows]
