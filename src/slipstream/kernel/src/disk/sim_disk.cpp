// The simulated disk. Each file keeps two contents: what processes see, and what is stable, with the
// operations between the two in order. Names likewise: the namespace that processes see, and the stable one,
// with the operations that no sync_folder has covered yet. An image of a power loss is the stable state plus
// what the loss lets survive.
//
// It is harsher than a journaling file system: unsynced operations on names survive independently of each
// other, and syncing a file does not make its name durable.
#include "disk/sim_disk.hpp"

#include <errno.h>

#include <algorithm>
#include <cassert>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "bytes/bytes.hpp"
#include "disk/disk_trouble.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kSectorBytes = 512;

enum class Operation : uint8_t { open, create, read, write, sync, sync_folder, rename, unlink, folder, list };

// Which errors an operation ends with, other than -EIO. A sync that finds no room has lost data, so it counts as -EIO.
bool can_end_with(Operation operation, int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return operation == Operation::create || operation == Operation::write || operation == Operation::rename ||
             operation == Operation::folder;
    case EFBIG:
      return operation == Operation::write;
    case EMFILE:
    case ENFILE:
      return operation == Operation::open || operation == Operation::create || operation == Operation::sync_folder ||
             operation == Operation::list;
    case EROFS:
      return operation == Operation::create || operation == Operation::write || operation == Operation::rename ||
             operation == Operation::unlink || operation == Operation::folder;
    case kShortRead:
      return operation == Operation::read;
    default:
      return true;
  }
}

// splitmix64: small, and every seed is a good one.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  uint64_t below(uint64_t n) { return next() % n; }
  bool coin() { return next() & 1; }

 private:
  uint64_t state_;
};

struct Change {  // of one file's content
  enum Kind : uint8_t { write, truncate } kind;
  uint64_t order;   // of all changes on this disk
  uint64_t offset;  // of the write; the new size of a truncation
  std::string bytes;
};

void put_bytes(std::string& content, uint64_t offset, const char* from, size_t n) {
  if (content.size() < offset + n) content.resize(offset + n, '\0');
  memcpy(content.data() + offset, from, n);
}

struct File {
  std::string path;  // where it was last opened, for inject()
  std::string seen, stable;
  std::vector<Change> unsynced;
  bool failure_unseen = false;  // a sync of everything failed for it: the next sync of the file says so, once

  void apply(std::string& content, const Change& c) const {
    if (c.kind == Change::truncate)
      content.resize(c.offset, '\0');
    else
      put_bytes(content, c.offset, c.bytes.data(), c.bytes.size());
  }
};
using FilePointer = std::shared_ptr<File>;

// A name's change: `gone` (may be empty) no longer names `file`, `here` (may be empty) now does. A folder has
// no file.
struct NameChange {
  std::string gone, here;
  FilePointer file;
};
using Names = std::map<std::string, FilePointer>;  // a null pointer is a folder

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

void apply_names(Names& names, const NameChange& c) {
  if (!c.gone.empty()) {
    auto it = names.find(c.gone);
    if (it != names.end() && it->second == c.file) names.erase(it);
  }
  if (!c.here.empty()) names[c.here] = c.file;
}

class SimDiskImpl final : public SimDisk {
 public:
  explicit SimDiskImpl(uint64_t seed) : seed_(seed) {}

  int open(const std::string& path, int mode) override {
    std::lock_guard guard(mutex_);
    if (crashed_) return -EIO;
    auto it = names_.find(path);
    bool writes = it == names_.end() || (mode & kOpenTruncate);
    if (int error = fault(writes ? Operation::create : Operation::open, path)) return error;
    if (it == names_.end()) {
      if (!(mode & (kOpenCreate | kOpenExclusive))) return -ENOENT;
      if (!folder_exists(folder_of(path))) return -ENOENT;
      if (!step()) return -EIO;
      it = names_.emplace(path, std::make_shared<File>()).first;
      change_name(folder_of(path), {"", path, it->second});
    } else {
      if (!it->second) return -EISDIR;
      if (mode & kOpenExclusive) return -EEXIST;
    }
    FilePointer file = it->second;
    file->path = path;
    if ((mode & kOpenTruncate) && !file->seen.empty()) {
      if (!step()) return -EIO;
      change(*file, {Change::truncate, 0, 0, {}});
    }
    return new_handle(file);
  }

