// Checkpoints: for each group the newest snapshot of its state machine, in files that many groups share.
//
// A round writes one file: the snapshots of the groups that changed, and behind them a directory of where
// every group's newest snapshot lies. Cost is O(change) plus 32 bytes a group. A file that holds no newest
// snapshot is used again; one that is mostly stale is emptied by copying its few live snapshots into the round.
// Atomic: temporary, sync, rename, sync the folder. The directory stands in the file twice, and so does each snapshot that is not
// long; of a long one what says whose it is. So one damaged place costs one long snapshot at most.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bytes/bytes.hpp"
#include "disk/cipher.hpp"
#include "disk/disk.hpp"
#include "log/checkpoint_pace.hpp"

namespace slipstream {

class Checkpoints {
 public:
  // `folder` is made if missing. `keys`: null or without a current one: not encrypted. Null with `error` set when
  // the newest directory is not whole, or a file that it names is missing: an older directory is no way out, since
  // the journal has been released up to the newest (never delete on doubt).
  static std::unique_ptr<Checkpoints> open(Disk& disk, const std::string& folder, const KeyRing* keys, CheckpointPace& pace,
                                           std::string& error);
  virtual ~Checkpoints() = default;

  // Every group's newest durable snapshot. Of one that is damaged `damage` says where, and the payload is what else is known of it:
  // its head (the first piece that was added), or nothing.
  using Each = std::function<void(uint64_t group, uint64_t applied, string_view payload, const std::string& damage)>;
  virtual void load(const Each& each) = 0;

  // One round: begin, add and drop in any order (all in memory, nothing is copied), then write() may run on
  // another thread, once; it blocks. After a failed write() the last durable round still holds and another round may be
  // tried; it must add again what the failed one had.
  // `from_last_reserve`: in the file that is kept for a round of few groups on a full disk, and no larger than it must be.
  virtual void begin(bool from_last_reserve = false) = 0;
  virtual void add(uint64_t group, uint64_t applied, std::vector<Buffer>&& payload) = 0;  // the pieces one behind the other
  void add(uint64_t group, uint64_t applied, string_view payload) {
    std::vector<Buffer> pieces(1);
    pieces[0].append(payload);
    add(group, applied, std::move(pieces));
  }
  virtual void drop(uint64_t group) = 0;
  virtual bool write() = 0;  // true: the round is durable, and the files that it no longer needs are not named any more
  // A file in use is encrypted with another key than new ones are, or is not: the next round has its content. Or one that is
  // left over may be.
  virtual bool encrypted_otherwise() const = 0;
  // A file of `bytes` that holds nothing and only keeps room for a round on a full disk; and a smaller one, which is written over
  // by a round that only frees room. 0 where they are there, else -errno; one that is there stays although the other is missing.
  virtual int make_reserve(uint64_t bytes) = 0;
  static constexpr uint64_t kLastReserveShare = 8;  // the smaller one is such a part of the larger one, without its directory
  virtual bool give_up_reserve() = 0;  // the larger one; false: it was not there
  // Damage was found that did no harm; the next round writes what it concerns again.
  virtual bool mended() const = 0;
  virtual int error_number() const = 0;  // -errno of a failed write()
  virtual std::string error() const = 0;  // after open() and load() also damage that did no harm
  virtual uint64_t bytes_written() const = 0;
};

}  // namespace slipstream
