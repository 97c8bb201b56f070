// The journal. The owner's thread encodes records into a batch and, at the end of a turn, writes the batch to
// the page cache; the journal's thread syncs, fills files with zeros, prepares and recycles them.
// docs/measurements.md has the figures behind this split.
//
// Who may write: the owner, as long as the files that the batch needs are prepared. Where one is not, the
// batch and all that follow are queued and the thread writes, until the queue is empty. So the owner never
// waits for a file.
//
// The owner plans ahead of the disk: it knows the generation and logical start of the next file before that
// exists, since files are prepared strictly in order. `margin()` is the number of finished files that the
// plan has not taken yet. The last of them is the reserve. While more files can be made, the plan may take it
// and half of its room; once the disk or bytes_max says no, only records of the reserve go on.
//
// What fails with an error that passes (disk_trouble.hpp) stays to be done, writes of records included, until retry(). A failed
// sync is final, and so is every other error.
#include "log/journal.hpp"

#include <errno.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "disk/disk_trouble.hpp"
#include "log/journal_files.hpp"
#include "log/journal_format.hpp"
#include "log/journal_recovery.hpp"

namespace slipstream {
namespace {

constexpr size_t kReadyFiles = 2;                   // kept: the next one and the reserve
constexpr uint64_t kCreationRetryNs = 100'000'000;  // on a full disk, and only while somebody is refused
constexpr size_t kBatchBytesMax = 1 << 20;          // a longer batch is written before the end of the turn

uint64_t monotonic_ns() {
  return (uint64_t)std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Piece {  // contiguous bytes of one file
  uint64_t generation;
  uint64_t offset;         // behind the header
  uint64_t previous_used;  // where the previous file's mark goes, if this piece opens a file
  size_t begin, end;       // in the batch
};

enum class Written : uint8_t { all, later, failed };  // later: after an error that passes

struct Batch {
  Buffer bytes;
  std::vector<Piece> pieces;
  uint64_t position_end = 0;
  void clear() {
    if (bytes.capacity() > 2 * kBatchBytesMax)
      bytes.release();
    else
      bytes.clear();
    pieces.clear();
  }
};

class JournalImpl final : public Journal {
 public:
  JournalImpl(Disk& disk, JournalOptions options)
      : disk_(disk), options_(std::move(options)), files_(disk, options_) {}

  ~JournalImpl() override {
    if (thread_.joinable()) {
      {
        std::lock_guard lock(mutex_);
        stop_ = true;
      }
      work_.notify_one();
      thread_.join();
    }
    for (JournalFile& file : log_) disk_.close(file.handle);
    if (next_) disk_.close(next_->handle);
  }

  bool find_files(std::string& error) {
    std::vector<JournalFile> log;
    bool found = files_.find(log, error);
    for (JournalFile& file : log) log_.push_back(std::move(file));
    return found;
  }

  bool recover(const std::function<void(const JournalRecord&)>& record) override {
    assert(!recovered_);
    recovered_ = true;
    next_generation_planned_ = next_generation_prepared_ = files_.generation_max() + 1;
    RecoveredEnd end;
    std::string problem;
    if (!recover_log(disk_, files_, log_, options_.keys, end, record, problem)) {
      set_failed(problem);
      return false;
    }
    if (log_.empty() && !begin_log()) return false;
    JournalFile& last = log_.back();
    plan_ = {last.generation, last.start, last.capacity, end.used, last.seed, nullptr, last.key_number != current_key()};
    if (!plan_.closed) plan_.cipher = new_cipher(last.generation, last.salt);
    position_ = last.start + end.used;
    released_ = log_.front().start;
    unsynced_from_ = last.generation;
    written_ = synced_ = position_;
    std::unique_lock lock(mutex_);
    note_files();
    refresh_limit();
    if (options_.threaded)
      thread_ = std::thread([this] { run(); });
    else
      maintain_all(lock);
    if (plan_.closed) leave_closed_file(lock);
    return !failed_;
  }

  uint64_t append(uint64_t group, uint64_t term, uint64_t index, uint8_t kind, string_view payload,
                  bool durable, bool reserve) override {
    assert(recovered_ && kind < 0xf0 && payload.size() < (1u << 31));
    if (failed_.load(std::memory_order_relaxed)) return 0;
    size_t need = record_bytes(payload.size() + (current_key() ? kSealBytes : 0));
    uint64_t limit = reserve && !plan_.closed ? plan_.capacity : limit_;
    if (plan_.used + need + kNextFileBytes > limit && !make_room(need, reserve)) [[unlikely]]
      return 0;
    if (batch_.pieces.empty()) batch_.pieces.push_back({plan_.generation, plan_.used, 0, 0, 0});
    char* to = batch_.bytes.room(need);
    encode_record(to, plan_.seed, group, term, index, synced_.load(std::memory_order_relaxed), kind, payload,
                  plan_.cipher.get());
    batch_.bytes.grow(need);
    batch_.pieces.back().end = batch_.bytes.size();
    plan_.used += need;
    durable_wanted_ |= durable;
    position_ = plan_.start + plan_.used;
    if (batch_.bytes.size() >= kBatchBytesMax) [[unlikely]]
      hand_over_early();
    return position_;
  }

  void flush() override {
    if (refused_) retry_creation();
    if (!options_.threaded && !queue_.empty()) {
      std::unique_lock lock(mutex_);
      write_queue(lock);
    }
    const bool sync_due = !options_.threaded && sync_wanted_ > synced_;
    if (batch_.pieces.empty() && !durable_wanted_ && !sync_due) return;
    std::unique_lock lock(mutex_);
    hand_over(lock);
    bool sync = durable_wanted_ && options_.mode == SyncMode::durable;
    durable_wanted_ = false;
    if (sync) sync_wanted_ = position_;
    if (options_.threaded) {
      if (sync || maintenance_due()) work_.notify_one();
    } else {
      if ((sync || sync_due) && ++syncs_put_off_ > options_.sync_lag) {
        syncs_put_off_ = 0;
        sync_written(lock);
      }
      maintain_all(lock);
    }
  }

  void sync_now() override {
    flush();
    std::unique_lock lock(mutex_);
    if (failed_ || synced_ == position_) return;
    sync_wanted_ = position_;
    if (options_.threaded)
      work_.notify_one();
    else
      sync_written(lock);
  }

  bool wait_synced() override {
    sync_now();
    std::unique_lock lock(mutex_);
    if (write_stalled_) {  // a last attempt
      lock.unlock();
      retry();
      lock.lock();
    }
    done_.wait(lock, [&] { return failed_ || synced_ >= position_ || write_stalled_; });
    return !failed_ && synced_ >= position_;
  }

  void retry() override {
    std::unique_lock lock(mutex_);
    retry_ = true;
    maintenance_stalled_ = write_stalled_ = false;
    if (options_.threaded) {
      work_.notify_one();
      return;
    }
    write_queue(lock);
    if (sync_wanted_ > synced_) sync_written(lock);
    maintain_all(lock);
  }

  void give_up_spares() override {
    std::unique_lock lock(mutex_);
    give_up_ = true;
    if (options_.threaded)
      work_.notify_one();
    else
      maintain_all(lock);
  }

  bool encrypted_otherwise() const override {
    std::lock_guard lock(mutex_);
    return std::any_of(log_.begin(), log_.end(), [&](const JournalFile& file) { return file.key_number != current_key(); });
  }
  uint64_t position() const override { return position_; }
  uint64_t written() const override { return written_; }
  uint64_t synced() const override { return synced_; }
  bool failed() const override { return failed_; }
  bool full() const override { return full_ || write_stalled_ || large_waits_; }
  bool large_refused() const override { return large_refused_; }
  int trouble() const override { return trouble_; }
  uint64_t reserve_left() const override {
    std::lock_guard lock(mutex_);
    uint64_t here = plan_.closed ? 0 : plan_.capacity - plan_.used;
    return margin() >= 1 ? files_.capacity() + here : here;
  }
  std::string error() const override {
    std::lock_guard lock(mutex_);
    return error_;
  }

  bool reaches(uint64_t position) const override {
    return !log_.empty() && log_.front().start <= position && position <= log_.back().end();
  }

  // Files that are not released stay, so that their handles may be used without the lock.
  bool read_back(uint64_t from, uint64_t to, const std::function<void(const JournalRecord&)>& record, std::string& passed,
                 std::string& error) override {
    std::deque<JournalFile> files;
    {
      std::lock_guard lock(mutex_);
      for (const JournalFile& file : log_)
        if (file.end() > from && file.start < to) files.push_back(file);
    }
    auto within = [&](const JournalRecord& r) {
      if (r.end > from && r.end <= to) record(r);
    };
    return read_log_back(disk_, files_, files, options_.keys, to, within, passed, error);
  }

  uint64_t released() const override {
    std::lock_guard lock(mutex_);
    return released_;
  }

  void release(uint64_t position) override {
    std::unique_lock lock(mutex_);
    assert(position <= position_);
    if (position <= released_) return;
    released_ = position;
    if (!maintenance_due()) return;
    if (options_.threaded)
      work_.notify_one();
    else
      maintain_all(lock);
  }

  uint64_t in_use() const override {
    std::lock_guard lock(mutex_);
    return position_ - released_;
  }
  Stats stats() const override {
    std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  // ---- the owner's side of writing

  // A long turn is written in parts, so that its memory stays small and in the processor's cache.
  void hand_over_early() {
    std::unique_lock lock(mutex_);
    hand_over(lock);
  }

  // Writes the batch, or leaves it to the thread.
  void hand_over(std::unique_lock<std::mutex>& lock) {
    if (failed_) batch_.clear();
    if (batch_.pieces.empty()) return;
    batch_.position_end = position_;
    if (!queue_.empty() || (options_.threaded && (thread_writes_ || !prepared_for(batch_)))) {
      queue_.push_back(std::move(batch_));
      batch_ = {};
      if (options_.threaded) work_.notify_one();
      return;
    }
    lock.unlock();
    Written result = write(batch_);
    lock.lock();
    if (result == Written::later) {
      queue_.push_back(std::move(batch_));
      batch_ = {};
      return;
    }
    if (result == Written::all) written_ = batch_.position_end;
    batch_.clear();
    refresh_limit();
  }

  // ---- the owner's side of making room

  uint32_t current_key() const { return options_.keys ? options_.keys->current() : 0; }
  std::shared_ptr<FileCipher> new_cipher(uint64_t generation, uint64_t salt) const {
    return current_key() ? options_.keys->cipher(current_key(), journal_cipher_salt(generation, salt)) : nullptr;
  }

  // Called when a record does not fit below limit_. True: it fits now, perhaps in a new file.
  bool make_room(size_t need, bool reserve) {
    std::unique_lock lock(mutex_);
    refresh_limit();
    if (!options_.threaded && margin() < kReadyFiles) maintain_all(lock);
    if (failed_) return false;
    if (!plan_.closed && plan_.used + need + kNextFileBytes <= plan_.capacity) {
      if (reserve || plan_.used + need + kNextFileBytes <= limit_) return true;
      return refuse(1);
    }
    uint64_t capacity = files_.capacity();
    bool large = need + kNextFileBytes > capacity;
    if (large && !large_file_ready(lock, need + kNextFileBytes)) return false;
    size_t margin_needed = reserve || (can_create() && !large) ? 1 : kReadyFiles;
    if (failed_ || enlarging_ || margin() < margin_needed) return refuse(margin_needed);
    if (next_ && next_->generation == next_generation_planned_) capacity = next_->capacity;
    uint64_t previous_used = plan_.used;
    plan_.start += plan_.capacity;
    plan_.capacity = capacity;
    plan_.generation = next_generation_planned_++;
    plan_.seed = record_seed(plan_.generation, options_.salt);
    plan_.cipher = new_cipher(plan_.generation, options_.salt);
    plan_.closed = false;
    plan_.used = 0;
    files_planned_++;
    batch_.pieces.push_back({plan_.generation, 0, previous_used, batch_.bytes.size(), batch_.bytes.size()});
    refresh_limit();
    return true;
  }

  // Whether the next file takes a record of `bytes`; else one that does is asked for. Only a file that the plan has not taken yet
  // can be made larger, so everything planned before has to be written first.
  bool large_file_ready(std::unique_lock<std::mutex>& lock, uint64_t bytes) {
    auto ready_for = [&] { return next_ && next_->generation == next_generation_planned_ && next_->capacity >= bytes; };
    if (ready_for()) return true;
    hand_over(lock);
    large_refused_ = false;
    large_asked_ = (bytes + 7) & ~7ull;
    waits_for_file_ = true;
    if (!options_.threaded) maintain_all(lock);
    if (ready_for()) return true;
    if (options_.threaded) work_.notify_one();
    return false;
  }

  // At the start, so that what is in the old file can go with the next checkpoint. Where there is no room for another file
  // the first append tries again.
  void leave_closed_file(std::unique_lock<std::mutex>& lock) {
    if (options_.threaded) {
      work_.notify_one();
      done_.wait(lock, [&] { return failed_ || margin() >= kReadyFiles || !can_create(); });
    }
    lock.unlock();
    if (make_room(0, false)) {
      position_ = plan_.start;
      flush();
    }
    lock.lock();
  }

  // Until there is this margin.
  bool refuse(size_t margin_needed) {
    refused_ = waits_for_file_ = true;
    if (!can_create()) full_ = true, full_below_ = margin_needed;
    if (options_.threaded) work_.notify_one();
    return false;
  }

  // How far records outside of the reserve may go in the planned file.
  void refresh_limit() { limit_ = plan_.closed ? 0 : margin() >= 1 ? plan_.capacity : can_create() ? plan_.capacity / 2 : 0; }

  void retry_creation() {
    std::unique_lock lock(mutex_);
    uint64_t now = monotonic_ns();
    if (options_.threaded && now - refused_by_disk_ns_ < kCreationRetryNs) return;
    refused_ = false;
    retry_ = true;
    if (options_.threaded)
      work_.notify_one();
    else
      maintain_all(lock);
  }

  // ---- shared state; the mutex is held

  size_t ready() const { return ready_spares_ + (next_ ? 1 : 0); }
  size_t margin() const {
    assert(ready() >= files_planned_ - files_opened_);
    return ready() - (files_planned_ - files_opened_);
  }
  // Regular files. What a large one takes beyond their size does not count (enlarge_next bounds it): else a large file in use and a
  // large next one could leave no room for the file behind them, and nothing would ever be released.
  bool within_bytes_max() const {
    const uint64_t regular = files_.capacity() + kJournalHeaderBytes;
    uint64_t beyond = next_ ? next_->file_bytes() - std::min(next_->file_bytes(), regular) : 0;
    for (const JournalFile& file : log_) beyond += file.file_bytes() - std::min(file.file_bytes(), regular);
    return creating_ || bytes_of_files_ - std::min(beyond, bytes_of_files_) + regular <= options_.bytes_max;
  }
  bool can_create() const { return !no_room_on_disk_ && within_bytes_max(); }

  bool release_due() const { return log_.size() > 1 && log_.front().end() <= released_ && !maintenance_stalled_; }
  bool prepare_due() const { return !next_ && ready_spares_ > 0 && !maintenance_stalled_; }
  bool enlarge_due() const {
    if (!large_asked_ || large_waits_ || maintenance_stalled_) return false;
    return next_ ? next_->generation == next_generation_planned_ : ready_spares_ > 0;
  }
  bool give_up_due() const { return give_up_ && ready_spares_ > 0 && margin() > kReadyFiles; }
  bool creation_due() const {
    return within_bytes_max() && margin() < kReadyFiles && (!no_room_on_disk_ || retry_);
  }
  bool maintenance_due() const {
    return !failed_ && (release_due() || prepare_due() || creation_due() || enlarge_due() || give_up_due());
  }

  // The prepared file, if one is needed at all, is enough for this batch.
  bool prepared_for(const Batch& batch) const {
    uint64_t last = batch.pieces.back().generation;
    return last == log_.back().generation || (next_ && last == next_->generation && !names_unsynced_);
  }

  void set_failed(const std::string& problem) {
    if (failed_) return;
    error_ = problem;
    failed_ = true;
    work_.notify_all();
    done_.notify_all();
  }

  // ---- writing: by the owner or by the thread, never both

  // What is left of the batch after `later` is to be written again.
  Written write(Batch& batch) {
    JournalFile* file;
    {
      std::lock_guard lock(mutex_);
      file = &log_.back();
    }
    for (size_t i = 0; i < batch.pieces.size(); i++) {
      const Piece& piece = batch.pieces[i];
      Written result = piece.generation == file->generation ? Written::all : open_next(file, piece);
      if (result == Written::all && piece.end > piece.begin)
        result = write_to(*file, batch.bytes.data() + piece.begin, piece.end - piece.begin, piece.offset);
      if (result == Written::all) continue;
      batch.pieces.erase(batch.pieces.begin(), batch.pieces.begin() + (std::ptrdiff_t)i);
      return result;
    }
    return Written::all;
  }

  Written write_to(const JournalFile& file, const char* from, size_t n, uint64_t offset) {
    ssize_t r = disk_.pwrite(file.handle, from, n, kJournalHeaderBytes + offset);
    std::lock_guard lock(mutex_);
    if (r < 0) return not_written((int)r, "cannot write " + file.path);
    stats_.writes++;
    stats_.bytes_written += n;
    return Written::all;
  }

  Written not_written(int error, const std::string& what) {
    if (!note_trouble(error, what)) return Written::failed;
    write_stalled_ = true;
    return Written::later;
  }

  // True when it passes, and may be tried again.
  bool note_trouble(int error, const std::string& what) {
    if (passes(error)) {
      trouble_ = error;
      trouble_wakes_ = true;
    } else {
      set_failed(what + ": " + strerror(-error) +
                 (trouble_of(error) == DiskTrouble::read_only ? ". Make it writable and start the server again" : ""));
    }
    return passes(error);
  }

  // Goes over to the prepared file. The mark that ends the old one is written only now, so a mark never names
  // a file that is not there.
  Written open_next(JournalFile*& file, const Piece& piece) {
    const JournalFile& old = *file;
    std::unique_lock lock(mutex_);
    if (!next_ && !prepare_next(lock)) return failed_ ? Written::failed : not_written(trouble_, {});
    if (names_unsynced_) {
      lock.unlock();
      int r = files_.sync_names();
      lock.lock();
      if (r < 0) return not_written(r, "cannot sync " + options_.folder);
      names_unsynced_ = false;
    }
    assert(next_->generation == piece.generation && next_->start == old.end());
    char mark[kNextFileBytes];
    encode_record(mark, old.seed, 0, 0, next_->generation, synced_, kNextFile, {}, nullptr);
    lock.unlock();
    if (Written result = write_to(old, mark, sizeof mark, piece.previous_used); result != Written::all) return result;
    lock.lock();
    log_.push_back(std::move(*next_));
    next_.reset();
    files_opened_++;
    file = &log_.back();
    return Written::all;
  }

  // Syncs all that is written. Files are synced in order; the last one stays in the set because more comes
  // into it.
  void sync_written(std::unique_lock<std::mutex>& lock) {
    if (failed_ || written_ == synced_) return;
    uint64_t target = written_, last = log_.back().generation;
    std::vector<const JournalFile*> unsynced;
    for (const JournalFile& file : log_)
      if (file.generation >= unsynced_from_) unsynced.push_back(&file);
    lock.unlock();
    uint64_t began = monotonic_ns();
    int r = 0;
    const JournalFile* at = nullptr;
    for (const JournalFile* file : unsynced)
      if (r == 0) {
        at = file;
        r = disk_.sync(file->handle);
      }
    uint64_t took = monotonic_ns() - began;
    lock.lock();
    if (r < 0) set_failed("cannot sync " + at->path + ": " + strerror(-r));
    if (failed_) return;
    unsynced_from_ = last;
    synced_ = target;
    stats_.syncs++;
    stats_.sync_ns_total += took;
    stats_.sync_ns_max = std::max(stats_.sync_ns_max, took);
    done_.notify_all();
  }

  // ---- files: by the thread, or by the owner where there is none

  bool begin_log() {
    int r = 0;
    while (files_.spares() == 0 && r >= 0) r = files_.create_piece();
    JournalFile first;
    if (r >= 0) r = files_.prepare(next_generation_prepared_, 0, first);
    if (r >= 0) next_generation_prepared_++;
    if (first.handle >= 0) log_.push_back(std::move(first));
    if (r < 0) set_failed("cannot make the first file in " + options_.folder + ": " + strerror(-r));
    next_generation_planned_ = next_generation_prepared_;
    note_files();
    return r >= 0;
  }

  void note_files() {
    ready_spares_ = files_.spares();
    bytes_of_files_ = files_.bytes();
    creating_ = files_.creating();
    names_unsynced_ = files_.names_unsynced();
    if (margin() >= kReadyFiles || !within_bytes_max()) no_room_on_disk_ = false;  // the disk is not what is asked
    if (margin() >= full_below_ || can_create()) full_ = false;
    note_progress();
    done_.notify_all();
  }

  void note_progress() {
    if (!no_room_on_disk_ && !maintenance_stalled_ && !write_stalled_) trouble_ = 0;
  }

  void maintain_all(std::unique_lock<std::mutex>& lock) {
    note_files();
    while (maintenance_due()) maintain_one(lock);
    refresh_limit();
  }

  // One step of what is due, without the mutex. A step is short, because syncs wait for it.
  void maintain_one(std::unique_lock<std::mutex>& lock) {
    if (release_due()) {
      JournalFile& file = log_.front();  // only who maintains removes it
      bool taken = false;
      lock.unlock();
      int r = files_.retire(file, taken);
      lock.lock();
      if (r < 0) maintenance_stalled_ = note_trouble(r, "cannot recycle " + file.path);
      if (taken) log_.pop_front(), large_waits_ = false;
      note_files();
    } else if (enlarge_due()) {
      enlarge_next(lock);
    } else if (give_up_due()) {
      give_up_spare(lock);
    } else if (prepare_due()) {
      prepare_next(lock);
    } else if (creation_due()) {
      create_spare(lock);
    }
  }

  bool prepare_next(std::unique_lock<std::mutex>& lock) {
    assert(!next_ && files_.spares() > 0);
    uint64_t generation = next_generation_prepared_, start = log_.back().end();
    lock.unlock();
    JournalFile file;
    int r = files_.prepare(generation, start, file);
    lock.lock();
    if (r < 0) {
      maintenance_stalled_ = note_trouble(r, "cannot prepare " + options_.folder + "/" + hex16(generation) + ".journal");
      return false;
    }
    next_generation_prepared_++;
    next_ = std::move(file);
    note_files();
    return true;
  }

  void create_spare(std::unique_lock<std::mutex>& lock) {
    retry_ = false;
    bool urgent = margin() == 0 || no_room_on_disk_;  // all pieces in one go
    int r;
    do {
      lock.unlock();
      r = files_.create_piece();
      lock.lock();
    } while (r == 0 && urgent);
    if (r < 0) {
      no_room_on_disk_ = note_trouble(r, "cannot make a file in " + options_.folder);
      refused_by_disk_ns_ = monotonic_ns();
    } else if (r > 0) {
      no_room_on_disk_ = give_up_ = false;
    }
    note_files();
  }

  // The bound of all files gives way to a single large one, but not to one behind files that a checkpoint could free.
  void enlarge_next(std::unique_lock<std::mutex>& lock) {
    if (!next_ && !prepare_next(lock)) return;
    uint64_t larger = large_asked_ + kJournalHeaderBytes;
    if (bytes_of_files_ - next_->file_bytes() + larger > options_.bytes_max) {
      if (margin() > kReadyFiles) return give_up_spare(lock);
      if (log_.size() > 1) {
        large_waits_ = trouble_wakes_ = true;  // for release()
        return;
      }
    }
    JournalFile file = *next_;
    uint64_t capacity = large_asked_;
    enlarging_ = true;  // the plan leaves it alone
    lock.unlock();
    int r = files_.enlarge(file, capacity);
    lock.lock();
    enlarging_ = false;
    *next_ = file;
    large_asked_ = 0;
    if (r < 0) large_refused_ = note_trouble(r, "cannot make a larger " + file.path);
    trouble_wakes_ = true;
    note_files();
  }

  void give_up_spare(std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    size_t before = files_.spares();
    int r = files_.give_up_spare();
    bool none = files_.spares() == before;
    lock.lock();
    if (r < 0) maintenance_stalled_ = note_trouble(r, "cannot unlink a spare file in " + options_.folder);
    note_files();
    if (margin() <= kReadyFiles || none) give_up_ = false;
  }

  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [&] {
        return stop_ || failed_ ||
               ((!queue_.empty() && !write_stalled_) || (sync_wanted_ > synced_ && written_ > synced_) || maintenance_due());
      });
      if (failed_ || (stop_ && (queue_.empty() || write_stalled_))) return finish(lock);
      uint64_t written = written_, synced = synced_;
      size_t files = margin();
      write_queue(lock);
      if (sync_wanted_ > synced_) sync_written(lock);
      bool moved = written_ > written || synced_ > synced;
      if (moved) wake(lock);
      if (!failed_ && !stop_ && maintenance_due()) maintain_one(lock);
      if ((waits_for_file_ && margin() > files) || trouble_wakes_) {
        waits_for_file_ = trouble_wakes_ = false;
        wake(lock);
      }
    }
  }

