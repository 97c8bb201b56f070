// See subject_table.hpp.
#include "store/subject_table.hpp"

#include <algorithm>

namespace slipstream {

uint32_t NameArena::put(string_view name) {
  assert(name.size() <= 0xffff);
  uint32_t n = units(name.size());
  uint32_t at;
  if (n < free_.size() && free_[n]) {
    at = free_[n] - 1;
    free_[n] = load32((const char*)&units_[at]);
  } else {
    // A name lies within one block: what is left of a block too short is given up (once per doubling).
    while (end_ + n > units_.capacity()) {
      uint64_t block_end = units_.capacity();
      units_.add_block();
      if (block_end && end_ < block_end) end_ = (uint32_t)block_end;
    }
    at = end_;
    end_ += n;
    if (end_ > kNamesMax) throw std::bad_alloc();
  }
  char* p = (char*)&units_[at];
  store16(p, (uint16_t)name.size());
  memcpy(p + 2, name.data(), name.size());
  return at;
}

void NameArena::release(uint32_t reference) {
  uint32_t n = units(get(reference).size());
  if (n >= free_.size()) free_.resize(n + 1);
  store32((char*)&units_[reference], free_[n]);
  free_[n] = reference + 1;
}

void NameArena::clear() {
  units_.clear();
  free_ = {};
  end_ = 0;
}

uint32_t SubjectTable::find_hashed(string_view name, uint32_t hash) const {
  if (!slots_n_) return kNoSubject;
  uint64_t mask = slots_n_ - 1;
  for (uint64_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.id == kNoSubject) return kNoSubject;
    if (slot.hash == hash && this->name(slot.id) == name) return slot.id;
  }
}

uint32_t SubjectTable::find(string_view name) const { return find_hashed(name, hash_of(name)); }

void SubjectTable::expect(string_view name) const {
  if (!slots_n_ || (newest_ != kNoSubject && this->name(newest_) == name)) return;
  __builtin_prefetch(&slots_[hash_of(name) & (slots_n_ - 1)]);
}

uint32_t SubjectTable::intern(string_view name) {
  if (newest_ != kNoSubject && this->name(newest_) == name) return newest_;
  uint32_t hash = hash_of(name);
  uint32_t id = newest_ = find_hashed(name, hash);
  if (id != kNoSubject) return id;
  newest_ = id = new_id();
  subjects_[id] = {0, 0, 0, names_.put(name), 0, 0};
  if ((filled_ + 1) * 4 > slots_n_ * 3) rehash(slots_n_ ? slots_n_ * 2 : 16);
  insert(hash, id);
  return id;
}

uint32_t SubjectTable::new_id() {
  while (!spare_.empty()) {
    uint32_t id = spare_.back();
    spare_.pop_back();
    subjects_[id].spare = 0;
    if (subjects_[id].count) continue;
    erase_name(id);
    return id;
  }
  if (ids_ == subjects_.capacity()) subjects_.add_block();
  assert(ids_ < kNoSubject);
  return ids_++;
}

void SubjectTable::insert(uint32_t hash, uint32_t id) {
  uint64_t mask = slots_n_ - 1;
  uint64_t i = hash & mask;
  while (slots_[i].id != kNoSubject) i = (i + 1) & mask;
  slots_[i] = {hash, id};
  filled_++;
}

// Removes the name's slot by moving back those behind it that would lose their way.
void SubjectTable::erase_name(uint32_t id) {
  uint64_t mask = slots_n_ - 1;
  uint64_t hole = hash_of(name(id)) & mask;
  while (slots_[hole].id != id) hole = (hole + 1) & mask;
  for (uint64_t i = (hole + 1) & mask; slots_[i].id != kNoSubject; i = (i + 1) & mask) {
    uint64_t home = slots_[i].hash & mask;
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      slots_[hole] = slots_[i];
      hole = i;
    }
  }
  slots_[hole] = {0, kNoSubject};
  filled_--;
  names_.release(subjects_[id].name);
}

