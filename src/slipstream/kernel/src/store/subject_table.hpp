// The subjects of one stream: name <-> id, and first, last and count of each. About 65 bytes for a subject of
// 20 characters.
//
// Ids are dense. A subject whose last message went keeps its id and name until another name needs an id; so
// an id in an old index entry may have belonged to another name, but then that entry is dead and older than
// the new owner's first message.
#pragma once
#include <cassert>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <vector>

#include "bytes/bytes.hpp"
#include "bytes/large_memory.hpp"
#include "bytes/siphash.hpp"
#include "store/message_store.hpp"

namespace slipstream {

// A growing array of plain values whose elements never move: blocks of doubling size, so that a million
// subjects cause no copy of the whole, and one subject costs little.
template <class T, unsigned kFirstBits>
class StableArray {
 public:
  StableArray() = default;
  StableArray(const StableArray&) = delete;
  ~StableArray() { clear(); }
  T& operator[](uint32_t i) {
    uint64_t x = (uint64_t)i + (1u << kFirstBits);
    unsigned bits = 63 - (unsigned)__builtin_clzll(x);
    return blocks_[bits - kFirstBits][x - (1ull << bits)];
  }
  const T& operator[](uint32_t i) const { return const_cast<StableArray&>(*this)[i]; }
  // Elements that may be used: [0, capacity). A block ends at each capacity() that was seen.
  uint64_t capacity() const { return ((1ull << used_) - 1) << kFirstBits; }
  void add_block() {
    size_t n = (size_t)1 << (kFirstBits + used_);
    blocks_[used_++] = (T*)allocate_large(n * sizeof(T));
  }
  void clear() {
    while (used_) free(blocks_[--used_]);
  }

 private:
  T* blocks_[33 - kFirstBits] = {};
  unsigned used_ = 0;
};

// Names in units of 8 bytes, each led by its length; room of names that went is reused by names of the same
// size.
class NameArena {
 public:
  uint32_t put(string_view name);  // a reference below kNamesMax
  string_view get(uint32_t reference) const {
    const char* p = (const char*)&units_[reference];
    return {p + 2, load16(p)};
  }
  void release(uint32_t reference);
  void clear();
  uint64_t used_bytes() const { return 8ull * end_; }
  static constexpr uint32_t kNamesMax = 1u << 30;

 private:
  static uint32_t units(size_t name) { return (uint32_t)(name + 2 + 7) / 8; }
  StableArray<uint64_t, 6> units_;
  uint32_t end_ = 0;
  std::vector<uint32_t> free_;  // by units: first free reference + 1; the next one stands in its bytes
};

struct Subject {
  uint64_t first, last;  // last may be removed already when last_stale
  uint32_t count;
  uint32_t name : 30;
  uint32_t last_stale : 1;
  uint32_t spare : 1;  // on the list of ids without messages (also if it has some again)
};
static_assert(sizeof(Subject) == 24);

class SubjectTable {
 public:
  SubjectTable() = default;
  SubjectTable(const SubjectTable&) = delete;
  ~SubjectTable() { free(slots_); }

  uint32_t find(string_view name) const;  // kNoSubject; also finds subjects without messages
  // Asks the cache for what intern() will look at; some work in between hides the wait.
  void expect(string_view name) const;
  uint32_t intern(string_view name);  // the caller adds a message to it at once
  Subject& operator[](uint32_t id) { return subjects_[id]; }
  const Subject& operator[](uint32_t id) const { return subjects_[id]; }
  string_view name(uint32_t id) const { return names_.get(subjects_[id].name); }
  uint32_t ids() const { return ids_; }
  uint64_t with_messages() const { return with_messages_; }

  void count_up(Subject& subject) { with_messages_ += subject.count++ == 0; }
  void became_empty(uint32_t id);  // its count has just become 0
  void clear();                    // nothing is live any more: forgets all names
  void reserve(uint64_t subjects);
  void match(string_view filter, const std::function<void(uint32_t)>& each) const;  // with messages only
  uint64_t memory() const;
  void check() const;

 private:
  struct Slot {
    uint32_t hash, id;
  };
  static uint32_t hash_of(string_view name) { return (uint32_t)table_hash(name); }
  uint32_t find_hashed(string_view name, uint32_t hash) const;
  uint32_t new_id();
  void insert(uint32_t hash, uint32_t id);
  void erase_name(uint32_t id);
  void rehash(uint64_t slots);

  StableArray<Subject, 4> subjects_;
  NameArena names_;
  Slot* slots_ = nullptr;  // open addressing; id kNoSubject: empty
  uint64_t slots_n_ = 0, filled_ = 0;
  uint32_t newest_ = kNoSubject;  // what was interned last: busy streams repeat it
  std::vector<uint32_t> spare_;   // ids that became empty, newest last; some may have messages again
  uint32_t ids_ = 0;
  uint64_t with_messages_ = 0;
};

// A filter split once; matches() runs over a name without copying.
class SubjectPattern {
 public:
  explicit SubjectPattern(string_view filter);
  bool literal() const { return literal_; }
  bool matches(string_view name) const;

 private:
  struct Token {
    string_view text;
    bool any;  // '*'
  };
  std::vector<Token> tokens_;
  bool rest_ = false;  // ends with '>'
  bool literal_ = true;
  string_view prefix_;  // literal bytes that every match starts with
};

}  // namespace slipstream
