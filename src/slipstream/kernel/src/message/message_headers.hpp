// The headers of a published message that JetStream acts on, found in one pass over the block.
#pragma once
#include "bytes/bytes.hpp"

namespace slipstream {

struct PublishHeaders {
  string_view msg_id, expected_stream, expected_last_seq, expected_last_subject_seq, expected_subject, expected_last_msg_id,
      rollup, ttl, incr, schedule, schedule_target, schedule_ttl, schedule_source, schedule_rollup, schedule_zone, schedule_next,
      scheduler, batch_id, batch_sequence, batch_commit, required_level, stream_source, marker_reason;
  bool any = false;
  bool rolls_up_all() const { return rollup.size() == 3 && (rollup[0] | 0x20) == 'a'; }  // if the value is valid
  bool removes_from_subject() const { return (!rollup.empty() && !rolls_up_all()) || schedule_next == "purge"; }
};

// Names match exactly (case-sensitive), the first occurrence wins, leading blanks of a value do not count (S-129). Lines end in
// CRLF, a bare LF belongs to a value; the first line is none.
inline PublishHeaders scan_headers(string_view block) {
  PublishHeaders h;
  const char *p = block.data(), *end = p + block.size();
  auto first = [&](string_view& field, string_view value) {
    if (field.data() == nullptr) field = value;
    h.any = true;
  };
  auto end_of_line = [&](const char* from) {
    const char* nl = (const char*)memchr(from, '\n', (size_t)(end - from));
    while (nl && (nl == from || nl[-1] != '\r')) nl = (const char*)memchr(nl + 1, '\n', (size_t)(end - nl - 1));
    return nl ? nl - 1 : end;
  };
  for (p = end_of_line(p); end - p > 2;) {
    p += 2;
    const char* line_end = end_of_line(p);
    if (line_end - p > 6 && p[0] == 'N' && memcmp(p, "Nats-", 5) == 0) {
      const char* colon = (const char*)memchr(p, ':', (size_t)(line_end - p));
      if (colon) {
        string_view name(p + 5, (size_t)(colon - p - 5));
        const char* v = colon + 1;
        while (v < line_end && *v == ' ') v++;
        string_view value(v, (size_t)(line_end - v));
        if (name == "Msg-Id") first(h.msg_id, value);
        else if (name == "Expected-Stream") first(h.expected_stream, value);
        else if (name == "Expected-Last-Sequence") first(h.expected_last_seq, value);
        else if (name == "Expected-Last-Subject-Sequence") first(h.expected_last_subject_seq, value);
        else if (name == "Expected-Last-Subject-Sequence-Subject") first(h.expected_subject, value);
        else if (name == "Expected-Last-Msg-Id") first(h.expected_last_msg_id, value);
        else if (name == "Rollup") first(h.rollup, value);
        else if (name == "TTL") first(h.ttl, value);
        else if (name == "Incr") first(h.incr, value);
        else if (name == "Schedule") first(h.schedule, value);
        else if (name == "Schedule-Target") first(h.schedule_target, value);
        else if (name == "Schedule-TTL") first(h.schedule_ttl, value);
        else if (name == "Schedule-Source") first(h.schedule_source, value);
        else if (name == "Schedule-Rollup") first(h.schedule_rollup, value);
        else if (name == "Schedule-Time-Zone") first(h.schedule_zone, value);
        else if (name == "Schedule-Next") first(h.schedule_next, value);
        else if (name == "Scheduler") first(h.scheduler, value);
        else if (name == "Batch-Id") first(h.batch_id, value);
        else if (name == "Batch-Sequence") first(h.batch_sequence, value);
        else if (name == "Batch-Commit") first(h.batch_commit, value);
        else if (name == "Required-Api-Level") first(h.required_level, value);
        else if (name == "Marker-Reason") first(h.marker_reason, value);
        else if (name == "Stream-Source") first(h.stream_source, value);
      }
    }
    p = line_end;
  }
  return h;
}

// All of an unsigned number's digits, within its range.
inline bool parse_unsigned(string_view s, uint64_t& v) {
  v = 0;
  for (char c : s) {
    uint64_t digit = (uint64_t)(c - '0');
    if (c < '0' || c > '9' || v > (UINT64_MAX - digit) / 10) return false;
    v = v * 10 + digit;
  }
  return !s.empty();
}

// A decimal number; -1 when it is none.
inline int64_t parse_number(string_view s) {
  if (s.empty() || s.size() > 19) return -1;
  uint64_t v = 0;
  for (char c : s) {
    if (c < '0' || c > '9') return -1;
    v = v * 10 + (uint64_t)(c - '0');
  }
  return v > INT64_MAX ? -1 : (int64_t)v;
}

}  // namespace slipstream
