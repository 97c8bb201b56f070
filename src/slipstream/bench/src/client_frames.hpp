// What a NATS server sends to a client: INFO, MSG, HMSG, PING, PONG, +OK, -ERR. The load generator must cost
// less than any server under test, so a frame is found with two memchr and a few digits, and nothing is
// copied or allocated.
//
// The server's own parser reads the other direction, which is a different grammar; the two share nothing on
// purpose, so that a mistake in one is seen by the other.
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

#include "bytes/bytes.hpp"

namespace slipstream::load {

enum class FrameKind : uint8_t { malformed, message, ping, pong, ok, error, info };

struct Frame {
  FrameKind kind = FrameKind::malformed;
  uint64_t sid = 0;
  string_view subject, reply, header, body;
  string_view text;  // INFO's JSON or -ERR's sentence
};

constexpr size_t kLineBytesMax = 1 << 20;  // INFO lists every known server; no line is longer
constexpr size_t kPayloadBytesMax = 1u << 30;

// Reads decimal digits that end just before `end`, and moves `end` before them. False: there are none.
inline bool take_number_backwards(const char* start, const char*& end, size_t& value) {
  value = 0;
  size_t scale = 1;
  const char* p = end;
  while (p > start && p[-1] >= '0' && p[-1] <= '9' && scale <= kPayloadBytesMax) {
    value += (size_t)(*--p - '0') * scale;
    scale *= 10;
  }
  if (p == end || (p > start && p[-1] != ' ' && p[-1] != '\t')) return false;
  end = p;
  return true;
}

inline void trim_blanks(const char*& p, const char*& end) {
  while (p < end && (*p == ' ' || *p == '\t')) p++;
  while (end > p && (end[-1] == ' ' || end[-1] == '\t')) end--;
}

// MSG subject sid [reply] size / HMSG subject sid [reply] header-size size. `line` follows the verb, `end` is
// before CRLF.
inline bool parse_message_line(const char* line, const char* end, bool with_header, Frame& frame,
                               size_t& header_size, size_t& size) {
  trim_blanks(line, end);
  header_size = 0;
  if (!take_number_backwards(line, end, size)) return false;
  trim_blanks(line, end);
  if (with_header) {
    if (!take_number_backwards(line, end, header_size) || header_size > size) return false;
    trim_blanks(line, end);
  }
  const char* blank = (const char*)memchr(line, ' ', (size_t)(end - line));
  if (!blank || size > kPayloadBytesMax) return false;
  frame.subject = {line, (size_t)(blank - line)};
  while (blank < end && *blank == ' ') blank++;
  frame.sid = 0;
  const char* digits = blank;
  while (blank < end && *blank >= '0' && *blank <= '9')
    frame.sid = frame.sid * 10 + (uint64_t)(*blank++ - '0');
  if (blank == digits || (blank < end && *blank != ' ')) return false;
  trim_blanks(blank, end);
  frame.reply = {blank, (size_t)(end - blank)};
  return frame.reply.find(' ') == string_view::npos;
}

// Parses the frame at p. Returns its length, or 0 when more bytes are needed; with frame.kind == malformed
// the stream is lost.
inline size_t parse_frame(const char* p, const char* end, Frame& frame) {
  const size_t available = (size_t)(end - p);
  const char* newline = (const char*)memchr(p, '\n', available);
  if (!newline) {
    frame.kind = available > kLineBytesMax ? FrameKind::malformed : FrameKind::ok;
    return available > kLineBytesMax ? available : 0;
  }
  const size_t line_length = (size_t)(newline + 1 - p);
  const char* line_end = newline > p && newline[-1] == '\r' ? newline - 1 : newline;
  const string_view line(p, (size_t)(line_end - p));
  frame.kind = FrameKind::malformed;
  const bool with_header = line.starts_with("HMSG ");
  if (with_header || line.starts_with("MSG ")) {
    size_t header_size, size;
    if (!parse_message_line(p + (with_header ? 5 : 4), line_end, with_header, frame, header_size, size))
      return line_length;
    if (available < line_length + size + 2) {
      frame.kind = FrameKind::ok;
      return 0;
    }
    const char* payload = p + line_length;
    if (payload[size] != '\r' || payload[size + 1] != '\n') return line_length;
    frame.kind = FrameKind::message;
    frame.header = {payload, header_size};
    frame.body = {payload + header_size, size - header_size};
    return line_length + size + 2;
  }
  if (line == "PING")
    frame.kind = FrameKind::ping;
  else if (line == "PONG")
    frame.kind = FrameKind::pong;
  else if (line == "+OK")
    frame.kind = FrameKind::ok;
  else if (line.starts_with("-ERR"))
    frame.kind = FrameKind::error, frame.text = line.substr(4);
  else if (line.starts_with("INFO "))
    frame.kind = FrameKind::info, frame.text = line.substr(5);
  return line_length;
}

// Splits what a connection received into frames. Many splitters share one scratch buffer, which stays in the
// cache; a splitter keeps only the bytes of its unfinished frame.
class FrameSplitter {
 public:
  // Where the next bytes belong: at least `bytes` of room behind the unfinished frame.
  char* room(Buffer& scratch, size_t bytes) {
    scratch.clear();
    scratch.append(unfinished_.view());
    return scratch.room(bytes > unfinished_.size() ? bytes : unfinished_.size());
  }

  // `bytes` were received at room(). Calls on_frame(const Frame&) for every whole frame; false: the stream is
  // malformed.
  template <class OnFrame>
  bool received(Buffer& scratch, size_t bytes, OnFrame&& on_frame) {
    scratch.grow(bytes);
    const char* p = scratch.data();
    const char* const end = p + scratch.size();
    Frame frame;
    while (p < end) {
      const size_t length = parse_frame(p, end, frame);
      if (length == 0) break;
      if (frame.kind == FrameKind::malformed) return false;
      on_frame(static_cast<const Frame&>(frame));
      p += length;
    }
    unfinished_.clear();
    unfinished_.append(p, (size_t)(end - p));
    return true;
  }

  bool between_frames() const { return unfinished_.empty(); }

 private:
  Buffer unfinished_;
};

}  // namespace slipstream::load
