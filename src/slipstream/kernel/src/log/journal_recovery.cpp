#include "log/journal_recovery.hpp"

#include <algorithm>
#include <utility>

namespace slipstream {
namespace {

class Recovery {
 public:
  Recovery(Disk& disk, JournalFiles& files, std::deque<JournalFile>& log, const KeyRing* keys, std::string& error)
      : disk_(disk), files_(files), log_(log), keys_(keys), error_(error) {}

  // Follows the chain and reports its records; last_ and used_ then say where it ends.
  bool follow(const std::function<void(const JournalRecord&)>& record) {
    for (last_ = 0;; last_++) {
      const JournalFile& file = log_[last_];
      if (!read(file)) return false;
      uint64_t next_generation = 0;
      if (!walk(file, record, next_generation)) return false;
      if (!next_generation) return true;
      if (last_ + 1 == log_.size() || log_[last_ + 1].generation != next_generation) {
        error_ =
            file.path + " is followed by generation " + hex16(next_generation) + ", whose file is missing";
        return false;
      }
      if (log_[last_ + 1].start != file.end()) {
        error_ = log_[last_ + 1].path + " does not start where " + file.path + " ends";
        return false;
      }
    }
  }

  // Each file up to the mark of the one that follows, or to position `to`. A damaged record whose length leads to a whole one is
  // passed over and named in `passed`; any other damage is an error.
  bool report_each(uint64_t to, const std::function<void(const JournalRecord&)>& record, std::string& passed) {
    for (const JournalFile& file : log_) {
      uint64_t next_generation = 0;
      if (!read(file)) return false;
      used_ = 0;
      for (;;) {
        if (!walk_on(file, record, next_generation)) return false;
        if (next_generation || file.start + used_ >= to) break;
        const std::string damage = file.path + " is damaged at byte " + std::to_string(kJournalHeaderBytes + used_);
        if (!pass_over(file, to)) {
          error_ = damage;
          return false;
        }
        if (passed.empty()) passed = damage;
      }
    }
    return true;
  }

  // A record behind the end that was written when the end was known to be synced: what is bad there was
  // acknowledged once.
  bool refuse_damage() {
    uint64_t bad = log_[last_].start + used_;
    for (size_t i = last_; i < log_.size(); i++) {
      if (i > last_ && !read(log_[i])) return false;
      uint64_t from = i == last_ ? used_ : 0;
      if (synced_beyond(log_[i], from, bad)) {
        error_ = log_[last_].path + " is damaged at byte " + std::to_string(kJournalHeaderBytes + used_) +
                 ": records behind it prove that it was synced";
        return false;
      }
    }
    return true;
  }

  // Makes durable what was reported, and unreadable what was not.
  bool settle() {
    const JournalFile& last = log_[last_];
    if (!read(last)) return false;
    bool clean =
        std::all_of(bytes_.data() + used_, bytes_.data() + last.capacity, [](char c) { return c == 0; });
    int r = clean ? 0 : clear_tail(last);
    if (r < 0) return report(last, "cannot clear the tail of ", r);
    for (size_t i = 0; i <= last_; i++)
      if (r == 0 && log_[i].end() > stable_max_) r = disk_.sync(log_[i].handle);
    if (r < 0) return report(last, "cannot sync ", r);
    while (log_.size() > last_ + 1) {  // from the newest, each durably, so that there is never a gap
      JournalFile left_over = log_.back();
      bool taken = false;
      r = files_.retire(left_over, taken);
      if (taken) log_.pop_back();
      if (r < 0) return report(left_over, "cannot recycle ", r);
    }
    return true;
  }

  uint64_t used() const { return used_; }

 private:
  bool report(const JournalFile& file, const char* what, int r) {
    error_ = what + file.path + ": " + strerror(-r);
    return false;
  }

  bool too_short(const JournalFile& file) {
    error_ = file.path + " is shorter than its header says";
    return false;
  }

  bool read(const JournalFile& file) {
    if (in_memory_ == file.generation) return true;
    in_memory_ = 0;
    int64_t size = disk_.size(file.handle);
    if (size < 0) return report(file, "cannot read ", (int)size);
    if ((uint64_t)size < kJournalHeaderBytes || file.capacity > (uint64_t)size - kJournalHeaderBytes) return too_short(file);
    bytes_.resize(file.capacity);
    ssize_t n = disk_.pread(file.handle, bytes_.data(), file.capacity, kJournalHeaderBytes);
    if (n < 0) return report(file, "cannot read ", (int)n);
    if ((uint64_t)n < file.capacity) return too_short(file);
    in_memory_ = file.generation;
    return true;
  }

