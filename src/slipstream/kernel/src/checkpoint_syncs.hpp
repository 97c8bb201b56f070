// What must be on stable storage before a checkpoint may name it: segments up to a size, and folders.
//
// Collected by the kernel's thread, done by the checkpoints' thread. A few files are synced one by one. Many (every stream of
// ten thousand has changed a little) would be as many commits of the file system's own journal, and every publish's sync
// waits behind them: those are synced together, where the disk can, but in batches, since it also waits behind ten thousand
// files at once. Files are opened here, so that a round holds one descriptor and not one for each stream.
#pragma once
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "disk.hpp"

namespace slipstream {

struct WriteProgress;

class CheckpointSyncs {
 public:
  struct Sizes {  // in files and folders
    size_t batch, one_by_one_max;
  };
  // The first `size` bytes of a file, which jobs of the I/O thread that were submitted before have written.
  void add_file(std::string path, std::shared_ptr<WriteProgress> progress, uint32_t size);
  void add_folder(const std::string& path) { folders_.insert(path); }
  size_t size() const { return files_.size() + folders_.size(); }
  // Blocks. 0; -errno when a sync failed, which is final; or errno, above 0, of what was not written yet or could not be opened, which
  // may be tried again if it passes (disk_trouble.hpp).
  int run(Disk& disk, size_t one_by_one_max) const;
  void clear();

 private:
  struct File {
    std::string path;
    std::shared_ptr<WriteProgress> progress;
    uint32_t size;
  };
  std::vector<File> files_;
  std::set<std::string> folders_;
};

}  // namespace slipstream
