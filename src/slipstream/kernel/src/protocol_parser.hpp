// The client protocol, bytes to commands. No state but what the bytes say: the caller keeps unconsumed bytes and calls
// again with more. The readable twin is slipstream/protocol/parser.py; both run the same tests.
#pragma once
#include <cstddef>
#include <cstdint>

#include "bytes.hpp"

namespace slipstream {

enum class Verb : uint8_t { none, pub, hpub, sub, unsub, ping, pong, connect, info, ok, err };

enum class ParseStatus : uint8_t {
  command,     // `command` is filled; `consumed` bytes are used up
  need_more,   // at least `wanted` bytes are needed, counted from the start of what was given
  bad,         // Unknown Protocol Operation
  line_long,   // maximum control line exceeded
  payload_big  // Maximum Payload Violation
};

struct Command {
  Verb verb = Verb::none;
  string_view subject, reply, queue, sid, text;  // text: what follows CONNECT, INFO, -ERR
  uint64_t max = 0;                              // UNSUB
  string_view header, body;
};

struct ParserLimits {
  size_t max_control_line = 4096;
  int64_t max_payload = 1048576;
};

class ProtocolParser {
 public:
  ParserLimits limits;
  size_t consumed = 0, wanted = 0;
  int64_t refused_size = 0;  // with payload_big

  ParseStatus next(const char* p, size_t n, Command& c) {
    const char* newline = (const char*)memchr(p, '\n', n < limits.max_control_line + 2 ? n : limits.max_control_line + 2);
    if (!newline) return n > limits.max_control_line ? ParseStatus::line_long : early_check(p, n);
    const char* end = newline;
    if (end > p && end[-1] == '\r') end--;
    if ((size_t)(end - p) > limits.max_control_line) return ParseStatus::line_long;
    consumed = (size_t)(newline + 1 - p);
    if (n >= 4 && end - p >= 4 && lower4(p) == 0x20627570u) return publish(p + 4, end, newline + 1, p + n, c, false);   // "pub "
    return other(p, end, newline + 1, p + n, c);
  }

 private:
  static constexpr size_t kMaxArgs = 5;

  static uint32_t lower4(const char* p) { return load32(p) | 0x00202020u; }

  static bool blank(char ch) { return ch == ' ' || ch == '\t'; }

  static size_t split(const char* p, const char* end, string_view* out) {
    size_t n = 0;
    while (p < end) {
      while (p < end && blank(*p)) p++;
      if (p >= end) break;
      const char* start = p;
      while (p < end && !blank(*p)) p++;
      if (n == kMaxArgs) return kMaxArgs + 1;
      out[n++] = {start, (size_t)(p - start)};
    }
    return n;
  }

  // -1 when it is not a decimal number of at most nine digits (as nats-server limits it).
  static int64_t size_of(string_view s) {
    if (s.empty() || s.size() > 9) return -1;
    int64_t v = 0;
    for (char ch : s) {
      if (ch < '0' || ch > '9') return -1;
      v = v * 10 + (ch - '0');
    }
    return v;
  }

  // A first byte that cannot begin a command fails before a whole line has come.
  ParseStatus early_check(const char* p, size_t n) {
    wanted = n + 1;
    if (n == 0) return ParseStatus::need_more;
    switch (p[0] | 0x20) {
      case 'p': case 'h': case 's': case 'u': case 'c': case 'i': return ParseStatus::need_more;
      default: return p[0] == '+' || p[0] == '-' ? ParseStatus::need_more : ParseStatus::bad;
    }
  }

