#include "consume_roles.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace slipstream::load {

namespace {

constexpr string_view kPullExpires = "30000000000";

// $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>, or with domain and
// account after ACK.
struct AckSubject {
  string_view stream;
  uint64_t delivered = 0, stream_sequence = 0, consumer_sequence = 0;
};

bool parse_digits(string_view text, uint64_t& value) {
  value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + (uint64_t)(c - '0');
  }
  return !text.empty() && text.size() < 20;
}

bool parse_ack_subject(string_view subject, AckSubject& ack) {
  std::array<string_view, 12> tokens;
  size_t n = 0, start = 0;
  for (size_t i = 0; i <= subject.size(); i++) {
    if (i < subject.size() && subject[i] != '.') continue;
    if (n == tokens.size()) return false;
    tokens[n++] = subject.substr(start, i - start);
    start = i + 1;
  }
  const size_t at = n == 9 ? 2 : 4;
  if ((n != 9 && n < 11) || tokens[0] != "$JS" || tokens[1] != "ACK") return false;
  ack.stream = tokens[at];
  return parse_digits(tokens[at + 2], ack.delivered) && parse_digits(tokens[at + 3], ack.stream_sequence) &&
         parse_digits(tokens[at + 4], ack.consumer_sequence);
}

bool is_status(const Frame& frame) { return frame.header.starts_with("NATS/1.0 "); }
string_view status_line(const Frame& frame) { return frame.header.substr(9, frame.header.find('\r') - 9); }

string_view header_value(string_view header, string_view key) {
  const size_t at = header.find(key);
  if (at == string_view::npos) return {};
  string_view value = header.substr(at + key.size());
  value = value.substr(0, value.find('\r'));
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  return value;
}

// Which messages have come, of those that must come exactly once.
class Deliveries {
 public:
  Deliveries(std::string stream, uint64_t first, uint64_t count, size_t payload_bytes, bool in_order)
      : stream_(std::move(stream)),
        first_(first),
        payload_bytes_(payload_bytes),
        in_order_(in_order),
        seen_(count) {}

  bool add(const Frame& frame) {
    AckSubject ack;
    if (!parse_ack_subject(frame.reply, ack)) return false;
    const uint64_t at = ack.stream_sequence - first_;
    if (ack.stream != stream_ || ack.delivered != 1 || frame.body.size() != payload_bytes_) return false;
    if (at >= seen_.size() || seen_[at]) return false;
    if (in_order_ && (at != received_ || ack.consumer_sequence != received_ + 1)) return false;
    seen_[at] = true;
    received_++;
    return true;
  }

  // The sentence for a delivery that add() refused.
  std::string wrong(const Frame& frame) const {
    AckSubject ack;
    if (!parse_ack_subject(frame.reply, ack))
      return "a delivery with the reply subject '" + std::string(frame.reply) + "'";
    const std::string which = "sequence " + std::to_string(ack.stream_sequence);
    const uint64_t at = ack.stream_sequence - first_;
    if (ack.stream != stream_) return "a delivery of stream " + std::string(ack.stream);
    if (ack.delivered != 1) return which + " delivered " + std::to_string(ack.delivered) + " times";
    if (frame.body.size() != payload_bytes_)
      return which + " has " + std::to_string(frame.body.size()) + " bytes";
    if (at >= seen_.size()) return which + " was not to come";
    if (seen_[at]) return which + " came twice";
    if (at != received_) return which + " came where " + std::to_string(first_ + received_) + " was next";
    return "a gap in the consumer's sequence at " + which;
  }

  bool complete() const { return received_ == seen_.size(); }

 private:
  const std::string stream_;
  const uint64_t first_;
  const size_t payload_bytes_;
  const bool in_order_;
  std::vector<bool> seen_;
  uint64_t received_ = 0;
};

struct PullClient : Client {
  uint64_t pending = 0;  // asked for and not yet come
  std::string inbox;
};

class Pullers : public Role {
 public:
  explicit Pullers(PullOptions options)
      : Role(options.continuous ? "consume" : "fetch", options.clients, options.background),
        options_(std::move(options)),
        deliveries_(options_.stream, options_.first_sequence, options_.count, options_.payload_bytes,
                    options_.clients == 1),
        unasked_(options_.count) {
    if (options_.batch == 0) throw std::invalid_argument("pull: a batch is at least one message");
  }

  uint64_t target() const override { return options_.count; }

 protected:
  bool ends_with_pong() const override { return true; }

  std::unique_ptr<Client> make_client() override { return std::make_unique<PullClient>(); }

  std::string subscriptions(Client& client) override {
    auto& self = static_cast<PullClient&>(client);
    self.inbox = options_.inbox + "." + std::to_string(client.number);
    return "SUB " + self.inbox + " 1\r\n";
  }

