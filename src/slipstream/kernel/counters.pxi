# Counters by themselves, for the tests that hold their arithmetic against Python's.
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.string_view cimport string_view


cdef extern from *:
    """
    #include "stream/counters.hpp"
    #include "bytes/decimal.hpp"
    namespace slipstream {
    inline bool add_decimals(std::string_view a, std::string_view b, bool subtract, std::string& out) {
      Decimal x, y;
      if (!Decimal::parse(a, x) || !Decimal::parse(b, y)) return false;
      out = (subtract ? x - y : x + y).text();
      return true;
    }
    inline bool count_message(bool has_last, std::string_view last_header, std::string_view last_body, std::string_view subject,
                              std::string_view header, std::string_view body, CounterMessage& out) {
      CounterTotal last = counter_total_of({last_header, last_body});
      auto next = next_counter_message(has_last ? &last : nullptr, subject, {header, body});
      if (next) out = std::move(*next);
      return next.has_value();
    }
    }
    """
    cdef cppclass CCounterMessage "slipstream::CounterMessage":
        string header, body
    cbool c_add_decimals "slipstream::add_decimals"(string_view, string_view, cbool, string&)
    cbool c_count_message "slipstream::count_message"(cbool, string_view, string_view, string_view, string_view, string_view,
                                                      CCounterMessage&)


def add_decimals(bytes a, bytes b, *, bint subtract=False):
    cdef string out
    return <bytes>out if c_add_decimals(_to_view(a), _to_view(b), subtract, out) else None


def next_counter_message(last, bytes subject, bytes header, bytes body):
    cdef CCounterMessage out
    cdef bytes last_header = last[0] if last else b""
    cdef bytes last_body = last[1] if last else b""
    if not c_count_message(last is not None, _to_view(last_header), _to_view(last_body), _to_view(subject), _to_view(header),
                           _to_view(body), out):
        return None
    return <bytes>out.header, <bytes>out.body
