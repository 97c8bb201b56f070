// The roles that take messages out of a stream: pulling from a consumer (fetch, or continuous overlapping
// pulls), and receiving what a push consumer sends, with flow control. Every delivery is checked by its ack
// subject: first attempt, right stream, each sequence once, in order.
#pragma once
#include "role.hpp"

namespace slipstream::load {

struct PullOptions {
  std::string stream, consumer, inbox;
  uint64_t count = 0,
           first_sequence = 1;  // exactly the messages first_sequence .. first_sequence + count - 1
  size_t clients = 1;
  uint64_t batch = 100;
  bool continuous = false;   // asks again when half of the batch has come; otherwise when all of it has
  bool acknowledge = false;  // +ACK for every message
  size_t payload_bytes = 0;
  bool background = false;
};

std::unique_ptr<Role> make_pullers(PullOptions options);

struct ReceiveOptions {
  std::string stream, deliver_subject, inbox;
  std::string create_subject,
      create_request;  // sent when the clock starts: creating the consumer is part of the replay
  uint64_t count = 0, first_sequence = 1;
  size_t payload_bytes = 0;
  bool background = false;
};

std::unique_ptr<Role> make_receiver(ReceiveOptions options);

}  // namespace slipstream::load
