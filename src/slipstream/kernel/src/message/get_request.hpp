// What a client asks of $JS.API.DIRECT.GET (ADR-31, S-161..S-172): which message or messages, and how far.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "bytes/bytes.hpp"

namespace slipstream {

struct GetRequest {
  uint64_t seq = 0, up_to_seq = 0;
  int64_t batch = 0, max_bytes = 0;
  std::string last_by_subject, next_by_subject;
  std::vector<std::string> multi_last;
  std::optional<int64_t> start_time_ns, up_to_time_ns;
  bool no_header = false;
  size_t bytes = 0;  // of its body

  bool is_batch() const { return batch != 0; }
  bool is_multi() const { return !multi_last.empty(); }
};

// Null, or the status that refuses the request. `subject` is what stands behind the stream's name in the request's subject, if
// anything: the last message on it is meant then.
const char* read_get_request(string_view body, bool by_subject, string_view subject, GetRequest& out);

// Whether the sender needs an API level that this server does not have; also what is no number, as Go reads them (S-111).
bool level_too_high(string_view wanted, int64_t level);
bool needs_higher_level(string_view header, int64_t level);

}  // namespace slipstream
