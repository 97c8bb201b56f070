// What --trace shows: each command that came in and each line that went out, in nats-server's words. Off, it costs a
// branch. The lines leave as events for the log; when the log cannot keep up, the newest are dropped and counted: a look
// into a server must not cost its memory.
#include <algorithm>
#include <utility>

#include "turn/kernel.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kTraceBytesQueuedMax = 16 << 20;
constexpr uint64_t kTraceBytesEach = 256;  // what an event costs beside its texts

void add(std::string& line, string_view word) {
  if (word.empty()) return;
  line += ' ';
  line += word;
}

}  // namespace

// CONNECT is traced where it is understood, because its secrets must not be.
void Kernel::trace_command(const Connection& c, const Command& cmd) {
  std::string line = "<<- [";
  switch (cmd.verb) {
    case Verb::pub:
    case Verb::hpub:
      line += cmd.verb == Verb::pub ? "PUB" : "HPUB";
      add(line, cmd.subject);
      add(line, cmd.reply);
      if (cmd.verb == Verb::hpub) add(line, std::to_string(cmd.header.size()));
      add(line, std::to_string(cmd.header.size() + cmd.body.size()));
      break;
    case Verb::sub:
      line += "SUB";
      add(line, cmd.subject);
      add(line, cmd.queue);
      add(line, cmd.sid);
      break;
    case Verb::unsub:
      line += "UNSUB";
      add(line, cmd.sid);
      if (cmd.max) add(line, std::to_string(cmd.max));
      break;
    case Verb::ping:
      line += "PING";
      break;
    case Verb::pong:
      line += "PONG";
      break;
    default:
      return;
  }
  bool carries = cmd.verb == Verb::pub || cmd.verb == Verb::hpub;  // the others leave the fields of an earlier command
  trace(c, line + ']', carries ? cmd.header : string_view{}, carries ? cmd.body : string_view{});
}

// `line` as it goes out, with its CR LF; what an error says stands there in quotes.
void Kernel::trace_sent(const Connection& c, string_view line, string_view header, string_view body) {
  line.remove_suffix(2);
  std::string shown(line);
  if (line.starts_with("-ERR '")) shown = "-ERR " + std::string(line.substr(6, line.size() - 7));
  else if (line == "+OK") shown = "OK";
  trace(c, "->> [" + shown + ']', header, body);
}

void Kernel::trace(const Connection& c, const std::string& line, string_view header, string_view body) {
  size_t size = header.size() + body.size();
  size_t kept = limits.traced_payload_max > 0 ? std::min(size, (size_t)limits.traced_payload_max) : size;
  uint64_t cost = kTraceBytesEach + line.size() + kept;
  if (trace_bytes_queued_ + cost > kTraceBytesQueuedMax) {
    traces_dropped_++;
    return;
  }
  trace_bytes_queued_ += cost;
  EventRecord e{EventType::trace};
  e.a = c.cid, e.b = (uint64_t)c.port, e.c = std::exchange(traces_dropped_, 0), e.d = kept < size, e.e = cost;
  e.s0 = line, e.s1 = c.ip;
  e.s2.reserve(kept);
  e.s2 = header.substr(0, kept);
  e.s2 += body.substr(0, kept - e.s2.size());
  emit(std::move(e));
}

}  // namespace slipstream
