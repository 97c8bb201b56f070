// Where streams and consumers live, as they see it: the log to which they propose, the kernel, what all of them share, and the
// lists of those that have work to do in this turn. JetStream is the one that there is.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "clock/time_zone.hpp"
#include "log/groups.hpp"
#include "stream/gets/direct_get.hpp"
#include "turn/kernel.hpp"

namespace slipstream {

class Consumer;
class MessageStore;
class Stream;
struct PublishError;
struct StreamSpec;

class StreamHost : public Groups {
 public:
  // --- each at most once in a turn, whoever asks
  void mark_dirty(Stream& s);
  void mark_ready(Consumer& c);
  void mark_acked(Consumer& c);
  void mark_delivered(Consumer& c);
  void park(Consumer& c);  // try again next turn
  void forget(Consumer& c);

  virtual void register_consumer(Consumer& c, Stream& s) = 0;  // acknowledgements and interest reach it
  virtual void unregister_consumer(Consumer& c, Stream& s) = 0;
  virtual MessageStore* new_store(uint64_t stream, const StreamSpec& spec) = 0;
  virtual void went_offline(Stream& s) = 0;  // at the end of the turn it lets go of everything
  // While there is no room on the disk.
  virtual bool parks_deliveries() const = 0;
  virtual PublishError refusal() const = 0;  // why a publish to a file is refused; its text holds until the next turn

  Kernel& kernel;
  TimeZones time_zones;
  DirectGets direct_gets;
  uint64_t open_batches = 0, open_fast_batches = 0, staged_bytes = 0, bytes_in_flight = 0;  // of all streams
  StorageBytes stream_bytes;                                                                // of all accounts
  StorageBytes stream_bytes_max{-1, -1};                                                    // of this server; -1: unlimited

 protected:
  explicit StreamHost(Kernel& of_kernel) : Groups(of_kernel.timers, of_kernel.now), kernel(of_kernel) {}
  ~StreamHost() = default;

  std::vector<Stream*> dirty_streams_;
  std::vector<Consumer*> ready_, acked_, delivered_, parked_;
};

}  // namespace slipstream
