// What a stream does with the subject of a message: stored on another one than it came on (S-031), and published again on yet
// another when it is stored (S-032, S-159), for those who want to see what is stored without a consumer.
#include "clock/rfc3339.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {

// Whoever takes the message in does it, so that the entry has the new subject: random parts need no care when it is applied.
string_view Stream::transformed(string_view subject, std::string& scratch) const {
  auto draw = [this] { return (uint32_t)(host.kernel.random() >> 33); };
  if (!transform_ || !transform_->transform(subject, draw, scratch)) return subject;
  return scratch.empty() || scratch.size() > UINT16_MAX ? subject : string_view(scratch);
}

// `previous` is the sequence of the message before it on its subject, so that receivers see gaps.
void Stream::republish(uint64_t seq, int64_t time_ns, string_view subject, string_view header, string_view body, uint64_t previous) {
  std::string target;
  auto draw = [this] { return (uint32_t)(host.kernel.random() >> 33); };
  if (!republish_->transform(subject, draw, target) || !valid_literal(target)) return;
  std::string sent(header.empty() ? string_view("NATS/1.0\r\n") : header.substr(0, header.size() - 2));
  sent += "Nats-Stream: " + name + "\r\nNats-Subject: ";
  sent += subject;
  sent += "\r\nNats-Sequence: " + std::to_string(seq) + "\r\nNats-Time-Stamp: " + rfc3339(time_ns) +
          "\r\nNats-Last-Sequence: " + std::to_string(previous) + "\r\n";
  if (spec.republish_headers_only) sent += "Nats-Msg-Size: " + std::to_string(body.size()) + "\r\n";
  sent += "\r\n";
  host.kernel.publish(account, target, {}, sent, spec.republish_headers_only ? string_view() : body);
}

}  // namespace slipstream
