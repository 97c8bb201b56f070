// The client protocol, bytes to commands. No state but what the bytes say: the caller keeps unconsumed bytes and
// calls again with more. The readable twin is slipstream/protocol/parser.py; both run the same tests.
#pragma once
#include <cstddef>
#include <cstdint>

#include "bytes/bytes.hpp"

namespace slipstream {

enum class Verb : uint8_t { none, pub, hpub, sub, unsub, ping, pong, connect, info, ok, err };

enum class ParseStatus : uint8_t {
  command,          // `command` is filled; `consumed` bytes are used up
  need_more,        // at least `wanted` bytes are needed, counted from the start of what was given
  unknown,          // no command begins so, or a payload does not end in CR LF: Unknown Protocol Operation
  bad_arguments,    // a known verb, senseless arguments: closed without words, as nats-server does
  headers_refused,  // HPUB without headers having been agreed: likewise
  line_long,        // maximum control line exceeded
  payload_big       // Maximum Payload Violation
};

struct Command {
  Verb verb = Verb::none;
  string_view subject, reply, queue, sid, text;  // text: what follows CONNECT, INFO, -ERR
  uint64_t max = 0;                              // UNSUB
  string_view header, body;
};

struct ParserLimits {
  size_t max_control_line = 4096;  // of what follows a verb and one blank
  int64_t max_payload = 1048576;
  bool headers = true;
};

class ProtocolParser {
 public:
  ParserLimits limits;
  size_t consumed = 0, wanted = 0;
  int64_t refused_size = 0;  // with payload_big

  ParseStatus next(const char* p, size_t n, Command& c) {
    size_t window = limits.max_control_line + kAroundArguments;
    const char* newline = (const char*)memchr(p, '\n', n < window ? n : window);
    if (!newline) return incomplete(p, n);
    const char* end = newline;
    if (end > p && end[-1] == '\r') end--;
    consumed = (size_t)(newline + 1 - p);
    constexpr uint32_t kPub = 0x20627570u;  // "pub " as a little-endian word
    if (end - p >= 4 && lower4(p) == kPub) return publish(p + 4, end, newline + 1, p + n, c, false);
    return other(p, end, newline + 1, p + n, c);
  }

 private:
  static constexpr size_t kMaxArgs = 5;
  static constexpr size_t kAroundArguments = 10;  // the longest verb, a blank, CR LF
  enum class After : uint8_t { blank, anything };
  struct VerbForm { Verb verb; const char* name; size_t length; After after; };
  static constexpr VerbForm kForms[] = {
      {Verb::pub, "pub", 3, After::blank},         {Verb::hpub, "hpub", 4, After::blank},
      {Verb::sub, "sub", 3, After::blank},         {Verb::unsub, "unsub", 5, After::blank},
      {Verb::ping, "ping", 4, After::anything},    {Verb::pong, "pong", 4, After::anything},
      {Verb::connect, "connect", 7, After::anything}, {Verb::info, "info", 4, After::anything},
      {Verb::ok, "+ok", 3, After::anything},       {Verb::err, "-err", 4, After::blank},
  };

  static uint32_t lower4(const char* p) { return load32(p) | 0x00202020u; }
  static char lower(char ch) { return ch >= 'A' && ch <= 'Z' ? (char)(ch | 0x20) : ch; }
  static bool blank(char ch) { return ch == ' ' || ch == '\t'; }

  static bool begins(const char* p, size_t n, const VerbForm& form) {
    for (size_t i = 0; i < n; i++)
      if (lower(p[i]) != form.name[i]) return false;
    return true;
  }

  // The verb of a line, or null; `n` bytes of it are there. The first bytes of an incomplete line may fit several.
  static const VerbForm* find_verb(const char* p, size_t n, bool complete) {
    for (const VerbForm& form : kForms) {
      if (complete && n < form.length) continue;
      if (!begins(p, n < form.length ? n : form.length, form)) continue;
      bool blank_follows = n > form.length ? blank(p[form.length]) : !complete;
      if (form.after == After::anything || blank_follows) return &form;
    }
    return nullptr;
  }

  bool too_long(const char* arguments, const char* end) const {
    return end - arguments > (ptrdiff_t)limits.max_control_line;
  }