  // Nothing is done after a failure; the owner is told once.
  void finish(std::unique_lock<std::mutex>& lock) {
    queue_.clear();
    if (failed_ && !stop_) wake(lock);
  }

  void write_queue(std::unique_lock<std::mutex>& lock) {
    while (!queue_.empty() && !failed_ && !write_stalled_) {
      Batch batch = std::move(queue_.front());
      queue_.pop_front();
      thread_writes_ = true;
      lock.unlock();
      Written result = write(batch);
      lock.lock();
      thread_writes_ = false;
      if (result == Written::all) written_ = batch.position_end;
      else if (result == Written::later) queue_.push_front(std::move(batch));
      note_progress();
      done_.notify_all();
    }
  }

  void wake(std::unique_lock<std::mutex>& lock) {
    if (!options_.wake) return;
    lock.unlock();
    options_.wake();
    lock.lock();
  }

  Disk& disk_;
  const JournalOptions options_;
  JournalFiles files_;  // used by the thread, or by the owner where there is none

  // The owner's.
  struct {
    uint64_t generation, start, capacity, used;
    uint32_t seed;
    std::shared_ptr<FileCipher> cipher;  // null: not encrypted
    bool closed;                         // it is encrypted otherwise than new files: nothing more goes in
  } plan_{};  // the file that append() fills
  uint64_t limit_ = 0, next_generation_planned_ = 0;
  Batch batch_;
  bool durable_wanted_ = false, recovered_ = false, refused_ = false;

