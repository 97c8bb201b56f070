// What stands behind the kernel's own subscriptions and timers: JetStream, of which the kernel knows no more than this.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace slipstream {

using std::string_view;

struct Account;
struct Subscription;
struct Timer;

// How what clients publish into streams gets onto stable storage.
enum class Intake : uint8_t {
  caught_up,  // little waits
  keeps_up,
  behind,     // it comes faster than it is committed, or than checkpoints give the journal's room back
  refuses,
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual void stop() = 0;
  // A message on a subject that a stream captures; `target` is that of the subscription.
  virtual void on_publish(void* target, string_view subject, string_view reply, string_view header, string_view body) = 0;
  // One for any other subscription of the kernel's own, except those of services.
  virtual void on_request(Subscription& s, string_view subject, string_view reply, string_view header, string_view body) = 0;
  // An acknowledgement. Returns the number of consumers that took it.
  virtual size_t on_ack(Account& account, string_view subject, string_view reply, string_view body) = 0;
  virtual void interest_changed(Account& account, string_view subject) = 0;  // a subscription to it came or went
  virtual void on_timer(Timer& timer) = 0;
  virtual void end_of_turn() = 0;
  virtual Intake intake() const = 0;
  bool behind() const { return behind_; }
  bool busy() const { return busy_; }

 protected:
  bool behind_ = false;  // not all that is committed was applied in this turn
  bool busy_ = false;    // there is more to do: the next turn comes at once
};

}  // namespace slipstream