  // No end of line yet. What cannot become a command fails at its first wrong byte, not at the end of the line.
  ParseStatus incomplete(const char* p, size_t n) {
    wanted = n + 1;
    if (n == 0) return ParseStatus::need_more;
    const VerbForm* form = find_verb(p, n, false);
    if (!form) return ParseStatus::unknown;
    if (n <= form->length) return ParseStatus::need_more;
    const char* arguments = p + form->length + (blank(p[form->length]) ? 1 : 0);
    const char* end = p + n - (p[n - 1] == '\r' ? 1 : 0);
    return too_long(arguments, end) ? ParseStatus::line_long : ParseStatus::need_more;
  }

  ParseStatus other(const char* p, const char* end, const char* payload, const char* limit, Command& c) {
    const VerbForm* form = find_verb(p, (size_t)(end - p), true);
    if (!form) return ParseStatus::unknown;
    const char* arguments = p + form->length;
    if (arguments < end && blank(*arguments)) arguments++;
    switch (form->verb) {
      case Verb::pub:
        return publish(arguments, end, payload, limit, c, false);
      case Verb::hpub:
        return publish(arguments, end, payload, limit, c, true);
      default:
        break;
    }
    if (too_long(arguments, end)) return ParseStatus::line_long;
    c.verb = form->verb;
    switch (form->verb) {
      case Verb::sub:
        return subscribe(arguments, end, c);
      case Verb::unsub:
        return unsubscribe(arguments, end, c);
      default:
        while (arguments < end && blank(*arguments)) arguments++;
        c.text = {arguments, (size_t)(end - arguments)};
        return ParseStatus::command;
    }
  }

  // Returns how many words there are, kMaxArgs + 1 for more than fit.
  template <class Separator>
  static size_t split(const char* p, const char* end, string_view* out, Separator separates) {
    size_t n = 0;
    while (p < end) {
      while (p < end && separates(*p)) p++;
      if (p >= end) break;
      const char* start = p;
      while (p < end && !separates(*p)) p++;
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

  ParseStatus publish(const char* p, const char* end, const char* payload, const char* limit, Command& c,
                      bool headers) {
    if (too_long(p, end)) return ParseStatus::line_long;
    if (headers && !limits.headers) return ParseStatus::headers_refused;
    string_view args[kMaxArgs];
    size_t n = split(p, end, args, blank);
    size_t fewest = headers ? 3 : 2;
    if (n != fewest && n != fewest + 1) return ParseStatus::bad_arguments;
    int64_t size = size_of(args[n - 1]), header_size = headers ? size_of(args[n - 2]) : 0;
    if (size < 0 || header_size < 0 || header_size > size) return ParseStatus::bad_arguments;
    if (limits.max_payload >= 0 && size > limits.max_payload) {
      refused_size = size;
      return ParseStatus::payload_big;
    }
    if (limit - payload < size + 2) {
      wanted = consumed + (size_t)size + 2;
      // A wrong terminator is noticed as soon as its first byte is there.
      if (limit - payload > size && payload[size] != '\r') return ParseStatus::unknown;
      return ParseStatus::need_more;
    }
    if (payload[size] != '\r' || payload[size + 1] != '\n') return ParseStatus::unknown;
    c.verb = headers ? Verb::hpub : Verb::pub;
    c.subject = args[0];
    c.reply = n > fewest ? args[1] : string_view{};
    c.header = {payload, (size_t)header_size};
    c.body = {payload + header_size, (size_t)(size - header_size)};
    consumed += (size_t)size + 2;
    return ParseStatus::command;
  }

  // A stray CR separates words here: a sid with one in it would break the lines that carry it back.
  static bool blank_or_cr(char ch) { return blank(ch) || ch == '\r'; }

  static ParseStatus subscribe(const char* p, const char* end, Command& c) {
    string_view args[kMaxArgs];
    size_t n = split(p, end, args, blank_or_cr);
    if (n != 2 && n != 3) return ParseStatus::bad_arguments;
    c.subject = args[0];
    c.queue = n == 3 ? args[1] : string_view{};
    c.sid = args[n - 1];
    return ParseStatus::command;
  }

  static ParseStatus unsubscribe(const char* p, const char* end, Command& c) {
    string_view args[kMaxArgs];
    size_t n = split(p, end, args, blank_or_cr);
    if (n != 1 && n != 2) return ParseStatus::bad_arguments;
    int64_t max = n == 2 ? size_of(args[1]) : 0;
    c.sid = args[0];
    c.max = max > 0 ? (uint64_t)max : 0;
    return ParseStatus::command;
  }
};

}  // namespace slipstream
