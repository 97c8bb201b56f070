// Which consumers of a stream have to do with a message: those whose filters let its subject through, those of them who listen
// (a pull waits, or somebody subscribes to the push subject), and those who remember messages (pending, counted) and must hear
// that one goes. What a message costs then does not depend on the number of consumers that it does not concern.
//
// The consumers of a subject are found once, by its name, and remembered by its id as the number of a set: many subjects share
// few sets. Consumers without filters stand in no set. When filters come or go the sets are made anew.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "turn/subject_trie.hpp"
#include "store/message_store.hpp"

namespace slipstream {

class Consumer;
class StreamHost;

class ConsumerIndex {
 public:
  explicit ConsumerIndex(const std::unique_ptr<MessageStore>& store) : store_(store) {}
  void add(Consumer& c);        // with the filters that it has now
  void remove(Consumer& c);
  void subject_renewed(uint32_t subject);  // its id may stand for another name now
  void check() const;

  bool empty() const { return unfiltered_.empty() && filtered_ == 0; }
  bool wanted(string_view subject);                    // by anybody
  bool anybody(uint32_t subject) { return !unfiltered_.empty() || (filtered_ && !sets_[set_of(subject)].members.empty()); }
  bool matches(const Consumer& c, uint32_t subject);

  // Until `visit` answers true; whether it did. The one who did is asked first the next time: among consumers that keep a
  // message the slowest is nearly always the same.
  template <class F>
  bool any_of(uint32_t subject, F visit) {
    if (visit_until(unfiltered_, visit)) return true;
    return filtered_ && visit_until(sets_[set_of(subject)].order, visit);
  }

  // Whose filters let the subject through, whether or not a message of it is there.
  template <class F>
  void each_wanting(string_view subject, F visit) {
    for (Consumer* c : unfiltered_) visit(*c);
    if (!filtered_) return;
    uint32_t id = store_->find_subject(subject);
    for (Consumer* c : sets_[id == kNoSubject ? set_named(subject) : set_of(id)].members) visit(*c);
  }

  // --- who listens
  void listen(Consumer& c);                // may now have somebody to deliver to
  void arrived(uint32_t subject, uint64_t seq);  // a message was stored
  void wake_listeners(StreamHost& host);      // those without filters, after what has arrived since the last call

  // --- who remembers
  void hold(Consumer& c);                  // has something that a removal may concern
  template <class F>
  void each_holder(uint32_t subject, F visit) {
    if (holders_.empty()) return;
    const std::vector<Consumer*>* set = filtered_ ? &sets_[set_of(subject)].members : nullptr;
    size_t matching = unfiltered_.size() + (set ? set->size() : 0);
    if (matching + strays_.size() < holders_.size()) {
      for (Consumer* c : unfiltered_) visit(*c);
      if (set)
        for (Consumer* c : *set) visit(*c);
      each_stray(subject, visit);
    } else {
      each_holder(visit);
    }
  }
  template <class F>
  void each_holder(F visit) {
    for (size_t i = 0; i < holders_.size();) {
      Consumer* c = holders_[i];
      if (still_holds(*c)) visit(*c), i++;
    }
  }
  // Its filters changed while deliveries of messages that they may not let through any more are pending.
  void stray(Consumer& c);
  template <class F>
  void each_stray(uint32_t subject, F visit) {  // that does not match; kNoSubject: all that have filters
    for (size_t i = 0; i < strays_.size();) {
      Consumer* c = strays_[i];
      if (!still_strays(*c)) continue;
      if (!matches(*c, subject)) visit(*c);
      i++;
    }
  }

 private:
  struct Set {
    std::vector<Consumer*> members;  // by id
    std::vector<Consumer*> order;    // the same, for any_of
  };
  template <class F>
  static bool visit_until(std::vector<Consumer*>& order, F& visit) {
    for (size_t i = 0; i < order.size(); i++) {
      if (!visit(*order[i])) continue;
      std::swap(order[0], order[i]);
      return true;
    }
    return false;
  }
  uint32_t set_of(uint32_t subject);
  uint32_t set_named(string_view subject);
  bool still_holds(Consumer& c);   // otherwise it is taken off the list
  bool still_strays(Consumer& c);
  void forget_sets();
  void stop_listening(std::vector<Consumer*>& list, size_t i);

  const std::unique_ptr<MessageStore>& store_;
  std::vector<Consumer*> unfiltered_;
  size_t filtered_ = 0;
  StringMap<std::vector<Consumer*>> literals_;   // by filter
  SubjectTrie wildcards_;
  std::map<uint32_t, std::vector<std::unique_ptr<Subscription>>> wildcard_filters_;  // by consumer id
  std::deque<Set> sets_;
  std::map<std::vector<uint32_t>, uint32_t> sets_by_members_;  // consumer ids -> set
  std::vector<uint32_t> set_of_;                 // by subject id; kUnknown: not looked up yet
  MatchResult matched_;

  std::vector<Consumer*> unfiltered_listeners_, filtered_listeners_, holders_, strays_;
  bool any_arrived_ = false;
};

}  // namespace slipstream
