// See checkpoint_syncs.hpp.
#include "disk/checkpoint_syncs.hpp"

#include <cerrno>
#include <cstring>

#include "disk/disk_trouble.hpp"
#include "disk/write_progress.hpp"

namespace slipstream {
namespace {

enum class Step : uint8_t { open, sync };

int sync_file(Disk& disk, const std::string& path, Step& step) {
  step = Step::open;
  int handle = disk.open(path, kOpenWrite);
  if (handle < 0) return handle;
  step = Step::sync;
  int result = disk.sync(handle);
  disk.close(handle);
  return result;
}

// A sync that finds no room has lost data, as any other that failed. What could only not be opened is as it was.
void note(CheckpointSyncs::Result& result, uint64_t stream, const std::string& what, const std::string& path, int error, Step step) {
  bool again = step == Step::open && passes(error);
  if (again || trouble_of(error) == DiskTrouble::read_only) {
    result.error = error;
    result.again = again;
  } else {
    result.failures.push_back({stream, error, path + " could not be " + what + ": " + strerror(-error)});
  }
}

}  // namespace

void CheckpointSyncs::add_file(std::string path, std::shared_ptr<WriteProgress> progress, uint32_t size) {
  files_.push_back({std::move(path), std::move(progress), size, stream_});
}

void CheckpointSyncs::clear() {
  files_.clear();
  folders_.clear();
  shared_folders_.clear();
}

CheckpointSyncs::Result CheckpointSyncs::run(Disk& disk, size_t one_by_one_max) const {
  Result result;
  for (const File& file : files_) {
    int error = file.progress->error.load();
    if (error) note(result, file.stream, "written", file.path, error, Step::open);
    else if (file.progress->written.load() < file.size) result.again = true, result.error = -EAGAIN;  // it is handed over again
  }
  if (!result.synced()) return result;
  int all = size() > one_by_one_max ? disk.sync_everything() : -ENOSYS;
  if (!all) return result;
  result.together_failed = all != -ENOSYS;
  run_one_by_one(disk, result);
  return result;
}

void CheckpointSyncs::run_one_by_one(Disk& disk, Result& result) const {
  for (const File& file : files_) {
    Step step{};
    if (int error = sync_file(disk, file.path, step)) note(result, file.stream, "synced", file.path, error, step);
  }
  for (const auto& [folder, stream] : folders_)
    if (int error = disk.sync_folder(folder))
      note(result, stream, "synced", folder, error, passes(error) ? Step::open : Step::sync);
  for (const std::string& folder : shared_folders_) {
    int error = disk.sync_folder(folder);
    if (!error || result.error) continue;
    result.error = error;
    result.again = trouble_of(error) == DiskTrouble::no_descriptors;
  }
}

}  // namespace slipstream