  int close(int handle) override {
    std::lock_guard guard(mutex_);
    if (!file_of(handle)) return -EBADF;
    open_[(size_t)handle].reset();
    locked_.erase(handle);
    return 0;
  }

  ssize_t pread(int handle, void* to, size_t n, uint64_t offset) override {
    std::lock_guard guard(mutex_);
    return read(handle, to, n, offset);
  }

  ssize_t pread_nowait(int handle, void* to, size_t n, uint64_t offset) override {
    std::lock_guard guard(mutex_);
    return cold_ ? (ssize_t)-EAGAIN : read(handle, to, n, offset);
  }

  ssize_t pwrite(int handle, const void* from, size_t n, uint64_t offset) override {
    std::lock_guard guard(mutex_);
    File* file = file_of(handle);
    if (!file) return -EBADF;
    if (int error = fault(Operation::write, file->path)) return error;
    if (!step()) return -EIO;
    if (n == 0) return 0;  // nothing grows by it, as on a real disk
    uint64_t grown = offset + n > file->seen.size() ? offset + n - file->seen.size() : 0;
    if (grown && !room_for(grown)) return -ENOSPC;
    change(*file, {Change::write, 0, offset, std::string((const char*)from, n)});
    return (ssize_t)n;
  }

  int sync(int handle) override {
    std::lock_guard guard(mutex_);
    File* file = file_of(handle);
    if (!file) return -EBADF;
    if (!step()) return -EIO;
    bool failed = sync_fails() || fault(Operation::sync, file->path);
    write_back(*file, failed);
    return std::exchange(file->failure_unseen, false) ? -EIO : 0;
  }

  int truncate(int handle, uint64_t size) override {
    std::lock_guard guard(mutex_);
    File* file = file_of(handle);
    if (!file) return -EBADF;
    if (int error = fault(Operation::write, file->path)) return error;
    if (!step()) return -EIO;
    if (size > file->seen.size() && !room_for(size - file->seen.size())) return -ENOSPC;
    change(*file, {Change::truncate, 0, size, {}});
    return 0;
  }

  int64_t size(int handle) override {
    std::lock_guard guard(mutex_);
    File* file = file_of(handle);
    if (!file) return -EBADF;
    return crashed_ ? -EIO : (int64_t)file->seen.size();
  }

  int rename(const std::string& from, const std::string& to) override {
    std::lock_guard guard(mutex_);
    auto it = names_.find(from);
    if (it == names_.end() || !folder_exists(folder_of(to))) return -ENOENT;
    auto target = names_.find(to);
    if (target != names_.end() && !target->second) return -EISDIR;
    if (!it->second) return -EINVAL;  // nothing here renames folders
    if (int error = fault(Operation::rename, to)) return error;
    if (!step()) return -EIO;
    NameChange c{from, to, it->second};
    apply_names(names_, c);
    change_name(folder_of(to), std::move(c));
    return 0;
  }

  int unlink(const std::string& path) override {
    std::lock_guard guard(mutex_);
    auto it = names_.find(path);
    if (it == names_.end()) return -ENOENT;
    if (!it->second) return -EISDIR;
    if (int error = fault(Operation::unlink, path)) return error;
    return remove_name(it);
  }

  int make_folder(const std::string& path) override {
    std::lock_guard guard(mutex_);
    if (crashed_) return -EIO;
    auto it = names_.find(path);
    if (path.empty() || it != names_.end()) return path.empty() || !it->second ? 0 : -ENOTDIR;
    if (!folder_exists(folder_of(path))) return -ENOENT;
    if (int error = fault(Operation::folder, path)) return error;
    if (!step()) return -EIO;
    names_.emplace(path, nullptr);
    change_name(folder_of(path), {"", path, nullptr});
    return 0;
  }