  bool refill(Client& client) override {
    auto& self = static_cast<PullClient&>(client);
    const uint64_t threshold = options_.continuous ? options_.batch / 2 : 0;
    if (self.pending > threshold) return false;
    // A fetch asks for what nobody has asked for yet; a continuous consumer does not know where the stream
    // ends.
    const uint64_t n =
        options_.continuous ? options_.batch - self.pending : std::min(options_.batch, unasked_);
    if (n == 0) return false;
    if (!options_.continuous) unasked_ -= n;
    self.pending += n;
    const std::string request =
        "{\"batch\":" + std::to_string(n) + ",\"expires\":" + std::string(kPullExpires) + "}";
    client.connection.out.append("PUB $JS.API.CONSUMER.MSG.NEXT." + options_.stream + "." +
                                 options_.consumer + " " + self.inbox + " " + std::to_string(request.size()) +
                                 "\r\n" + request + "\r\n");
    return false;
  }

  void on_message(Client& client, const Frame& frame) override {
    auto& self = static_cast<PullClient&>(client);
    if (is_status(frame)) return on_status(self, frame);
    if (!deliveries_.add(frame)) return fail(deliveries_.wrong(frame));
    if (self.pending == 0) return fail("a message beyond the batch");
    self.pending--;
    count(frame.body.size());
    if (options_.acknowledge) acknowledge(client.connection.out, frame.reply);
    if (deliveries_.complete()) complete_all();
  }

 private:
  static void acknowledge(Buffer& out, string_view reply) {
    out.append("PUB ");
    out.append(reply);
    out.append(" 4\r\n+ACK\r\n");
  }

  void on_status(PullClient& self, const Frame& frame) {
    const string_view status = status_line(frame);
    if (status.starts_with("100")) return;
    if (!status.starts_with("404") && !status.starts_with("408"))
      return fail("pull answered with " + std::string(status));
    uint64_t rest = self.pending;
    const string_view pending = header_value(frame.header, "Nats-Pending-Messages:");
    if (!pending.empty() && (!parse_digits(pending, rest) || rest > self.pending))
      return fail("pull ended with " + std::string(pending) + " messages pending");
    self.pending -= rest;
    if (!options_.continuous) unasked_ += rest;
  }

  const PullOptions options_;
  Deliveries deliveries_;
  uint64_t unasked_;
};

struct ReceiveClient : Client {
  bool asked = false;
};

class Receiver : public Role {
 public:
  explicit Receiver(ReceiveOptions options)
      : Role("replay", 1, options.background),
        options_(std::move(options)),
        deliveries_(options_.stream, options_.first_sequence, options_.count, options_.payload_bytes, true) {}

  uint64_t target() const override { return options_.count; }

 protected:
  std::unique_ptr<Client> make_client() override { return std::make_unique<ReceiveClient>(); }

  std::string subscriptions(Client&) override {
    return "SUB " + options_.deliver_subject + " 1\r\nSUB " + options_.inbox + " 2\r\n";
  }

  bool refill(Client& client) override {
    auto& self = static_cast<ReceiveClient&>(client);
    if (self.asked) return false;
    self.asked = true;
    client.connection.out.append("PUB " + options_.create_subject + " " + options_.inbox + " " +
                                 std::to_string(options_.create_request.size()) + "\r\n" +
                                 options_.create_request + "\r\n");
    return false;
  }

  void on_message(Client& client, const Frame& frame) override {
    if (frame.sid == 2) {
      if (is_status(frame)) return fail("consumer create answered with " + std::string(status_line(frame)));
      if (frame.body.find("\"error\":") != string_view::npos)
        return fail("consumer create answered with " + std::string(frame.body));
      return;
    }
    if (is_status(frame)) return on_status(client, frame);
    if (!deliveries_.add(frame)) return fail(deliveries_.wrong(frame));
    count(frame.body.size());
    if (deliveries_.complete()) complete(client);
  }

 private:
  // A flow control request is answered at its place in the order; a heartbeat may name one whose answer was
  // lost.
  void on_status(Client& client, const Frame& frame) {
    if (!status_line(frame).starts_with("100"))
      return fail("the consumer sent " + std::string(status_line(frame)));
    const string_view reply =
        frame.reply.empty() ? header_value(frame.header, "Nats-Consumer-Stalled:") : frame.reply;
    if (!reply.empty()) client.connection.out.append("PUB " + std::string(reply) + " 0\r\n\r\n");
  }

  const ReceiveOptions options_;
  Deliveries deliveries_;
};

}  // namespace

std::unique_ptr<Role> make_pullers(PullOptions options) {
  return std::make_unique<Pullers>(std::move(options));
}
std::unique_ptr<Role> make_receiver(ReceiveOptions options) {
  return std::make_unique<Receiver>(std::move(options));
}

}  // namespace slipstream::load