  ParseStatus publish(const char* p, const char* end, const char* payload, const char* limit, Command& c, bool headers) {
    string_view args[kMaxArgs];
    size_t n = split(p, end, args);
    size_t fewest = headers ? 3 : 2;
    if (n != fewest && n != fewest + 1) return ParseStatus::bad;
    int64_t size = size_of(args[n - 1]), header_size = headers ? size_of(args[n - 2]) : 0;
    if (size < 0 || header_size < 0 || header_size > size) return ParseStatus::bad;
    if (limits.max_payload >= 0 && size > limits.max_payload) {
      refused_size = size;
      return ParseStatus::payload_big;
    }
    if (limit - payload < size + 2) {
      wanted = consumed + (size_t)size + 2;
      // A wrong terminator is noticed as soon as its first byte is there.
      if (limit - payload > size && payload[size] != '\r') return ParseStatus::bad;
      return ParseStatus::need_more;
    }
    if (payload[size] != '\r' || payload[size + 1] != '\n') return ParseStatus::bad;
    c.verb = headers ? Verb::hpub : Verb::pub;
    c.subject = args[0];
    c.reply = n > fewest ? args[1] : string_view{};
    c.header = {payload, (size_t)header_size};
    c.body = {payload + header_size, (size_t)(size - header_size)};
    consumed += (size_t)size + 2;
    return ParseStatus::command;
  }

  static bool word(const char* p, const char* end, const char* name, size_t n) {
    if ((size_t)(end - p) < n) return false;
    for (size_t i = 0; i < n; i++)
      if ((p[i] | 0x20) != name[i]) return false;
    return true;
  }

  ParseStatus other(const char* p, const char* end, const char* payload, const char* limit, Command& c) {
    size_t n = (size_t)(end - p);
    if (n == 0) return ParseStatus::bad;
    auto args_after = [&](size_t k) { return n > k && blank(p[k]); };
    switch (p[0] | 0x20) {
      case 'p':
        if (word(p, end, "pub", 3) && args_after(3)) return publish(p + 3, end, payload, limit, c, false);
        if (word(p, end, "ping", 4)) return plain(c, Verb::ping);
        if (word(p, end, "pong", 4)) return plain(c, Verb::pong);
        return ParseStatus::bad;
      case 'h':
        if (word(p, end, "hpub", 4) && args_after(4)) return publish(p + 4, end, payload, limit, c, true);
        return ParseStatus::bad;
      case 's':
        return word(p, end, "sub", 3) && args_after(3) ? subscribe(p + 3, end, c) : ParseStatus::bad;
      case 'u':
        return word(p, end, "unsub", 5) && args_after(5) ? unsubscribe(p + 5, end, c) : ParseStatus::bad;
      case 'c':
        if (!word(p, end, "connect", 7) || !args_after(7)) return ParseStatus::bad;
        return text(p + 7, end, c, Verb::connect);
      case 'i':
        if (!word(p, end, "info", 4) || !args_after(4)) return ParseStatus::bad;
        return text(p + 4, end, c, Verb::info);
      default:
        if (p[0] == '+' && word(p + 1, end, "ok", 2)) return plain(c, Verb::ok);
        if (p[0] == '-' && word(p + 1, end, "err", 3)) return text(p + 4, end, c, Verb::err);
        return ParseStatus::bad;
    }
  }

  static ParseStatus plain(Command& c, Verb v) {
    c.verb = v;
    return ParseStatus::command;
  }

  static ParseStatus text(const char* p, const char* end, Command& c, Verb v) {
    while (p < end && blank(*p)) p++;
    c.verb = v;
    c.text = {p, (size_t)(end - p)};
    return ParseStatus::command;
  }

  static ParseStatus subscribe(const char* p, const char* end, Command& c) {
    string_view args[kMaxArgs];
    size_t n = split(p, end, args);
    if (n != 2 && n != 3) return ParseStatus::bad;
    c.verb = Verb::sub;
    c.subject = args[0];
    c.queue = n == 3 ? args[1] : string_view{};
    c.sid = args[n - 1];
    return ParseStatus::command;
  }

  static ParseStatus unsubscribe(const char* p, const char* end, Command& c) {
    string_view args[kMaxArgs];
    size_t n = split(p, end, args);
    if (n != 1 && n != 2) return ParseStatus::bad;
    int64_t max = n == 2 ? size_of(args[1]) : 0;
    c.verb = Verb::unsub;
    c.sid = args[0];
    c.max = max > 0 ? (uint64_t)max : 0;
    return ParseStatus::command;
  }
};

}  // namespace slipstream