void SubjectTable::rehash(uint64_t slots) {
  Slot* old = slots_;
  uint64_t n = slots_n_;
  slots_ = (Slot*)allocate_large(slots * sizeof(Slot));
  slots_n_ = slots;
  std::fill(slots_, slots_ + slots, Slot{0, kNoSubject});
  filled_ = 0;
  for (uint64_t i = 0; i < n; i++)
    if (old[i].id != kNoSubject) insert(old[i].hash, old[i].id);
  free(old);
}

void SubjectTable::reserve(uint64_t subjects) {
  uint64_t slots = 16;
  while (subjects * 4 > slots * 3) slots *= 2;
  if (slots > slots_n_) rehash(slots);
}

void SubjectTable::became_empty(uint32_t id) {
  Subject& subject = subjects_[id];
  assert(subject.count == 0 && with_messages_ > 0);
  with_messages_--;
  subject.last_stale = 0;
  if (subject.spare) return;
  subject.spare = 1;
  spare_.push_back(id);
}

void SubjectTable::clear() {
  subjects_.clear();
  names_.clear();
  free(slots_);
  slots_ = nullptr;
  slots_n_ = 0;
  newest_ = kNoSubject;
  spare_ = {};
  filled_ = with_messages_ = 0;
  ids_ = 0;
}

void SubjectTable::match(string_view filter, const std::function<void(uint32_t)>& each) const {
  SubjectPattern pattern(filter);
  if (pattern.literal()) {
    uint32_t id = find(filter);
    if (id != kNoSubject && subjects_[id].count) each(id);
    return;
  }
  for (uint32_t id = 0; id < ids_; id++)
    if (subjects_[id].count && pattern.matches(name(id))) each(id);
}

uint64_t SubjectTable::memory() const {
  return (uint64_t)ids_ * sizeof(Subject) + names_.used_bytes() + slots_n_ * sizeof(Slot) +
         spare_.capacity() * 4;
}

void SubjectTable::check() const {
  uint64_t with_messages = 0;
  std::vector<char> spare(ids_);
  for (uint32_t id : spare_) {
    assert(id < ids_ && subjects_[id].spare && !spare[id]);
    spare[id] = 1;
  }
  for (uint32_t id = 0; id < ids_; id++) {
    assert(find(name(id)) == id);
    assert(subjects_[id].spare == (uint32_t)spare[id]);
    assert(subjects_[id].count || subjects_[id].spare);
    with_messages += subjects_[id].count != 0;
  }
  assert(filled_ == ids_ && with_messages == with_messages_);
  assert(filled_ * 4 <= slots_n_ * 3);
}

SubjectPattern::SubjectPattern(string_view filter) {
  size_t at = 0;
  bool prefix = true;
  while (at <= filter.size()) {
    size_t dot = filter.find('.', at);
    size_t end = dot == string_view::npos ? filter.size() : dot;
    string_view text = filter.substr(at, end - at);
    if (text == ">" && end == filter.size()) {
      rest_ = true;
    } else {
      tokens_.push_back({text, text == "*"});
    }
    if (rest_ || text == "*") literal_ = prefix = false;
    if (prefix) prefix_ = filter.substr(0, dot == string_view::npos ? end : end + 1);
    at = end + 1;
  }
}

bool SubjectPattern::matches(string_view name) const {
  if (!name.starts_with(prefix_)) return false;
  const char* p = name.data();
  const char* end = p + name.size();
  for (size_t i = 0; i < tokens_.size(); i++) {
    if (i && (p == end || *p++ != '.')) return false;
    const Token& token = tokens_[i];
    if (token.any) {
      const char* dot = (const char*)memchr(p, '.', (size_t)(end - p));
      const char* token_end = dot ? dot : end;
      if (token_end == p) return false;
      p = token_end;
    } else {
      if (!string_view(p, (size_t)(end - p)).starts_with(token.text)) return false;
      p += token.text.size();
      if (p != end && *p != '.') return false;
    }
  }
  if (!rest_) return p == end;
  if (tokens_.empty()) return p != end;
  return (size_t)(end - p) > 1 && *p == '.';
}

}  // namespace slipstream
