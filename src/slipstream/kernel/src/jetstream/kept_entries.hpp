// Entries of streams that are offline, for the time when the journal is released: each round of checkpoints puts those that it
// would let go into a file of their stream. The next start applies them between the stream's snapshot and the journal; once a
// later checkpoint has the stream, they go.
//
// A file "offline/<16 hex digits of the stream>.<16 of a journal position>.entries" has the format of a journal's file
// (journal_format.hpp) and ends where the position is. Of a stream that no checkpoint has yet its creation is the first record.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "disk/cipher.hpp"
#include "disk/disk.hpp"
#include "log/journal.hpp"

namespace slipstream {

class KeptEntries {
 public:
  KeptEntries(Disk& disk, const KeyRing& keys, std::function<uint64_t()> random);

  // False with `error`: what cannot be read stays where it is.
  bool find(std::string& error);
  const std::map<uint64_t, std::vector<uint64_t>>& streams() const { return files_; }
  // Oldest first. False with `error` when a file is damaged; what comes before the damage was reported.
  bool read(uint64_t stream, const std::function<void(const JournalRecord&)>& record, std::string& error);

  void add(uint64_t stream, const JournalRecord& record);  // into the file that write() makes
  void forget_added() { added_.clear(); }
  // Durable when 0; else -errno, with `error`, and nothing is kept of what was added.
  int write(uint64_t position, std::string& error);
  bool drop(uint64_t stream);  // false: a file could not be removed, which the next call tries again

 private:
  std::string path_of(uint64_t stream, uint64_t position) const;
  struct Kept {
    uint64_t group, term, index;
    uint8_t kind;
    std::string payload;
  };
  int write_file(uint64_t stream, uint64_t position, const std::vector<Kept>& records);

  Disk& disk_;
  const KeyRing& keys_;
  const std::function<uint64_t()> random_;
  std::map<uint64_t, std::vector<uint64_t>> files_;  // by stream: positions
  std::map<uint64_t, std::vector<Kept>> added_;
};

}  // namespace slipstream
