#include "request_role.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>

namespace slipstream::load {

namespace {

constexpr size_t kTokenDigits = 8;
constexpr uint64_t kTokens = 100'000'000;     // more than any run asks on one connection
constexpr size_t kBurstBytesMax = 256 << 10;  // no more requests are written ahead of the socket than this

bool parse_digits(string_view text, uint64_t& value) {
  value = 0;
  if (text.empty() || text.size() > 19) return false;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + (uint64_t)(c - '0');
  }
  return true;
}

// The digits that follow `key` in `text`.
bool number_after(string_view text, string_view key, uint64_t& value) {
  const size_t at = text.find(key);
  if (at == string_view::npos) return false;
  size_t start = at + key.size();
  while (start < text.size() && text[start] == ' ') start++;
  size_t end = start;
  while (end < text.size() && text[end] >= '0' && text[end] <= '9') end++;
  return parse_digits(text.substr(start, end - start), value);
}

std::string first_line(string_view header) { return std::string(header.substr(0, header.find('\r'))); }

struct RequestClient : Client {
  uint64_t count = 0, sent = 0, answered = 0, index_first = 0, last_sequence = 0, last_token = 0;
  std::vector<int64_t> asked_ns;  // by token % size; 0: not under way
  std::unique_ptr<FrameTemplates> frames;
};

class Requesters : public Role {
 public:
  explicit Requesters(RequestOptions options)
      : Role(options.name, options.clients, options.background), options_(std::move(options)) {
    if (options_.messages.empty()) throw std::invalid_argument("request: no message");
    if (options_.window == 0 || options_.subjects == 0 || options_.number_cycle == 0)
      throw std::invalid_argument("request: window, subjects and cycle are at least one");
    if (options_.count / options_.clients >= kTokens)
      throw std::invalid_argument("request: too many for one client");
    stream_field_ = "\"stream\":\"" + options_.stream + "\"";
    stream_header_ = "Nats-Stream: " + options_.stream + "\r\n";
  }

  uint64_t target() const override { return options_.count; }

 protected:
  std::unique_ptr<Client> make_client() override { return std::make_unique<RequestClient>(); }

  std::string subscriptions(Client& client) override {
    auto& self = static_cast<RequestClient&>(client);
    const uint64_t number = client.number, n = options_.clients, total = options_.count;
    self.count = total ? total / n + (number < total % n ? 1 : 0) : kTokens;
    self.index_first = options_.index_first +
                       (total ? number * (total / n) + std::min(number, total % n) : number * (kTokens / n));
    self.asked_ns.assign(std::bit_ceil(options_.window * 4), 0);
    const std::string inbox = options_.inbox + "." + std::to_string(number) + ".";
    std::vector<MessageText> messages = options_.messages;
    messages.back().reply = inbox + std::string(kTokenMarker);
    self.frames = std::make_unique<FrameTemplates>(std::move(messages));
    if (self.count == 0) throw std::invalid_argument(name() + ": fewer requests than clients");
    return "SUB " + inbox + "* 1\r\n";
  }

  bool refill(Client& client) override {
    auto& self = static_cast<RequestClient&>(client);
    Buffer& out = client.connection.out;
    const int64_t now = monotonic_ns();
    while (self.sent < self.count && self.sent - self.answered < options_.window &&
           out.size() < kBurstBytesMax) {
      const int64_t due = options_.rate > 0 ? due_ns(self) : now;
      int64_t& asked = self.asked_ns[self.sent % self.asked_ns.size()];
      if (due > now || asked != 0) break;
      asked = due;
      const uint64_t index = self.index_first + self.sent;
      self.frames->write(out, {.index = index,
                               .subject = index % options_.subjects,
                               .number = number_of(index),
                               .token = self.sent});
      self.sent++;
    }
    return out.size() >= kBurstBytesMax;
  }

  int64_t next_due_ns() const override {
    if (options_.rate <= 0) return 0;
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < options_.clients; i++) {
      const auto& self = static_cast<const RequestClient&>(client(i));
      if (self.sent < self.count && self.sent - self.answered < options_.window)
        next = std::min(next, due_ns(self));
    }
    return next == INT64_MAX ? 0 : next;
  }

