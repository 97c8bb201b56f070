// What an error of the disk means for the store: the one table of errno values.
#pragma once
#include <cerrno>
#include <cstdint>

namespace slipstream {

enum class DiskTrouble : uint8_t {
  none,
  no_room,         // it passes: a full disk, a quota, or a limit of a file's size
  no_descriptors,  // it passes: too many open files
  read_only,       // until a restart, because the file system may have lost writes before it was remounted
  broken,          // for good
};

inline DiskTrouble trouble_of(int64_t error) {  // errno or -errno
  switch (error < 0 ? -error : error) {
    case 0: return DiskTrouble::none;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return DiskTrouble::no_room;
    case EMFILE:
    case ENFILE: return DiskTrouble::no_descriptors;
    case EROFS: return DiskTrouble::read_only;
    default: return DiskTrouble::broken;
  }
}

// The same operation may succeed later, and nothing that was written before is in doubt.
inline bool passes(int64_t error) {
  DiskTrouble trouble = trouble_of(error);
  return trouble == DiskTrouble::no_room || trouble == DiskTrouble::no_descriptors;
}

}  // namespace slipstream
