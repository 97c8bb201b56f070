#include "log/journal_files.hpp"

#include <errno.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace slipstream {
namespace {

constexpr uint64_t kZeroPieceBytes = 2 << 20;  // between two pieces the journal's thread looks after syncs

}  // namespace

JournalFiles::~JournalFiles() {
  for (JournalFile& file : spares_) disk_.close(file.handle);
  if (preparing_) disk_.close(preparing_->handle);
  if (creating()) disk_.close(creating_.handle);
}

bool JournalFiles::find(std::vector<JournalFile>& log, std::string& error) {
  std::vector<std::string> names;
  int r = disk_.list(folder_, names);
  if (r < 0) {
    error = "cannot list " + folder_ + ": " + strerror(-r);
    return false;
  }
  for (const std::string& name : names) {
    uint64_t number;
    if (parse_hex16(name, ".journal", number)) {
      if (!find_log_file(name, log, error)) return false;
    } else if (parse_hex16(name, ".spare", number)) {
      spare_number_ = std::max(spare_number_, number + 1);
      if (!find_spare(name, error)) return false;
    } else if (parse_hex16(name, ".new", number)) {
      spare_number_ = std::max(spare_number_, number + 1);
      r = disk_.unlink(folder_ + "/" + name);  // zeros that nothing ever used
      if (r < 0) {
        error = "cannot remove " + folder_ + "/" + name + ": " + strerror(-r);
        return false;
      }
    }
  }
  return true;
}

bool JournalFiles::find_log_file(const std::string& name, std::vector<JournalFile>& log, std::string& error) {
  JournalFile file;
  file.path = folder_ + "/" + name;
  uint64_t number = 0;
  parse_hex16(name, ".journal", number);
  file.handle = disk_.open(file.path, kOpenWrite);
  if (file.handle < 0) {
    error = "cannot open " + file.path + ": " + strerror(-file.handle);
    return false;
  }
  char block[kJournalHeaderBytes];
  ssize_t n = disk_.pread(file.handle, block, sizeof block, 0);
  std::string problem;
  if (n < 0)
    problem = std::string("cannot be read: ") + strerror((int)-n);
  else if ((size_t)n < sizeof block)
    problem = "is shorter than a header";
  else
    problem = decode_journal_header(block, file);
  if (problem.empty() && file.generation != number)
    problem = "has another generation in its header than in its name";
  if (problem.empty() && disk_.size(file.handle) < (int64_t)file.file_bytes())
    problem = "is shorter than its header says";
  if (!problem.empty()) {
    disk_.close(file.handle);
    error = file.path + " " + problem;
    return false;
  }
  bytes_ += file.file_bytes();
  generation_max_ = std::max(generation_max_, file.generation);
  log.push_back(std::move(file));
  return true;
}

// A spare's contents do not matter, only that its generation is not used again: its old records would read as
// valid.
bool JournalFiles::find_spare(const std::string& name, std::string& error) {
  JournalFile file;
  file.path = folder_ + "/" + name;
  file.handle = disk_.open(file.path, kOpenWrite);
  int64_t size = file.handle < 0 ? file.handle : disk_.size(file.handle);
  char block[kJournalHeaderBytes];
  ssize_t n = size < 0 ? (ssize_t)size : disk_.pread(file.handle, block, sizeof block, 0);
  if (n < 0) {
    if (file.handle >= 0) disk_.close(file.handle);
    error = "cannot read " + file.path + ": " + strerror((int)-n);
    return false;
  }
  bool used = (size_t)n == sizeof block && decode_journal_header(block, file).empty();
  if (used) generation_max_ = std::max(generation_max_, file.generation);
  bool unused = std::all_of(block, block + n, [](char c) { return c == 0; });
  // Made when file_bytes was another; or with what must not stay readable on the disk, as far as can be told.
  bool usable = (uint64_t)size == file_bytes_ && (used ? file.key_number == key_number_ : unused || !key_number_);
  int r = usable ? 0 : disk_.unlink(file.path);
  if (r < 0) {
    disk_.close(file.handle);
    error = "cannot remove " + file.path + ": " + strerror(-r);
    return false;
  }
  if (!usable) {
    disk_.close(file.handle);
    return true;
  }
  file.capacity = capacity();
  bytes_ += file_bytes_;
  spares_.push_back(std::move(file));
  return true;
}

