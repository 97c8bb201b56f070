// The journal's files outside of the log itself: spares, filled with zeros once; the next file, prepared from
// a spare; and files that came back because everything in them was released. Every step leaves the folder in
// a state that recovery understands, and is durable before the next begins, so that no loss of unsynced
// renames can open a gap in the log.
//
// Not thread-safe: one thread at a time calls in. Results are 0 or -errno.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "disk/disk.hpp"
#include "log/journal_format.hpp"

namespace slipstream {

class JournalFiles {
 public:
  JournalFiles(Disk& disk, const JournalOptions& options)
      : disk_(disk), folder_(options.folder), file_bytes_(options.file_bytes), salt_(options.salt),
        key_number_(options.keys ? options.keys->current() : 0), allocates_(options.mode == SyncMode::relaxed) {}
  JournalFiles(const JournalFiles&) = delete;
  JournalFiles& operator=(const JournalFiles&) = delete;
  ~JournalFiles();

  // Finds what is there: the log's files by generation into `log`, spares kept here, unfinished ones removed.
  bool find(std::vector<JournalFile>& log, std::string& error);

  // What fails with an error that passes (disk_trouble.hpp) may be tried again by the same call; everything is as before it, or
  // further.

  // Fills a new spare with zeros, piece by piece: 1 when it is finished, 0 when another call is needed.
  // Without room nothing is left of it.
  int create_piece();
  bool creating() const { return creating_.handle >= 0; }

  // Makes a spare the log's file of this generation; there must be one.
  int prepare(uint64_t generation, uint64_t start, JournalFile& file);
  // Replaces a prepared file that holds nothing yet by a larger one of the same generation; `file` may be the larger one even on
  // failure.
  int enlarge(JournalFile& file, uint64_t capacity);
  // Makes a file of the log a spare. `taken`: it is not the log's any more, whatever the result.
  int retire(const JournalFile& file, bool& taken);
  // Names are not durable yet, because a sync of the folder did not come about: nothing may be built on them before sync_names().
  bool names_unsynced() const { return folder_unsynced_; }
  int sync_names();
  // Unlinks a spare, so that others may use its room; not one that prepare() has begun with.
  int give_up_spare();

  size_t spares() const { return spares_.size() + preparing_.has_value(); }
  uint64_t bytes() const { return bytes_; }  // of all files: log, prepared, spare and unfinished
  uint64_t generation_max() const { return generation_max_; }  // the highest ever seen in this folder
  uint64_t capacity() const { return file_bytes_ - kJournalHeaderBytes; }

 private:
  bool find_spare(const std::string& name, std::string& error);
  bool find_log_file(const std::string& name, std::vector<JournalFile>& log, std::string& error);
  int fill_with_zeros(int handle, uint64_t from, uint64_t to);
  int write_header(int handle, uint64_t generation, uint64_t start, uint64_t capacity);
  int discard(JournalFile& file);
  std::string path_of(uint64_t number, const char* suffix) const {
    return folder_ + "/" + hex16(number) + suffix;
  }

  Disk& disk_;
  const std::string folder_;
  const uint64_t file_bytes_, salt_;
  const uint32_t key_number_;  // of files that are made or used again
  const bool allocates_;       // rather than fills with zeros: nobody waits for syncs, which that makes faster
  std::vector<JournalFile> spares_;
  JournalFile creating_;
  std::optional<JournalFile> preparing_;  // the spare that prepare() has begun with
  bool folder_unsynced_ = false;
  uint64_t filled_ = 0;  // bytes of creating_ that are on stable storage
  uint64_t bytes_ = 0, generation_max_ = 0, spare_number_ = 0;
};

}  // namespace slipstream
