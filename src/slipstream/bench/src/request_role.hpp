// Requests of any kind, a window of them in flight per client: core request-reply, JetStream publishes with
// their acknowledgements, atomic batches, direct gets, API calls. Each answer is matched with its request by
// the token in its subject, and checked.
#pragma once
#include "frame_template.hpp"
#include "role.hpp"

namespace slipstream::load {

enum class AnswerCheck : uint8_t {
  size,     // a plain message of answer_bytes
  pub_ack,  // names the stream, is no duplicate, and sequences rise per client
  direct,   // a message of the stream, of answer_bytes, and of the sequence asked for when the free number is
            // one
  api,      // JSON without "error"
};

enum class NumberRule : uint8_t {
  none,
  cycle,                // number_first + index % number_cycle
  previous_on_subject,  // the sequence of the message that lies a round of subjects back: 0 in the first
                        // round
};

struct RequestOptions {
  std::vector<MessageText>
      messages;        // one, or the messages of an atomic batch; the last carries the reply (set here)
  uint64_t count = 0;  // requests of all clients together; 0: until the run stops
  uint64_t subjects = 1;
  uint64_t index_first = 0;
  size_t clients = 1;
  size_t window = 1;
  double rate = 0;  // requests per second of all clients together; 0: as fast as answers come
  NumberRule number_rule = NumberRule::none;
  uint64_t number_first = 1, number_cycle = 1;
  AnswerCheck check = AnswerCheck::size;
  std::string stream;
  size_t answer_bytes = 0;
  std::string inbox;  // unique to this role; a client listens on <inbox>.<client>.*
  bool latencies = true;
  bool background = false;
  std::string name = "request";
};

std::unique_ptr<Role> make_requesters(RequestOptions options);

}  // namespace slipstream::load
