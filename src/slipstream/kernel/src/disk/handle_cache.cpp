// See handle_cache.hpp.
#include "disk/handle_cache.hpp"

#include <map>
#include <mutex>

#include "disk/disk_trouble.hpp"

namespace slipstream {

// The one table that spans stores: descriptors are a limit of the process, not of a stream.
std::shared_ptr<HandleCache> HandleCache::of(Disk* disk) {
  static std::mutex mutex;
  static std::map<Disk*, std::weak_ptr<HandleCache>> caches;  // looked up by key, never walked
  std::lock_guard<std::mutex> lock(mutex);
  std::weak_ptr<HandleCache>& slot = caches[disk];
  std::shared_ptr<HandleCache> cache = slot.lock();
  if (!cache) slot = cache = std::make_shared<HandleCache>(disk);
  return cache;
}

std::shared_ptr<OpenFile> CachedFile::open_with(int mode, int& error) {
  Disk* disk = cache_->disk();
  auto none_left = [](int opened) { return trouble_of(std::min(opened, 0)) == DiskTrouble::no_descriptors; };
  int handle = disk->open(path_, mode | kOpenSparing);
  while (none_left(handle) && cache_->oldest_) {  // one of the others can do without
    cache_->oldest_->close();
    handle = disk->open(path_, mode | kOpenSparing);
  }
  if (none_left(handle)) handle = disk->open(path_, mode);
  if (handle < 0) {
    error = handle;
    return nullptr;
  }
  error = 0;
  file_ = std::make_shared<OpenFile>(disk, handle);
  cache_->insert(this);
  return file_;
}

std::shared_ptr<OpenFile> CachedFile::open(int& error) {
  error = 0;
  if (!file_) return open_with(kOpenWrite, error);
  if (cache_->newest_ != this) {
    cache_->remove(this);
    cache_->insert(this);
  }
  return file_;
}

std::shared_ptr<OpenFile> CachedFile::create(int& error) {
  return open_with(kOpenWrite | kOpenCreate | kOpenExclusive, error);
}

void CachedFile::close() {
  if (!file_) return;
  cache_->remove(this);
  file_.reset();
}

void HandleCache::close_all() {
  while (oldest_) oldest_->close();
}

void HandleCache::insert(CachedFile* file) {
  file->older_ = newest_;
  file->newer_ = nullptr;
  (newest_ ? newest_->newer_ : oldest_) = file;
  newest_ = file;
  if (++open_ > open_max_) oldest_->close();
}

void HandleCache::remove(CachedFile* file) {
  (file->newer_ ? file->newer_->older_ : newest_) = file->older_;
  (file->older_ ? file->older_->newer_ : oldest_) = file->newer_;
  file->newer_ = file->older_ = nullptr;
  open_--;
}

}  // namespace slipstream
