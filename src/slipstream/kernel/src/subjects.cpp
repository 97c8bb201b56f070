#include "subjects.hpp"

#include <algorithm>

namespace slipstream {
namespace {

bool check_subject(string_view s, bool wildcards) {
  if (s.empty()) return false;
  size_t start = 0;
  for (size_t i = 0; i <= s.size(); i++) {
    if (i < s.size() && s[i] != '.') {
      char c = s[i];
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f') return false;
      continue;
    }
    size_t n = i - start;
    if (n == 0) return false;
    if (n == 1 && s[start] == '>' && (!wildcards || i != s.size())) return false;
    if (n == 1 && s[start] == '*' && !wildcards) return false;
    start = i + 1;
  }
  return true;
}

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

bool valid_subject(string_view s) { return check_subject(s, true); }
bool valid_literal(string_view s) { return check_subject(s, false); }

bool has_wildcard(string_view s) {
  for (size_t i = 0; i < s.size(); i++) {
    if (s[i] != '*' && s[i] != '>') continue;
    bool starts = i == 0 || s[i - 1] == '.';
    bool ends = i + 1 == s.size() || s[i + 1] == '.';
    if (starts && ends) return true;
  }
  return false;
}

bool has_empty_token(string_view s) {
  if (s.empty() || s.front() == '.' || s.back() == '.') return true;
  const char *p = s.data(), *end = p + s.size();
  while ((p = (const char*)memchr(p, '.', (size_t)(end - p))))
    if (*++p == '.') return true;
  return false;
}

bool subject_matches(string_view filter, string_view literal) {
  if (has_empty_token(literal)) return false;
  const char *f = filter.data(), *fe = f + filter.size(), *s = literal.data(), *se = s + literal.size();
  for (;;) {
    if (f == fe || s == se) return false;  // an empty token on either side
    bool whole = f + 1 == fe;
    if (*f == '>' && whole) return true;
    if (*f == '*' && (whole || f[1] == '.')) {
      f++;
      while (s < se && *s != '.') s++;
    } else {
      while (f < fe && s < se && *f == *s && *f != '.') f++, s++;
    }
    bool f_end = f == fe, s_end = s == se;
    if (f_end || s_end) return f_end && s_end;
    if (*f != '.' || *s != '.') return false;
    f++;
    s++;
  }
}

bool subject_is_subset(string_view narrow, string_view wide) {
  auto next = [](string_view& subject) {
    size_t end = std::min(subject.find('.'), subject.size());
    string_view token = subject.substr(0, end);
    subject.remove_prefix(std::min(end + 1, subject.size()));
    return token;
  };
  while (!wide.empty() && !narrow.empty()) {
    string_view n = next(narrow), w = next(wide);
    if (w == ">") return true;
    if (n == ">" || (w != "*" && w != n)) return false;
  }
  return wide.empty() && narrow.empty();
}

SubjectTrie::SubjectTrie() = default;
SubjectTrie::~SubjectTrie() = default;

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
  if (s->queue.empty()) {
    node->plain.push_back(s);
  } else {
    auto q = std::find_if(node->queues.begin(), node->queues.end(), [&](Queue& x) { return x.name == s->queue; });
    if (q == node->queues.end()) q = node->queues.insert(q, Queue{s->queue, {}});
    q->members.push_back(s);
  }
  size_++;
  invalidate(*s);
}

void SubjectTrie::remove(Subscription* s) {
  remove_below(root_, s->subject, s);
  size_--;
  invalidate(*s);
}

// Returns true when `node` has become empty, so that its parent drops it.
bool SubjectTrie::remove_below(Node& node, string_view rest, Subscription* s) {
  if (rest.empty()) {
    auto erase_from = [s](std::vector<Subscription*>& v) {
      auto it = std::find(v.begin(), v.end(), s);
      if (it != v.end()) { *it = v.back(); v.pop_back(); }
    };
    if (s->queue.empty()) {
      erase_from(node.plain);
    } else {
      auto q = std::find_if(node.queues.begin(), node.queues.end(), [&](Queue& x) { return x.name == s->queue; });
      if (q != node.queues.end()) {
        erase_from(q->members);
        if (q->members.empty()) node.queues.erase(q);
      }
    }
    return node.empty();
  }
  bool last = false;
  string_view token = take_token(rest, last);
  if (token == "*") {
    if (node.one && remove_below(*node.one, rest, s)) node.one.reset();
  } else if (token == ">" && last) {
    if (node.rest && remove_below(*node.rest, rest, s)) node.rest.reset();
  } else {
    auto it = node.children.find(token);
    if (it != node.children.end() && remove_below(*it->second, rest, s)) node.children.erase(it);
  }
  return node.empty();
}

void SubjectTrie::invalidate(const Subscription& s) {
  changes_++;
  if (bypasses_cache(s.subject)) return;
  if (has_wildcard(s.subject)) {
    generation_++;
    return;
  }
  if (slots_.empty()) return;
  Slot& slot = slots_[hash_bytes(s.subject) & (kSlots - 1)];
  if (slot.subject == s.subject) slot.generation = 0;
}

void SubjectTrie::collect(const Node& node, MatchResult& out, std::vector<string_view>& names) {
  out.plain.insert(out.plain.end(), node.plain.begin(), node.plain.end());
  for (const Queue& q : node.queues) {
    size_t i = 0;
    while (i < names.size() && names[i] != q.name) i++;
    if (i == names.size()) {
      names.push_back(q.name);
      out.queues.emplace_back();
    }
    out.queues[i].insert(out.queues[i].end(), q.members.begin(), q.members.end());
  }
}

// `by_last_token` becomes true where the result would be another one with another last token.
void SubjectTrie::walk(const Node& start, string_view rest, MatchResult& out, std::vector<string_view>& names, bool& by_last_token) {
  const Node* node = &start;
  for (;;) {
    if (node->rest) collect(*node->rest, out, names);
    bool last = false;
    string_view token = take_token(rest, last);
    if (node->one) {
      if (last) collect(*node->one, out, names);
      else walk(*node->one, rest, out, names, by_last_token);
    }
    if (node->children.empty()) return;
    if (last) by_last_token = true;
    auto it = node->children.find(token);
    if (it == node->children.end()) return;
    node = it->second.get();
    if (last) return collect(*node, out, names);
  }
}

void SubjectTrie::match_uncached(string_view literal, MatchResult& out) const { match_new(literal, out); }

// True if the result is the same whatever the last token is.
bool SubjectTrie::match_new(string_view literal, MatchResult& out) const {
  out.clear();
  names_.clear();
  if (has_empty_token(literal)) return false;  // no token of a subscription stands for nothing
  bool by_last_token = false;
  walk(root_, literal, out, names_, by_last_token);
  return !by_last_token;
}

const MatchResult& SubjectTrie::match_reply(string_view literal) {
  string_view prefix = literal.substr(0, literal.rfind('.') + 1);
  if (prefix.size() == literal.size()) {
    match_uncached(literal, scratch_);
    return scratch_;
  }
  if (reply_slots_.empty()) reply_slots_.resize(kReplySlots);
  ReplySlot& slot = reply_slots_[hash_bytes(prefix) & (kReplySlots - 1)];
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
  uint64_t h = hash_bytes(literal);
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
