#include "turn/subject_trie.hpp"

#include <algorithm>
#include <cassert>

#include "turn/connection.hpp"

namespace slipstream {
namespace {

// Splits off the first token of `rest`; what follows the dot stays. `last` tells that nothing follows.
string_view take_token(string_view& rest, bool& last) {
  const char* dot = (const char*)memchr(rest.data(), '.', rest.size());
  if (!dot) {
    last = true;
    string_view t = rest;
    rest = {};
    return t;
  }
  last = false;
  string_view t(rest.data(), (size_t)(dot - rest.data()));
  rest.remove_prefix(t.size() + 1);
  return t;
}

}  // namespace

bool hears(const Subscription& s) { return !s.dead && (!s.connection || s.connection->hears()); }

SubjectTrie::SubjectTrie() = default;
// Leaf by leaf: a chain of nodes that destroy one another would need as much stack as it is long.
SubjectTrie::~SubjectTrie() {
  std::vector<std::unique_ptr<Node>> left;
  auto take_children = [&left](Node& node) {
    for (auto& [token, child] : node.children) left.push_back(std::move(child));
    node.children.clear();
    if (node.one) left.push_back(std::move(node.one));
    if (node.rest) left.push_back(std::move(node.rest));
  };
  take_children(root_);
  while (!left.empty()) {
    std::unique_ptr<Node> node = std::move(left.back());
    left.pop_back();
    take_children(*node);
  }
}

void SubjectTrie::insert(Subscription* s) {
  Node* node = &root_;
  string_view rest = s->subject;
  for (bool last = false; !last;) {
    string_view token = take_token(rest, last);
    if (token == "*") {
      if (!node->one) node->one = std::make_unique<Node>();
      node = node->one.get();
    } else if (token == ">" && last) {
      if (!node->rest) node->rest = std::make_unique<Node>();
      node = node->rest.get();
    } else {
      auto it = node->children.find(token);
      if (it == node->children.end())
        it = node->children.emplace(std::string(token), std::make_unique<Node>()).first;
      node = it->second.get();
    }
  }
  std::vector<Subscription*>* list = &node->plain;
  if (!s->queue.empty()) {
    size_t q = queue_place(*node, s->queue);
    list = q < node->queues.size() ? &node->queues[q].members : &add_queue(*node, s->queue).members;
  }
  s->place = (uint32_t)list->size();
  list->push_back(s);
  size_++;
  invalidate(*s);
}

void SubjectTrie::remove(Subscription* s) {
  struct Step { Node* node; string_view token; bool last; };
  std::vector<Step> path;
  Node* node = &root_;
  string_view rest = s->subject;
  for (bool last = false; !last;) {
    string_view token = take_token(rest, last);
    path.push_back({node, token, last});
    if (token == "*") node = node->one.get();
    else if (token == ">" && last) node = node->rest.get();
    else node = node->children.find(token)->second.get();
  }
  take_out(*node, s);
  for (; node->empty() && !path.empty(); path.pop_back()) {
    auto [parent, token, last] = path.back();
    if (token == "*") parent->one.reset();
    else if (token == ">" && last) parent->rest.reset();
    else parent->children.erase(parent->children.find(token));
    node = parent;
  }
  size_--;
  invalidate(*s);
}

void SubjectTrie::take_out(Node& node, Subscription* s) {
  auto erase_from = [s](std::vector<Subscription*>& list) {
    assert(s->place < list.size() && list[s->place] == s);
    list[s->place] = list.back();
    list[s->place]->place = s->place;
    list.pop_back();
  };
  if (s->queue.empty()) return erase_from(node.plain);
  size_t q = queue_place(node, s->queue);
  erase_from(node.queues[q].members);
  if (node.queues[q].members.empty()) drop_queue(node, q);
}

size_t SubjectTrie::queue_place(const Node& node, string_view name) {
  if (node.queue_places) {
    auto it = node.queue_places->find(name);
    return it == node.queue_places->end() ? node.queues.size() : it->second;
  }
  size_t i = 0;
  while (i < node.queues.size() && node.queues[i].name != name) i++;
  return i;
}

SubjectTrie::Queue& SubjectTrie::add_queue(Node& node, const std::string& name) {
  if (node.queues.size() == kQueuesListed) {
    node.queue_places = std::make_unique<StringMap<uint32_t>>();
    for (size_t i = 0; i < node.queues.size(); i++) node.queue_places->emplace(node.queues[i].name, (uint32_t)i);
  }
  if (node.queue_places) node.queue_places->emplace(name, (uint32_t)node.queues.size());
  return node.queues.emplace_back(Queue{name, {}});
}

void SubjectTrie::drop_queue(Node& node, size_t place) {
  if (node.queue_places) node.queue_places->erase(node.queues[place].name);
  if (place + 1 < node.queues.size()) {
    node.queues[place] = std::move(node.queues.back());
    if (node.queue_places) (*node.queue_places)[node.queues[place].name] = (uint32_t)place;
  }
  node.queues.pop_back();
  if (node.queues.empty()) node.queue_places.reset();
}

size_t SubjectTrie::QueueNames::find(string_view name) {
  if (names_.size() <= kQueuesListed) return (size_t)(std::find(names_.begin(), names_.end(), name) - names_.begin());
  for (size_t i = places_.size(); i < names_.size(); i++) places_.emplace(names_[i], i);
  auto it = places_.find(name);
  return it == places_.end() ? names_.size() : it->second;
}

void SubjectTrie::invalidate(const Subscription& s) {
  changes_++;
  if (bypasses_cache(s.subject)) return;
  if (has_wildcard(s.subject)) {
    generation_++;
    return;
  }
  if (slots_.empty()) return;
  Slot& slot = slots_[quick_hash(s.subject) & (kSlots - 1)];
  if (slot.subject == s.subject) slot.generation = 0;
}

void SubjectTrie::collect(const Node& node, MatchResult& out, QueueNames& names) {
  for (Subscription* s : node.plain)
    if (hears(*s)) out.plain.push_back(s);
  for (const Queue& q : node.queues) {
    size_t i = names.find(q.name);
    for (Subscription* s : q.members) {
      if (!hears(*s)) continue;
      if (i == names.size()) {
        names.add(q.name);
        out.queues.emplace_back();
      }
      out.queues[i].push_back(s);
    }
  }
}

// `by_last_token` becomes true where the result would be another one with another last token.
void SubjectTrie::walk(string_view literal, MatchResult& out, bool& by_last_token) const {
  branches_.clear();
  branches_.push_back({&root_, literal, false});
  while (!branches_.empty()) {
    auto [node, rest, ends] = branches_.back();
    branches_.pop_back();
    while (node && !ends) {
      if (node->rest) collect(*node->rest, out, names_);
      string_view token = take_token(rest, ends);
      if (ends && node->one) collect(*node->one, out, names_);
      const Node* child = nullptr;
      if (!node->children.empty()) {
        if (ends) by_last_token = true;
        auto it = node->children.find(token);
        if (it != node->children.end()) child = it->second.get();
      }
      if (!ends && node->one) {
        if (child) branches_.push_back({child, rest, false});
        child = node->one.get();
      }
      node = child;
    }
    if (node) collect(*node, out, names_);
  }
}

void SubjectTrie::match_uncached(string_view literal, MatchResult& out) const { match_new(literal, out); }

// True if the result is the same whatever the last token is.
bool SubjectTrie::match_new(string_view literal, MatchResult& out) const {
  out.clear();
  names_.clear();
  if (has_empty_token(literal)) return false;  // no token of a subscription stands for nothing
  bool by_last_token = false;
  walk(literal, out, by_last_token);
  return !by_last_token;
}

const MatchResult& SubjectTrie::match_reply(string_view literal) {
  string_view prefix = literal.substr(0, literal.rfind('.') + 1);
  if (prefix.size() == literal.size()) {
    match_uncached(literal, scratch_);
    return scratch_;
  }
  if (reply_slots_.empty()) reply_slots_.resize(kReplySlots);
  ReplySlot& slot = reply_slots_[quick_hash(prefix) & (kReplySlots - 1)];
  if (slot.changes == changes_ && slot.prefix == prefix) return slot.result;
  if (!match_new(literal, scratch_)) return scratch_;
  slot.prefix.assign(prefix);
  slot.changes = changes_;
  slot.result = scratch_;
  return slot.result;
}

const MatchResult& SubjectTrie::match(string_view literal) {
  if (bypasses_cache(literal)) return match_reply(literal);
  if (slots_.empty()) slots_.resize(kSlots);
  uint64_t h = quick_hash(literal);
  Slot& slot = slots_[h & (kSlots - 1)];
  if (slot.hash == h && slot.generation == generation_ && slot.subject == literal) {
    hits++;
    return slot.result;
  }
  misses++;
  match_uncached(literal, slot.result);
  slot.subject.assign(literal);
  slot.hash = h;
  slot.generation = generation_;
  return slot.result;
}

}  // namespace slipstream
