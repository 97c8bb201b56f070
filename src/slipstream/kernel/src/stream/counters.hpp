// Counters (ADR-49): a message carries an increment, and the stream stores it with the new total of its subject.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "stream/counter_totals.hpp"

namespace slipstream {

struct CounterMessage {
  std::string header, body;
  CounterTotal now;
};

struct CounterInput {
  std::string_view header, body;
};

// What a stored message says of its subject; `broken` if it is no counter's message.
CounterTotal counter_total_of(const CounterInput& stored);

// What is stored for a message that came in, from the total of its subject (null: it has none yet). One that was sourced from
// another counter stream (its header has Nats-Stream-Source) brings that stream's total: then the difference to what was last
// seen of it counts. Nothing if the subject's total is broken, or the message is no counter's.
std::optional<CounterMessage> next_counter_message(const CounterTotal* last, std::string_view subject, const CounterInput& incoming);

}  // namespace slipstream