  int remove_folder(const std::string& path) override {
    std::lock_guard guard(mutex_);
    auto it = names_.find(path);
    if (it == names_.end()) return -ENOENT;
    if (it->second) return -ENOTDIR;
    auto next = names_.lower_bound(path + "/");
    if (next != names_.end() && next->first.compare(0, path.size() + 1, path + "/") == 0) return -ENOTEMPTY;
    if (int error = fault(Operation::unlink, path)) return error;
    return remove_name(it);
  }

  int sync_folder(const std::string& path) override {
    std::lock_guard guard(mutex_);
    if (!folder_exists(path)) return -ENOENT;
    int error = fault(Operation::sync_folder, path);
    if (passes(error)) return error;  // it could not be opened
    if (!step()) return -EIO;
    bool failed = sync_fails() || error;
    std::vector<NameChange>& changes = unsynced_names_[path];
    if (!failed)
      for (const NameChange& c : changes) apply_names(stable_names_, c);
    changes.clear();
    return failed ? -EIO : 0;
  }

  int sync_everything() override {
    std::lock_guard guard(mutex_);
    if (!step()) return -EIO;
    bool all_fail = sync_fails(), failed = all_fail;
    for (auto& [path, file] : names_) {
      if (!file || file->unsynced.empty()) continue;
      write_back(*file, all_fail || fault(Operation::sync, path));
      failed |= file->failure_unseen;
    }
    for (auto& [folder, changes] : unsynced_names_) {
      if (!all_fail)
        for (const NameChange& c : changes) apply_names(stable_names_, c);
      changes.clear();
    }
    return failed ? -EIO : 0;
  }

  int list(const std::string& path, std::vector<std::string>& names) override {
    std::lock_guard guard(mutex_);
    names.clear();
    if (crashed_) return -EIO;
    if (!folder_exists(path)) return -ENOENT;
    if (int error = fault(Operation::list, path)) return error;
    std::string prefix = path.empty() ? "" : path + "/";
    for (auto it = names_.lower_bound(prefix);
         it != names_.end() && it->first.compare(0, prefix.size(), prefix) == 0; ++it)
      if (folder_of(it->first) == path) names.push_back(it->first.substr(prefix.size()));
    return 0;
  }

  int lock(const std::string& path) override {
    int handle = open(path, kOpenWrite | kOpenCreate);
    if (handle < 0) return handle;
    std::lock_guard guard(mutex_);
    for (int other : locked_)
      if (open_[(size_t)other] == open_[(size_t)handle]) {
        open_[(size_t)handle].reset();
        return -EWOULDBLOCK;
      }
    locked_.insert(handle);
    return handle;
  }

  uint64_t operations() const override {
    std::lock_guard guard(mutex_);
    return operations_;
  }
  void crash_at(uint64_t operation) override {
    std::lock_guard guard(mutex_);
    crash_at_ = operation;
  }
  bool crashed() const override {
    std::lock_guard guard(mutex_);
    return crashed_;
  }
  void fail_sync_at(uint64_t nth_sync) override {
    std::lock_guard guard(mutex_);
    fail_sync_at_ = nth_sync;
  }
  void set_capacity(uint64_t bytes) override {
    std::lock_guard guard(mutex_);
    capacity_ = bytes;
  }
  void inject(int error, uint64_t after, uint64_t count, const std::string& path_part) override {
    std::lock_guard guard(mutex_);
    fault_ = {error, after, count, path_part};
    eligible_ = injected_ = 0;
  }
  uint64_t eligible() const override {
    std::lock_guard guard(mutex_);
    return eligible_;
  }
  uint64_t injected() const override {
    std::lock_guard guard(mutex_);
    return injected_;
  }
  int space(Space& space) override {
    std::lock_guard guard(mutex_);
    if (!capacity_) return -ENOSYS;
    uint64_t used = used_bytes();
    space = {capacity_, used < capacity_ ? capacity_ - used : 0};
    return 0;
  }
  void set_cold(bool cold) override {
    std::lock_guard guard(mutex_);
    cold_ = cold;
  }

