#include "core_roles.hpp"

#include <algorithm>
#include <stdexcept>

namespace slipstream::load {

namespace {

constexpr size_t kBlockBytes = 256 << 10;   // one send; stays in the second-level cache
constexpr size_t kBlockBytesMax = 4 << 20;  // a block that is built once holds a whole round of subjects
constexpr size_t kTimestampBytes = 8;

uint64_t share(uint64_t total, size_t clients, size_t number) {
  return total / clients + (number < total % clients ? 1 : 0);
}

struct PublishClient : Client {
  uint64_t left = 0, next_index = 0;
  Buffer block;  // only of clients that cannot share one
};

class Publishers : public Role {
 public:
  explicit Publishers(PublishOptions options)
      : Role("publish", options.clients, options.background),
        options_(std::move(options)),
        frames_({options_.message}) {
    if (options_.subjects == 0) throw std::invalid_argument("publish: at least one subject is needed");
    if (options_.timestamps && options_.message.payload.size() < kTimestampBytes)
      throw std::invalid_argument("publish: a timestamp needs a payload of eight bytes");
    frame_bytes_ = frames_.size();
    block_frames_ = std::max<uint64_t>(1, kBlockBytes / frame_bytes_);
    const uint64_t rounds = std::max<uint64_t>(1, block_frames_ / options_.subjects);
    const bool index_used = options_.message.header.find(kIndexMarker) != std::string::npos ||
                            options_.message.payload.find(kIndexMarker) != std::string::npos;
    shares_block_ =
        !index_used && !options_.timestamps && rounds * options_.subjects * frame_bytes_ <= kBlockBytesMax;
    if (shares_block_) {
      block_frames_ = rounds * options_.subjects;
      write_frames(shared_block_, 0, block_frames_);
    }
  }

  uint64_t target() const override { return options_.count; }

 protected:
  bool ends_with_pong() const override { return true; }

  std::unique_ptr<Client> make_client() override { return std::make_unique<PublishClient>(); }

  std::string subscriptions(Client& client) override {
    auto& self = static_cast<PublishClient&>(client);
    self.left = options_.count ? share(options_.count, options_.clients, client.number) : UINT64_MAX;
    return "";
  }

  void on_message(Client&, const Frame& frame) override {
    fail("an unexpected message on " + std::string(frame.subject));
  }

  bool refill(Client& client) override {
    auto& self = static_cast<PublishClient&>(client);
    if (!client.connection.nothing_to_send()) return true;
    if (self.left == 0) {
      complete(client);
      return false;
    }
    if (options_.rate > 0) return refill_paced(self);
    const uint64_t n = std::min(self.left, block_frames_);
    if (shares_block_) {
      client.connection.set_block(shared_block_.view().substr(0, n * frame_bytes_));
    } else {
      self.block.clear();
      write_frames(self.block, self.next_index, n);
      client.connection.set_block(self.block.view());
    }
    sent(self, n);
    return true;
  }

  int64_t next_due_ns() const override {
    if (options_.rate <= 0) return 0;
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < options_.clients; i++) next = std::min(next, due_ns(i));
    return next == INT64_MAX ? 0 : next;
  }

 private:
  int64_t due_ns(size_t number) const {
    const auto& self = static_cast<const PublishClient&>(client(number));
    if (self.left == 0) return INT64_MAX;
    const double interval_ns = 1e9 * (double)options_.clients / options_.rate;
    return start_ns_ +
           (int64_t)(interval_ns * ((double)self.next_index + (double)number / (double)options_.clients));
  }

  bool refill_paced(PublishClient& self) {
    const int64_t now = monotonic_ns();
    for (int64_t due = due_ns(self.number); due <= now && self.left > 0; due = due_ns(self.number)) {
      const size_t start = self.connection.out.size();
      write_frames(self.connection.out, self.next_index, 1);
      if (options_.timestamps) {
        const size_t payload = self.connection.out.size() - 2 - options_.message.payload.size();
        if (payload < start) throw std::logic_error("a payload outside of its frame");
        store64(self.connection.out.data() + payload, (uint64_t)due);
      }
      sent(self, 1);
    }
    if (self.left == 0) complete(self);
    return false;
  }