  bool pass_over(const JournalFile& file, uint64_t to) {
    const char* at = bytes_.data() + used_;
    uint64_t length = (load32(at) + 7ull) & ~7ull, behind = used_ + length;
    if (length < kNextFileBytes || behind > file.capacity || file.start + behind > to) return false;
    JournalRecord next;
    uint64_t stable = 0;
    bool last = file.start + behind == to;
    if (!last && !decode_record(bytes_.data() + behind, file.capacity - behind, file.seed, next, stable)) return false;
    used_ = behind;
    return true;
  }

  bool walk(const JournalFile& file, const std::function<void(const JournalRecord&)>& report_record,
            uint64_t& next_generation) {
    used_ = 0;
    return walk_on(file, report_record, next_generation);
  }

  // From used_, which is then where the file's whole records end.
  bool walk_on(const JournalFile& file, const std::function<void(const JournalRecord&)>& report_record, uint64_t& next_generation) {
    std::shared_ptr<FileCipher> cipher;
    std::string salt = journal_cipher_salt(file.generation, file.salt);
    if (file.key_number && !(keys_ && (cipher = keys_->cipher(file.key_number, salt)))) {
      error_ = file.path + " is encrypted with key " + std::to_string(file.key_number) + ", which the store does not have";
      return false;
    }
    uint64_t stable = 0;
    JournalRecord record;
    while (decode_record(bytes_.data() + used_, file.capacity - used_, file.seed, record, stable)) {
      stable_max_ = std::max(stable_max_, stable);
      if (record.kind == kNextFile) {
        next_generation = record.index;
        return true;
      }
      const char* start = bytes_.data() + used_;
      used_ += record_bytes(record.payload.size());
      record.end = file.start + used_;
      if (cipher) {
        opened_.resize(std::max(record.payload.size(), kSealBytes) - kSealBytes);
        if (!cipher->open(record.payload, record_context(start), opened_.data())) {
          error_ = file.path + " has a record at byte " + std::to_string(kJournalHeaderBytes + (uint64_t)(start - bytes_.data())) +
                   " that cannot be decrypted";
          return false;
        }
        record.payload = opened_.view();
      }
      report_record(record);
    }
    return true;
  }

  bool synced_beyond(const JournalFile& file, uint64_t from, uint64_t bad) const {
    JournalRecord record;
    uint64_t stable = 0;
    for (uint64_t at = from; at + kNextFileBytes <= file.capacity; at += 8) {
      stable = load64(bytes_.data() + at + 32);
      if (stable <= bad || stable > file.end())
        continue;  // cheap, and rare enough that checksums are not the cost
      if (decode_record(bytes_.data() + at, file.capacity - at, file.seed, record, stable)) return true;
    }
    return false;
  }

  int clear_tail(const JournalFile& last) {
    memset(bytes_.data() + used_, 0, last.capacity - used_);
    ssize_t r =
        disk_.pwrite(last.handle, bytes_.data() + used_, last.capacity - used_, kJournalHeaderBytes + used_);
    return r < 0 ? (int)r : disk_.sync(last.handle);
  }

  Disk& disk_;
  JournalFiles& files_;
  std::deque<JournalFile>& log_;
  const KeyRing* const keys_;
  std::string& error_;
  Buffer bytes_;            // the records of one file
  Buffer opened_;           // a decrypted payload
  uint64_t in_memory_ = 0;  // its generation; generations start at 1
  size_t last_ = 0;
  uint64_t used_ = 0, stable_max_ = 0;
};

}  // namespace

bool read_log_back(Disk& disk, JournalFiles& files, std::deque<JournalFile>& log, const KeyRing* keys, uint64_t to,
                   const std::function<void(const JournalRecord&)>& record, std::string& passed, std::string& error) {
  Recovery recovery(disk, files, log, keys, error);
  return recovery.report_each(to, record, passed);
}

bool recover_log(Disk& disk, JournalFiles& files, std::deque<JournalFile>& log, const KeyRing* keys, RecoveredEnd& end,
                 const std::function<void(const JournalRecord&)>& record, std::string& error) {
  if (log.empty()) return true;
  Recovery recovery(disk, files, log, keys, error);
  if (!recovery.follow(record) || !recovery.refuse_damage() || !recovery.settle()) return false;
  end.used = recovery.used();
  return true;
}

}  // namespace slipstream
