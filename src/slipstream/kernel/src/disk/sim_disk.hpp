// A disk in memory that keeps apart what was written from what is stable, and fails on demand; a seed repeats a run.
#pragma once
#include <cstdint>
#include <memory>
#include "disk/disk.hpp"

namespace slipstream {

// What a crash leaves of the writes, truncations, renames and unlinks that were not synced.
enum class Loss : uint8_t { none, all, random_subset, torn_last };

constexpr int kShortRead = 1 << 20;  // for inject(), in the place of an errno: a read that gives half of what is there

class SimDisk : public Disk {
 public:
  static std::unique_ptr<SimDisk> create(uint64_t seed);
  virtual uint64_t operations() const = 0;        // writes, syncs, renames, unlinks, truncations, creations so far
  virtual void crash_at(uint64_t operation) = 0;  // that operation and all later ones fail with -EIO and do nothing (0: never)
  virtual bool crashed() const = 0;
  virtual std::unique_ptr<SimDisk> image(Loss loss, uint64_t seed) const = 0;  // the disk as found after power loss now
  virtual void fail_sync_at(uint64_t nth_sync) = 0;  // the nth sync from now fails with -EIO, and its data is gone
  virtual void set_capacity(uint64_t bytes) = 0;     // beyond: -ENOSPC (0: no limit)
  virtual void flip_bit(const std::string& path, uint64_t offset, int bit) = 0;  // in what is stable and what is written
  // Operations that can end with `error` (errno) on a real disk: the first `after` of them from now on succeed, the next `count`
  // fail. Reads, opens, writes, syncs and changes of names each have their own errors (sim_disk.cpp). 0: no more.
  virtual void inject(int error, uint64_t after, uint64_t count, const std::string& path_part) = 0;
  virtual uint64_t eligible() const = 0;             // operations that inject() has considered so far
  virtual uint64_t injected() const = 0;             // those that it has failed
  virtual void set_cold(bool cold) = 0;              // pread_nowait always answers -EAGAIN
};

}  // namespace slipstream