  void sent(PublishClient& self, uint64_t n) {
    self.left -= n;
    self.next_index += n;
    messages_ += n;
    bytes_ += n * options_.message.payload.size();
  }

  void write_frames(Buffer& out, uint64_t first, uint64_t n) {
    for (uint64_t i = first; i < first + n; i++)
      frames_.write(out, {.index = i, .subject = i % options_.subjects});
  }

  const PublishOptions options_;
  FrameTemplates frames_;
  size_t frame_bytes_ = 0;
  uint64_t block_frames_ = 0;
  bool shares_block_ = false;
  Buffer shared_block_;
};

struct SubscribeClient : Client {
  uint64_t received = 0;
};

class Subscribers : public Role {
 public:
  explicit Subscribers(SubscribeOptions options)
      : Role("subscribe", options.clients, options.background), options_(std::move(options)) {
    if (options_.subjects == 0) throw std::invalid_argument("subscribe: at least one subject is needed");
  }

  uint64_t target() const override {
    return options_.queue.empty() ? options_.count * options_.clients : options_.count;
  }

 protected:
  std::unique_ptr<Client> make_client() override { return std::make_unique<SubscribeClient>(); }

  std::string subscriptions(Client& client) override {
    std::string subject = options_.subject;
    const size_t marker = subject.find(kSubjectMarker);
    if (marker != std::string::npos)
      write_digits(subject.data() + marker, 8, client.number % options_.subjects);
    return "SUB " + subject + " " + (options_.queue.empty() ? "" : options_.queue + " ") + "1\r\n";
  }

  void on_message(Client& client, const Frame& frame) override {
    auto& self = static_cast<SubscribeClient&>(client);
    if (frame.sid != 1) return fail("a message for a subscription that was not made");
    if (frame.body.size() != options_.payload_bytes)
      return fail("a payload of " + std::to_string(frame.body.size()) + " bytes instead of " +
                  std::to_string(options_.payload_bytes));
    count(frame.body.size());
    self.received++;
    if (options_.timestamps) add_latency(monotonic_ns() - (int64_t)load64(frame.body.data()));
    if (options_.count == 0) return;
    if (options_.queue.empty()) {
      if (self.received == options_.count) complete(client);
    } else if (messages_ == options_.count) {
      complete_all();
    }
  }

  bool refill(Client&) override { return false; }

 private:
  const SubscribeOptions options_;
};

class Responders : public Role {
 public:
  explicit Responders(RespondOptions options)
      : Role("respond", options.clients, true), options_(std::move(options)) {
    answer_ = " " + std::to_string(options_.payload_bytes) + "\r\n" +
              std::string(options_.payload_bytes, 'r') + "\r\n";
  }

  uint64_t target() const override { return 0; }

 protected:
  std::unique_ptr<Client> make_client() override { return std::make_unique<Client>(); }

  std::string subscriptions(Client&) override {
    return "SUB " + options_.subject + " " + (options_.queue.empty() ? "" : options_.queue + " ") + "1\r\n";
  }

  void on_message(Client& client, const Frame& frame) override {
    if (frame.reply.empty()) return fail("a request without a reply subject");
    Buffer& out = client.connection.out;
    out.append("PUB ");
    out.append(frame.reply);
    out.append(answer_);
    count(frame.body.size());
  }

  bool refill(Client&) override { return false; }

 private:
  const RespondOptions options_;
  std::string answer_;
};

}  // namespace

std::unique_ptr<Role> make_publishers(PublishOptions options) {
  return std::make_unique<Publishers>(std::move(options));
}
std::unique_ptr<Role> make_subscribers(SubscribeOptions options) {
  return std::make_unique<Subscribers>(std::move(options));
}
std::unique_ptr<Role> make_responders(RespondOptions options) {
  return std::make_unique<Responders>(std::move(options));
}

}  // namespace slipstream::load
