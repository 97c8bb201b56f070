// The roles of core NATS: publish, subscribe, respond.
#pragma once
#include <functional>

#include "frame_template.hpp"
#include "role.hpp"

namespace slipstream::load {

struct PublishOptions {
  MessageText message;
  uint64_t count = 0;     // of all clients together; 0: until the run stops
  uint64_t subjects = 1;  // message i goes to subject number i % subjects
  size_t clients = 1;
  double rate = 0;          // messages per second of all clients together; 0: as fast as the server reads
  bool timestamps = false;  // the payload's first eight bytes say when the message was due (monotonic ns)
  bool background = false;
};

std::unique_ptr<Role> make_publishers(PublishOptions options);

struct SubscribeOptions {
  std::string subject, queue;  // the subject's kSubjectMarker becomes the client's number % subjects
  uint64_t subjects = 1;
  uint64_t count = 0;  // each client's; with a queue of all clients together; 0: until the run stops
  size_t clients = 1;
  size_t payload_bytes = 0;  // every message must have this size
  bool timestamps = false;   // gathers latencies
  bool background = false;
};

std::unique_ptr<Role> make_subscribers(SubscribeOptions options);

struct RespondOptions {
  std::string subject, queue;
  size_t clients = 1;
  size_t payload_bytes = 0;  // of the answers
};

std::unique_ptr<Role> make_responders(RespondOptions options);

}  // namespace slipstream::load
