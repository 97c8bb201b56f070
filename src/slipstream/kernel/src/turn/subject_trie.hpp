// Subscriptions, and the trie that finds those of a literal subject.
//
// A trie node per token; `*` and `>` hang beside the literal children. A client decides how deep it gets, so nothing
// here recurses. In front of it stands a direct-mapped cache of match results. A literal subscription that comes or
// goes evicts the one cache slot that its subject uses; a wildcard one starts a new generation. Subjects below
// `_INBOX.` and `$JS.ACK.` bypass the cache: they are used once, and their subscriptions come and go too often to
// disturb everybody else.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "bytes/bytes.hpp"
#include "message/subjects.hpp"

namespace slipstream {

struct Connection;

enum class SubscriptionKind : uint8_t {
  client,      // deliver to a connection
  service,     // hand to Python as a request event
  stream,      // capture
  pull,        // $JS.API.CONSUMER.MSG.NEXT of one consumer
  direct_get,  // $JS.API.DIRECT.GET of one stream
  flow_reply,  // $JS.FC of one consumer
  feed,        // what an origin delivers to a mirror or a source
};

struct Subscription {
  SubscriptionKind kind = SubscriptionKind::client;
  bool dead = false;
  uint32_t service = 0;
  Connection* connection = nullptr;
  void* target = nullptr;
  uint64_t delivered = 0, max = 0;
  uint32_t place = 0;  // in the list of its node or queue group, so that leaving costs the same whoever else is there
  Subscription *earlier = nullptr, *later = nullptr;  // of the same connection
  std::string subject, queue, sid;
};

// False once it is certain that it gets nothing more, even while it still stands in the trie.
bool hears(const Subscription& s);

struct MatchResult {
  std::vector<Subscription*> plain;
  std::vector<std::vector<Subscription*>> queues;  // one element per queue group, by name
  bool empty() const { return plain.empty() && queues.empty(); }
  void clear() { plain.clear(); queues.clear(); }
};

class SubjectTrie {
 public:
  SubjectTrie();
  ~SubjectTrie();
  void insert(Subscription* s);
  void remove(Subscription* s);
  // The result stays valid until the next insert, remove or match.
  const MatchResult& match(string_view literal);
  // Many subscriptions fell silent at once, without having been removed yet.
  void forget_results() { changes_++, generation_++; }
  void match_uncached(string_view literal, MatchResult& out) const;
  size_t size() const { return size_; }
  uint64_t changes() const { return changes_; }  // grows with every insert and remove
  uint64_t hits = 0, misses = 0;

 private:
  struct Queue { std::string name; std::vector<Subscription*> members; };
  struct Node {
    StringMap<std::unique_ptr<Node>> children;
    std::unique_ptr<Node> one, rest;  // `*` and `>`
    std::vector<Subscription*> plain;
    std::vector<Queue> queues;
    std::unique_ptr<StringMap<uint32_t>> queue_places;  // by name, where there are many
    bool empty() const { return children.empty() && !one && !rest && plain.empty() && queues.empty(); }
  };
  struct Slot { uint64_t hash = 0, generation = 0; std::string subject; MatchResult result; };
  static constexpr size_t kSlots = 8192;
  // A client's requests have reply subjects that differ in their last token alone, and match its one wildcard.
  struct ReplySlot { uint64_t changes = 0; std::string prefix; MatchResult result; };
  static constexpr size_t kReplySlots = 256;

  // The queue groups of a result, by name: many are found by a table, because a client decides how many there are.
  class QueueNames {
   public:
    size_t find(string_view name);  // size() if it is not there
    void add(string_view name) { names_.push_back(name); }
    size_t size() const { return names_.size(); }
    void clear() { names_.clear(), places_.clear(); }

   private:
    std::vector<string_view> names_;
    std::unordered_map<string_view, size_t, StringHash> places_;
  };
  static constexpr size_t kQueuesListed = 16;  // more are found by a table

  static size_t queue_place(const Node& node, string_view name);
  static Queue& add_queue(Node& node, const std::string& name);
  static void drop_queue(Node& node, size_t place);
  static void collect(const Node& node, MatchResult& out, QueueNames& names);
  void walk(string_view literal, MatchResult& out, bool& by_last_token) const;
  bool match_new(string_view literal, MatchResult& out) const;
  const MatchResult& match_reply(string_view literal);
  static void take_out(Node& node, Subscription* s);
  void invalidate(const Subscription& s);

  Node root_;
  std::vector<Slot> slots_;  // made for the first match()
  std::vector<ReplySlot> reply_slots_;
  struct Branch { const Node* node; string_view rest; bool ends; };
  mutable QueueNames names_;
  mutable std::vector<Branch> branches_;  // that walk() has yet to look at
  MatchResult scratch_;
  uint64_t generation_ = 1, changes_ = 0;
  size_t size_ = 0;
};

inline bool bypasses_cache(string_view s) {
  return (s.size() > 7 && memcmp(s.data(), "_INBOX.", 7) == 0) || (s.size() > 8 && memcmp(s.data(), "$JS.ACK.", 8) == 0);
}

}  // namespace slipstream