  // Under the mutex.
  mutable std::mutex mutex_;
  std::condition_variable work_, done_;
  std::deque<JournalFile> log_;  // oldest first; only who writes appends, only who maintains removes
  std::optional<JournalFile> next_;
  std::deque<Batch> queue_;
  uint32_t syncs_put_off_ = 0;
  uint64_t position_ = 0, released_ = 0, sync_wanted_ = 0, unsynced_from_ = 0, next_generation_prepared_ = 0;
  uint64_t files_planned_ = 0, files_opened_ = 0, refused_by_disk_ns_ = 0, bytes_of_files_ = 0;
  uint64_t large_asked_ = 0;  // capacity of the next file, because a record needs it
  size_t ready_spares_ = 0;
  bool creating_ = false, waits_for_file_ = false, no_room_on_disk_ = false, retry_ = false,
       enlarging_ = false, names_unsynced_ = false, thread_writes_ = false, stop_ = false, give_up_ = false;
  bool maintenance_stalled_ = false;  // until retry()
  bool trouble_wakes_ = false;        // the owner has not heard of a trouble yet
  std::string error_;
  Stats stats_{};
  std::atomic<uint64_t> written_{0}, synced_{0};
  size_t full_below_ = 1;  // of margin(), while full_
  std::atomic<bool> failed_{false}, full_{false}, write_stalled_{false}, large_refused_{false}, large_waits_{false};
  std::atomic<int> trouble_{0};
  std::thread thread_;
};

std::string check_options(const JournalOptions& options) {
  if (options.file_bytes < 2 * kJournalHeaderBytes || options.file_bytes % 4096 != 0)
    return "the journal's file_bytes must be a multiple of 4096, and at least 8192";
  if (options.bytes_max < 4 * options.file_bytes)
    return "the journal's bytes_max must hold at least four files";
  return {};
}

}  // namespace

std::unique_ptr<Journal> Journal::open(Disk& disk, JournalOptions options, std::string& error) {
  error = check_options(options);
  if (!error.empty()) return nullptr;
  int r = disk.make_folder(options.folder);
  size_t slash = options.folder.rfind('/');
  if (r >= 0) r = disk.sync_folder(slash == std::string::npos ? "" : options.folder.substr(0, slash));
  if (r < 0) {
    error = "cannot make " + options.folder + ": " + strerror(-r);
    return nullptr;
  }
  auto journal = std::make_unique<JournalImpl>(disk, std::move(options));
  if (!journal->find_files(error)) return nullptr;
  return journal;
}

}  // namespace slipstream
