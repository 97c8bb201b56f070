// See checkpoint_syncs.hpp.
#include "checkpoint_syncs.hpp"

#include <cerrno>

#include "disk_trouble.hpp"
#include "segment.hpp"

namespace slipstream {
namespace {

int sync_file(Disk& disk, const std::string& path) {
  int handle = disk.open(path, kOpenWrite);
  if (handle < 0) return -handle;
  int result = disk.sync(handle);
  disk.close(handle);
  return result;
}

}  // namespace

void CheckpointSyncs::add_file(std::string path, std::shared_ptr<WriteProgress> progress, uint32_t size) {
  files_.push_back({std::move(path), std::move(progress), size});
}

void CheckpointSyncs::clear() {
  files_.clear();
  folders_.clear();
}

int CheckpointSyncs::run(Disk& disk, size_t one_by_one_max) const {
  for (const File& file : files_) {
    if (int failed = file.progress->error.load()) return -failed;
    if (file.progress->written.load() < file.size) return EIO;
  }
  if (size() > one_by_one_max) {
    int result = disk.sync_everything();
    if (result != -ENOSYS) return result;
  }
  for (const File& file : files_)
    if (int result = sync_file(disk, file.path)) return result;
  for (const std::string& folder : folders_)
    if (int result = disk.sync_folder(folder)) return trouble_of(result) == DiskTrouble::no_descriptors ? -result : result;
  return 0;
}

}  // namespace slipstream