int JournalFiles::create_piece() {
  if (!creating()) {
    creating_ = {};
    creating_.path = path_of(spare_number_, ".new");
    creating_.capacity = capacity();
    creating_.handle = disk_.open(creating_.path, kOpenWrite | kOpenCreate | kOpenTruncate);
    if (creating_.handle < 0) return std::exchange(creating_.handle, -1);
    filled_ = 0;
    bytes_ += file_bytes_;
  }
  uint64_t end = std::min(file_bytes_, filled_ + kZeroPieceBytes);
  int r = allocates_ && !filled_ ? disk_.allocate(creating_.handle, file_bytes_) : -EOPNOTSUPP;
  if (r == 0) {
    end = file_bytes_;
    r = disk_.sync(creating_.handle);
  } else if (r == -EOPNOTSUPP) {
    r = fill_with_zeros(creating_.handle, filled_, end);
  }
  if (r < 0) {
    int discarded = discard(creating_);
    creating_ = {};
    return discarded < 0 ? discarded : r;
  }
  filled_ = end;
  if (filled_ < file_bytes_) return 0;
  std::string path = path_of(spare_number_, ".spare");
  r = disk_.rename(creating_.path, path);
  if (r < 0) return r;
  spare_number_++;
  folder_unsynced_ = true;
  creating_.path = path;
  spares_.push_back(std::exchange(creating_, {}));
  r = sync_names();
  return r < 0 ? r : 1;
}

int JournalFiles::prepare(uint64_t generation, uint64_t start, JournalFile& file) {
  assert(spares() && generation > generation_max_);
  int r = sync_names();
  if (r < 0) return r;
  if (!preparing_) {
    preparing_ = std::move(spares_.back());
    spares_.pop_back();
  }
  JournalFile& next = *preparing_;
  std::string path = path_of(generation, ".journal");
  if (next.path != path) {
    next.generation = generation;
    next.start = start;
    next.seed = record_seed(generation, salt_);
    next.salt = salt_;
    next.key_number = key_number_;
    r = write_header(next.handle, generation, start, next.capacity);
    if (r >= 0) r = disk_.rename(next.path, path);
    if (r < 0) return r;
    folder_unsynced_ = true;
    next.path = path;
  }
  r = sync_names();
  if (r < 0) return r;
  generation_max_ = generation;
  file = std::move(next);
  preparing_.reset();
  return 0;
}

int JournalFiles::enlarge(JournalFile& file, uint64_t larger) {
  int r = sync_names();
  if (r < 0 || file.capacity >= larger) return r;
  JournalFile large = file;
  large.path = path_of(spare_number_++, ".new");
  large.capacity = larger;
  large.handle = disk_.open(large.path, kOpenWrite | kOpenCreate | kOpenTruncate);
  if (large.handle < 0) return large.handle;
  bytes_ += large.file_bytes();
  r = fill_with_zeros(large.handle, 0, large.file_bytes());
  if (r == 0) r = write_header(large.handle, file.generation, file.start, larger);
  if (r < 0) {
    int discarded = discard(large);
    return discarded < 0 ? discarded : r;
  }
  r = disk_.rename(large.path, file.path);  // takes the place of the regular one
  if (r < 0) {
    int discarded = discard(large);
    return discarded < 0 ? discarded : r;
  }
  folder_unsynced_ = true;
  large.path = file.path;
  disk_.close(file.handle);
  bytes_ -= file.file_bytes();
  file = std::move(large);
  return sync_names();
}

int JournalFiles::retire(const JournalFile& file, bool& taken) {
  taken = false;
  int r = sync_names();
  if (r < 0) return r;
  if (file.file_bytes() != file_bytes_ || file.key_number != key_number_) {
    r = disk_.unlink(file.path);
    if (r < 0) return r;
    disk_.close(file.handle);
    bytes_ -= file.file_bytes();
  } else {
    std::string path = path_of(spare_number_, ".spare");
    r = disk_.rename(file.path, path);
    if (r < 0) return r;
    spare_number_++;
    spares_.push_back(file);
    spares_.back().path = path;
  }
  taken = folder_unsynced_ = true;
  return sync_names();
}

int JournalFiles::give_up_spare() {
  if (spares_.empty()) return 0;
  int r = disk_.unlink(spares_.front().path);
  if (r < 0 && r != -ENOENT) return r;
  disk_.close(spares_.front().handle);
  bytes_ -= spares_.front().file_bytes();
  spares_.erase(spares_.begin());
  return 0;
}

int JournalFiles::fill_with_zeros(int handle, uint64_t from, uint64_t to) {
  static const std::string zeros(256 << 10, '\0');
  for (uint64_t at = from; at < to;) {
    size_t n = (size_t)std::min<uint64_t>(zeros.size(), to - at);
    ssize_t r = disk_.pwrite(handle, zeros.data(), n, at);
    if (r < 0) return (int)r;
    at += n;
  }
  return disk_.sync(handle);
}

int JournalFiles::write_header(int handle, uint64_t generation, uint64_t start, uint64_t capacity) {
  char block[kJournalHeaderBytes];
  encode_journal_header(block, generation, start, capacity, salt_, key_number_);
  ssize_t r = disk_.pwrite(handle, block, sizeof block, 0);
  return r < 0 ? (int)r : disk_.sync(handle);
}

int JournalFiles::sync_names() {
  int r = folder_unsynced_ ? disk_.sync_folder(folder_) : 0;
  if (r >= 0) folder_unsynced_ = false;
  return r;
}

int JournalFiles::discard(JournalFile& file) {
  bytes_ -= file.file_bytes();
  disk_.close(file.handle);
  return disk_.unlink(file.path);
}

}  // namespace slipstream