  void flip_bit(const std::string& path, uint64_t offset, int bit) override {
    std::lock_guard guard(mutex_);
    auto it = names_.find(path);
    assert(it != names_.end() && it->second && offset < it->second->seen.size());
    File& file = *it->second;
    file.seen[offset] = (char)(file.seen[offset] ^ (1 << bit));
    if (offset < file.stable.size()) file.stable[offset] = (char)(file.stable[offset] ^ (1 << bit));
  }

  std::unique_ptr<SimDisk> image(Loss loss, uint64_t seed) const override {
    std::lock_guard guard(mutex_);
    Random random(seed_ ^ quick_hash((const char*)&seed, sizeof seed));
    auto disk = std::make_unique<SimDiskImpl>(random.next());
    const Change* last = loss == Loss::torn_last ? last_write() : nullptr;
    std::map<const File*, FilePointer> copies;  // never walked: pointers differ from run to run
    for (const auto& [path, file] : surviving_names(loss, random)) {
      if (!file) {
        disk->names_.emplace(path, nullptr);
        continue;
      }
      FilePointer& copy = copies[file.get()];
      if (!copy) {
        copy = std::make_shared<File>();
        copy->seen = copy->stable = surviving_content(*file, loss, last, random);
      }
      disk->names_.emplace(path, copy);
    }
    disk->stable_names_ = disk->names_;
    return disk;
  }

 private:
  // Counts an operation; false when it and all later ones fail.
  bool step() {
    if (!crashed_ && ++operations_ == crash_at_) crashed_ = true;
    return !crashed_;
  }
  int fault(Operation operation, const std::string& path) {
    if (!fault_.error || !can_end_with(operation, fault_.error) || path.find(fault_.path_part) == std::string::npos) return 0;
    uint64_t number = eligible_++;
    if (number < fault_.after || number - fault_.after >= fault_.count) return 0;
    injected_++;
    return -fault_.error;
  }
  // A failed sync too marks the pages clean: no later sync writes them.
  void write_back(File& file, bool fails) {
    if (!fails)
      for (const Change& c : file.unsynced) file.apply(file.stable, c);
    file.unsynced.clear();
    file.failure_unseen |= fails;
  }
  bool sync_fails() { return fail_sync_at_ && --fail_sync_at_ == 0; }

  bool folder_exists(const std::string& path) const {
    if (path.empty()) return true;
    auto it = names_.find(path);
    return it != names_.end() && !it->second;
  }
  File* file_of(int handle) const {
    return handle >= 0 && (size_t)handle < open_.size() ? open_[(size_t)handle].get() : nullptr;
  }
  int new_handle(FilePointer file) {
    size_t handle = 0;
    while (handle < open_.size() && open_[handle]) handle++;
    if (handle == open_.size()) open_.emplace_back();
    open_[handle] = std::move(file);
    return (int)handle;
  }

  ssize_t read(int handle, void* to, size_t n, uint64_t offset) {
    const File* file = file_of(handle);
    if (!file) return -EBADF;
    if (crashed_) return -EIO;
    int error = fault(Operation::read, file->path);
    if (error && error != -kShortRead) return error;
    if (offset >= file->seen.size()) return 0;
    size_t length = std::min<uint64_t>(n, file->seen.size() - offset);
    if (error) length /= 2;
    memcpy(to, file->seen.data() + offset, length);
    return (ssize_t)length;
  }

  bool room_for(uint64_t grown) const {
    return !capacity_ || used_bytes() + grown <= capacity_;
  }
  uint64_t used_bytes() const {
    uint64_t used = 0;
    for (const auto& [path, file] : names_)
      if (file) used += file->seen.size();
    return used;
  }

