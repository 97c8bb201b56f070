#include "disk/overlay_disk.hpp"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

namespace slipstream {
namespace {

// Read from below until it is changed for the first time; then all of it is in memory.
struct OverlayFile {
  OverlayFile(Disk& b, int handle, std::string p) : base(b), below(handle), path(std::move(p)) {}
  OverlayFile(const OverlayFile&) = delete;
  OverlayFile& operator=(const OverlayFile&) = delete;
  ~OverlayFile() { if (below >= 0) base.close(below); }

  int take_into_memory() {
    if (in_memory) return 0;
    if (below >= 0) {
      int64_t size = base.size(below);
      if (size < 0) return (int)size;
      bytes.resize((size_t)size);
      ssize_t n = base.pread(below, bytes.data(), bytes.size(), 0);
      if (n < 0) return (int)n;
      bytes.resize((size_t)n);
    }
    in_memory = true;
    return 0;
  }

  Disk& base;
  int below;  // -1: made here
  std::string path, bytes;
  bool in_memory = false;
};
using FilePointer = std::shared_ptr<OverlayFile>;

class OverlayDiskImpl final : public OverlayDisk {
 public:
  explicit OverlayDiskImpl(Disk& base) : base_(base) {}

  int open(const std::string& path, int mode) override {
    int error = 0;
    FilePointer file = find(path, error);
    if (!file && error != -ENOENT) return error;
    if (!file && !(mode & (kOpenCreate | kOpenExclusive))) return -ENOENT;
    if (file && (mode & kOpenExclusive)) return -EEXIST;
    if (!file) {
      file = std::make_shared<OverlayFile>(base_, -1, path);
      file->in_memory = true;
      own_[path] = file;
    }
    if ((mode & kOpenTruncate) && (error = change(*file, file)) < 0) return error;
    if (mode & kOpenTruncate) file->bytes.clear();
    return new_handle(std::move(file));
  }
  int close(int handle) override {
    if (!file_of(handle)) return -EBADF;
    open_[(size_t)handle].reset();
    return 0;
  }
  ssize_t pread(int handle, void* to, size_t n, uint64_t offset) override {
    OverlayFile* file = file_of(handle);
    if (!file) return -EBADF;
    if (!file->in_memory) return base_.pread(file->below, to, n, offset);
    if (offset >= file->bytes.size()) return 0;
    n = std::min<size_t>(n, file->bytes.size() - offset);
    memcpy(to, file->bytes.data() + offset, n);
    return (ssize_t)n;
  }
  ssize_t pread_nowait(int handle, void* to, size_t n, uint64_t offset) override { return pread(handle, to, n, offset); }
  ssize_t pwrite(int handle, const void* from, size_t n, uint64_t offset) override {
    OverlayFile* file = file_of(handle);
    if (!file) return -EBADF;
    if (int error = change(*file, open_[(size_t)handle]); error < 0) return error;
    if (file->bytes.size() < offset + n) file->bytes.resize(offset + n, '\0');
    memcpy(file->bytes.data() + offset, from, n);
    return (ssize_t)n;
  }
  int sync(int handle) override { return file_of(handle) ? 0 : -EBADF; }
  int truncate(int handle, uint64_t size) override {
    OverlayFile* file = file_of(handle);
    if (!file) return -EBADF;
    if (int error = change(*file, open_[(size_t)handle]); error < 0) return error;
    file->bytes.resize(size, '\0');
    return 0;
  }
  int64_t size(int handle) override {
    OverlayFile* file = file_of(handle);
    if (!file) return -EBADF;
    return file->in_memory ? (int64_t)file->bytes.size() : base_.size(file->below);
  }
  int rename(const std::string& from, const std::string& to) override {
    int error = 0;
    FilePointer file = find(from, error);
    if (!file) return error;
    file->path = to;
    own_[from] = nullptr;
    own_[to] = file;
    return 0;
  }
  int unlink(const std::string& path) override {
    int error = 0;
    if (!find(path, error)) return error;
    own_[path] = nullptr;
    return 0;
  }
  int make_folder(const std::string& path) override {
    std::vector<std::string> names;
    if (base_.list(path, names) == -ENOENT) folders_.insert(path);
    return 0;
  }
  int remove_folder(const std::string& path) override {
    folders_.erase(path);
    return 0;
  }
  int sync_folder(const std::string&) override { return 0; }
  int sync_everything() override { return 0; }
  int list(const std::string& path, std::vector<std::string>& names) override {
    int error = base_.list(path, names);
    if (error < 0 && !(error == -ENOENT && folders_.count(path))) return error;
    std::set<std::string> found(names.begin(), names.end());
    std::string prefix = path.empty() ? "" : path + "/";
    for (const auto& [name, file] : own_) {
      if (name.compare(0, prefix.size(), prefix) != 0 || name.find('/', prefix.size()) != std::string::npos) continue;
      if (file) found.insert(name.substr(prefix.size()));
      else found.erase(name.substr(prefix.size()));
    }
    names.assign(found.begin(), found.end());
    return 0;
  }
  int lock(const std::string& path) override { return open(path, kOpenWrite | kOpenCreate); }

  std::vector<std::string> changed() const override { return {changed_.begin(), changed_.end()}; }

 private:
  FilePointer find(const std::string& path, int& error) {
    error = -ENOENT;
    auto own = own_.find(path);
    if (own != own_.end()) return own->second;
    if (FilePointer known = below_[path].lock()) return known;
    int handle = base_.open(path, kOpenRead);
    if (handle < 0) {
      error = handle;
      return nullptr;
    }
    auto file = std::make_shared<OverlayFile>(base_, handle, path);
    below_[path] = file;
    return file;
  }

  int change(OverlayFile& file, const FilePointer& shared) {
    if (file.below >= 0) changed_.insert(file.path);
    own_[file.path] = shared;
    return file.take_into_memory();
  }
  OverlayFile* file_of(int handle) const {
    return handle >= 0 && (size_t)handle < open_.size() ? open_[(size_t)handle].get() : nullptr;
  }
  int new_handle(FilePointer file) {
    size_t handle = 0;
    while (handle < open_.size() && open_[handle]) handle++;
    if (handle == open_.size()) open_.emplace_back();
    open_[handle] = std::move(file);
    return (int)handle;
  }

  Disk& base_;
  std::map<std::string, FilePointer> own_;  // made or changed here; null: unlinked
  std::map<std::string, std::weak_ptr<OverlayFile>> below_;
  std::vector<FilePointer> open_;
  std::set<std::string> folders_, changed_;
};

}  // namespace

std::unique_ptr<OverlayDisk> OverlayDisk::create(Disk& base) { return std::make_unique<OverlayDiskImpl>(base); }

}  // namespace slipstream