  void on_message(Client& client, const Frame& frame) override {
    auto& self = static_cast<RequestClient&>(client);
    uint64_t token;
    if (frame.subject.size() < kTokenDigits ||
        !parse_digits(frame.subject.substr(frame.subject.size() - kTokenDigits), token))
      return fail("an answer on " + std::string(frame.subject));
    int64_t& asked = self.asked_ns[token % self.asked_ns.size()];
    if (asked == 0 || token >= self.sent)
      return fail("an answer that nobody waits for, on " + std::string(frame.subject));
    if (frame.header.starts_with("NATS/1.0 ")) return fail("answered with " + first_line(frame.header));
    if (!check(self, frame, token)) return;
    if (options_.latencies) add_latency((options_.window == 1 ? monotonic_ns() : now_ns_) - asked);
    asked = 0;
    self.answered++;
    count(options_.check == AnswerCheck::pub_ack ? payload_bytes() : frame.body.size());
    if (self.answered == self.count) complete(client);
  }

 private:
  int64_t due_ns(const RequestClient& self) const {
    const double interval_ns = 1e9 * (double)options_.clients / options_.rate;
    return start_ns_ +
           (int64_t)(interval_ns * ((double)self.sent + (double)self.number / (double)options_.clients));
  }

  uint64_t number_of(uint64_t index) const {
    switch (options_.number_rule) {
      case NumberRule::none: return 0;
      case NumberRule::cycle: return options_.number_first + index % options_.number_cycle;
      case NumberRule::previous_on_subject:
        return index - options_.index_first < options_.subjects
                   ? 0
                   : options_.number_first + index - options_.index_first - options_.subjects;
    }
    return 0;
  }

  uint64_t payload_bytes() const {
    uint64_t bytes = 0;
    for (const MessageText& message : options_.messages) bytes += message.payload.size();
    return bytes;
  }

  bool check(RequestClient& self, const Frame& frame, uint64_t token) {
    switch (options_.check) {
      case AnswerCheck::size: return check_size(frame);
      case AnswerCheck::pub_ack: return check_pub_ack(self, frame, token);
      case AnswerCheck::direct: return check_direct(self, frame, token);
      case AnswerCheck::api:
        if (frame.body.find("\"error\":") == string_view::npos && frame.body.starts_with("{")) return true;
        fail("answered with " + std::string(frame.body));
        return false;
    }
    return false;
  }

  bool check_size(const Frame& frame) {
    if (frame.body.size() == options_.answer_bytes) return true;
    fail("an answer of " + std::to_string(frame.body.size()) + " bytes instead of " +
         std::to_string(options_.answer_bytes));
    return false;
  }

  bool check_pub_ack(RequestClient& self, const Frame& frame, uint64_t token) {
    uint64_t sequence;
    const string_view ack = frame.body;
    const bool good =
        ack.find(stream_field_) != string_view::npos && number_after(ack, "\"seq\":", sequence) &&
        ack.find("\"error\":") == string_view::npos && ack.find("\"duplicate\":") == string_view::npos;
    if (!good) return fail("publish answered with " + std::string(ack)), false;
    if (sequence <= self.last_sequence)
      return fail("sequence " + std::to_string(sequence) + " acknowledged after " +
                  std::to_string(self.last_sequence)),
             false;
    if (token < self.last_token) return fail("an older publish acknowledged after a newer one"), false;
    self.last_sequence = sequence;
    self.last_token = token;
    return true;
  }

  bool check_direct(RequestClient& self, const Frame& frame, uint64_t token) {
    uint64_t sequence;
    if (frame.header.find(stream_header_) == string_view::npos ||
        !number_after(frame.header, "Nats-Sequence:", sequence))
      return fail("a direct get answered with " + std::string(frame.header)), false;
    const uint64_t wanted = number_of(self.index_first + token);
    if (wanted != 0 && wanted != sequence)
      return fail("sequence " + std::to_string(sequence) + " instead of " + std::to_string(wanted)), false;
    return check_size(frame);
  }

  const RequestOptions options_;
  std::string stream_field_, stream_header_;
};

}  // namespace

std::unique_ptr<Role> make_requesters(RequestOptions options) {
  return std::make_unique<Requesters>(std::move(options));
}

}  // namespace slipstream::load