  void change(File& file, Change c) {
    c.order = ++changes_;
    file.apply(file.seen, c);
    file.unsynced.push_back(std::move(c));
  }
  void change_name(const std::string& folder, NameChange c) {
    unsynced_names_[folder].push_back(std::move(c));
  }
  int remove_name(Names::iterator it) {
    if (!step()) return -EIO;
    change_name(folder_of(it->first), {it->first, "", it->second});
    names_.erase(it);
    return 0;
  }

  const Change* last_write() const {
    const Change* last = nullptr;
    for (const auto& [path, file] : names_)
      if (file)
        for (const Change& c : file->unsynced)
          if (c.kind == Change::write && (!last || c.order > last->order)) last = &c;
    return last;
  }

  Names surviving_names(Loss loss, Random& random) const {
    if (loss == Loss::none || loss == Loss::torn_last) return names_;
    Names names = stable_names_;
    if (loss == Loss::random_subset)
      for (const auto& [folder, changes] : unsynced_names_)
        for (const NameChange& c : changes)
          if (random.coin()) apply_names(names, c);
    drop_orphans(names);
    return names;
  }

  // What lies in a folder that did not survive is gone with it.
  static void drop_orphans(Names& names) {
    for (auto it = names.begin(); it != names.end();) {  // a folder sorts before what is in it
      std::string folder = folder_of(it->first);
      bool orphan = !folder.empty() && !names.count(folder);
      it = orphan ? names.erase(it) : std::next(it);
    }
  }

  static std::string surviving_content(const File& file, Loss loss, const Change* last, Random& random) {
    if (loss == Loss::none) return file.seen;
    std::string content = file.stable;
    if (loss == Loss::all) return content;
    for (const Change& c : file.unsynced) {
      if (loss == Loss::torn_last) {
        if (&c == last)
          tear(content, c, random);
        else
          file.apply(content, c);
      } else {
        uint64_t fate = random.below(3);
        if (fate == 0)
          file.apply(content, c);
        else if (fate == 1 && c.kind == Change::write)
          mix_sectors(content, c, 0, random);
      }
    }
    return content;
  }

  // Cuts a write at a random byte; of the whole sectors behind the cut, some may have reached the disk all
  // the same.
  static void tear(std::string& content, const Change& c, Random& random) {
    size_t cut = (size_t)random.below(c.bytes.size() + 1);
    put_bytes(content, c.offset, c.bytes.data(), cut);
    if (random.coin()) mix_sectors(content, c, sector_end(c.offset + cut) - c.offset, random);
  }
  static void mix_sectors(std::string& content, const Change& c, size_t from, Random& random) {
    for (size_t i = from; i < c.bytes.size();) {
      size_t end = std::min<size_t>(sector_end(c.offset + i) - c.offset, c.bytes.size());
      if (random.coin()) put_bytes(content, c.offset + i, c.bytes.data() + i, end - i);
      i = end;
    }
  }
  static uint64_t sector_end(uint64_t offset) { return (offset / kSectorBytes + 1) * kSectorBytes; }

  mutable std::mutex mutex_;
  const uint64_t seed_;
  Names names_, stable_names_;
  std::map<std::string, std::vector<NameChange>> unsynced_names_;  // by folder
  std::vector<FilePointer> open_;
  std::set<int> locked_;
  uint64_t operations_ = 0, changes_ = 0, crash_at_ = 0, fail_sync_at_ = 0, capacity_ = 0;
  bool crashed_ = false, cold_ = false;
  struct {
    int error = 0;
    uint64_t after = 0, count = 0;
    std::string path_part;
  } fault_;
  uint64_t eligible_ = 0, injected_ = 0;
};

}  // namespace

std::unique_ptr<SimDisk> SimDisk::create(uint64_t seed) { return std::make_unique<SimDiskImpl>(seed); }

}  // namespace slipstream
