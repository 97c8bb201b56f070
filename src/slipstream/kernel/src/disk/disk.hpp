// The one door to stable storage. Everything that Slipstream keeps goes through a Disk, so that the simulated disk
// (lost unsynced writes, torn and reordered writes, failed sync, EIO, full, flipped bits) can stand in for the real
// one.
//
// Paths are relative to the store folder, with '/' between parts. Every operation returns a value >= 0, or -errno.
// Handles are small integers >= 0. All operations may be called from any thread.
//
// The room disk/:
//   real_disk.cpp       system calls relative to the store folder, with some descriptors in reserve
//   sim_disk.hpp, sim_disk.cpp           a disk in memory that loses, tears and reorders what was not synced, and fails on demand
//   overlay_disk.hpp, overlay_disk.cpp   reads through to another disk and keeps changes in memory, for `slipstream verify`
//   disk_trouble.hpp    what each errno means for the store: the one table
//   handle_cache.hpp, handle_cache.cpp   bounds the open files of all stores
//   write_progress.hpp  how far the I/O thread is with a file that is written in order
//   checkpoint_syncs.hpp, checkpoint_syncs.cpp   what has to be on stable storage before a checkpoint names it, in batches
//   cipher.hpp, cipher.cpp               encryption of what lies on the disk, and the ring of keys
#pragma once
#include <cerrno>
#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace slipstream {

enum OpenMode : int { kOpenRead = 0, kOpenWrite = 1, kOpenCreate = 2, kOpenExclusive = 4, kOpenTruncate = 8,
                      kOpenSparing = 16 };  // not with a descriptor that is kept for when there are no others

class Disk {
 public:
  virtual ~Disk() = default;
  virtual int open(const std::string& path, int mode) = 0;  // mode: OpenMode bits; kOpenWrite is read-write
  virtual int close(int handle) = 0;
  virtual ssize_t pread(int handle, void* to, size_t n, uint64_t offset) = 0;          // short only at end of file
  virtual ssize_t pread_nowait(int handle, void* to, size_t n, uint64_t offset) = 0;   // -EAGAIN: not in memory, ask a thread
  virtual ssize_t pwrite(int handle, const void* from, size_t n, uint64_t offset) = 0; // all n bytes, or -errno
  virtual int sync(int handle) = 0;                                                    // data and size (fdatasync)
  virtual int truncate(int handle, uint64_t size) = 0;
  virtual int64_t size(int handle) = 0;
  virtual int rename(const std::string& from, const std::string& to) = 0;
  virtual int unlink(const std::string& path) = 0;
  virtual int make_folder(const std::string& path) = 0;   // 0 also where it exists
  virtual int remove_folder(const std::string& path) = 0; // must be empty
  virtual int sync_folder(const std::string& path) = 0;   // makes creations, renames and unlinks in it durable
  virtual int allocate(int, uint64_t) { return -EOPNOTSUPP; }  // (handle, size): room for so much, which reads as zeros
  // All files and folders at once; -ENOSYS where that cannot be done, or does not tell of failed writes.
  virtual int sync_everything() { return -ENOSYS; }
  // What the file system has, and what of it this process may still take; -ENOSYS where that is not known.
  struct Space {
    uint64_t total_bytes = 0, free_bytes = 0;
  };
  virtual int space(Space&) { return -ENOSYS; }
  virtual void give_up_reserve() {}  // of descriptors: the store is closed, and its objects may live longer
  virtual int list(const std::string& path, std::vector<std::string>& names) = 0;  // sorted, without . and ..
  virtual int lock(const std::string& path) = 0;          // creates and locks a file against other processes; -EWOULDBLOCK if held
};

// The real one, rooted at a folder that exists. The caller owns it.
Disk* new_real_disk(const std::string& root);

}  // namespace slipstream
