// What must be on stable storage before a checkpoint may name it: segments up to a size, and folders.
//
// Collected by the kernel's thread, done by the checkpoints' thread. A few files are synced one by one. Many (every stream of
// ten thousand has changed a little) would be as many commits of the file system's own journal, and every publish's sync
// waits behind them: those are synced together, where the disk can, but in batches, since it also waits behind ten thousand
// files at once. Files are opened here, so that a round holds one descriptor and not one for each stream.
//
// A failed sync concerns the stream whose file or folder it was. The operating system reports it once, to whoever asks first, and
// takes the pages for written: no later sync of the same file means anything.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "disk/disk.hpp"

namespace slipstream {

struct WriteProgress;

class CheckpointSyncs {
 public:
  struct Sizes {  // in files and folders
    size_t batch, one_by_one_max;
  };
  struct Failure {
    uint64_t stream;
    int error;  // -errno
    std::string text;
  };
  struct Result {
    std::vector<Failure> failures;  // of one stream each: what it has on the disk is in doubt
    int error = 0;                  // -errno of what concerns all streams
    bool again = false;             // nothing is in doubt: it may be tried again, and `error` says why it was not done
    bool together_failed = false;   // of which file was not said: from now on each one is asked, and tells of its own

    bool synced() const { return failures.empty() && !error && !again; }
  };

  void of_stream(uint64_t id) { stream_ = id; }  // what is added from now on
  // The first `size` bytes of a file, which jobs of the I/O thread that were submitted before have written.
  void add_file(std::string path, std::shared_ptr<WriteProgress> progress, uint32_t size);
  void add_folder(const std::string& path) { folders_[path] = stream_; }
  void add_shared_folder(const std::string& path) { shared_folders_.insert(path); }
  size_t size() const { return files_.size() + folders_.size() + shared_folders_.size(); }
  Result run(Disk& disk, size_t one_by_one_max) const;  // blocks
  void clear();

 private:
  struct File {
    std::string path;
    std::shared_ptr<WriteProgress> progress;
    uint32_t size;
    uint64_t stream;
  };
  void run_one_by_one(Disk& disk, Result& result) const;

  uint64_t stream_ = 0;
  std::vector<File> files_;
  std::map<std::string, uint64_t> folders_;  // of one stream each
  std::set<std::string> shared_folders_;
};

}  // namespace slipstream
