// Counters (ADR-49): a message carries an increment, and the stream stores it with the new total of its subject.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace slipstream {

struct CounterMessage {
  std::string header, body, total;
};

// What is stored for a message that came in, from the last one on its subject. One that was sourced from another counter stream
// (its header has Nats-Stream-Source) brings that stream's total: then the difference to what was last seen of it counts.
// Nothing if one of them is no counter's message.
struct CounterInput {
  std::string_view header, body;
};
std::optional<CounterMessage> next_counter_message(const CounterInput* last, std::string_view subject, const CounterInput& incoming);

}  // namespace slipstream
