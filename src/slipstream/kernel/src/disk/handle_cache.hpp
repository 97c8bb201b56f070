// Bounds the open files of all stores on one disk: the least recently used handle is closed when there are
// too many.
//
// A handle in use is a shared pointer: taking it out of the cache, dropping its store or unlinking its path
// leaves it open until the last user is done. The cache itself belongs to the kernel's thread. Jobs of the
// I/O thread, and what a checkpoint has to sync, wait in queues without a bound: they open their file when it
// is their turn. An unlink is a job too, and comes later, so the file is still in its place.
#pragma once
#include <algorithm>
#include <memory>
#include <string>

#include "disk/disk.hpp"

namespace slipstream {

struct OpenFile {
  OpenFile(Disk* d, int h) : disk(d), handle(h) {}
  OpenFile(const OpenFile&) = delete;
  ~OpenFile() { disk->close(handle); }
  // For a job; null with -errno.
  static std::shared_ptr<OpenFile> at(Disk* disk, const std::string& path, int& error) {
    int handle = disk->open(path, kOpenWrite);
    error = std::min(handle, 0);
    return handle < 0 ? nullptr : std::make_shared<OpenFile>(disk, handle);
  }
  Disk* const disk;
  const int handle;
};

class HandleCache;

// A file that exists on the disk, and its handle while the cache keeps it open.
class CachedFile {
 public:
  CachedFile(std::shared_ptr<HandleCache> cache, std::string path)
      : cache_(std::move(cache)), path_(std::move(path)) {}
  CachedFile(const CachedFile&) = delete;
  ~CachedFile() { close(); }
  const std::string& path() const { return path_; }
  std::shared_ptr<OpenFile> open(int& error);    // null with -errno
  std::shared_ptr<OpenFile> create(int& error);  // the path must not exist
  void close();

 private:
  friend class HandleCache;
  std::shared_ptr<OpenFile> open_with(int mode, int& error);
  std::shared_ptr<HandleCache> cache_;
  std::string path_;
  std::shared_ptr<OpenFile> file_;
  CachedFile *newer_ = nullptr, *older_ = nullptr;
};

class HandleCache {
 public:
  static constexpr size_t kOpenMax = 512;
  static std::shared_ptr<HandleCache> of(Disk* disk);  // one per disk, while any store uses it
  explicit HandleCache(Disk* disk, size_t open_max = kOpenMax) : disk_(disk), open_max_(open_max) {}
  Disk* disk() const { return disk_; }
  size_t open() const { return open_; }
  void close_all();

 private:
  friend class CachedFile;
  void insert(CachedFile* file);  // as the newest; closes the oldest beyond the bound
  void remove(CachedFile* file);
  Disk* const disk_;
  const size_t open_max_;
  size_t open_ = 0;
  CachedFile *newest_ = nullptr, *oldest_ = nullptr;
};

}  // namespace slipstream
