// Puts bytes into files of a simulated disk, and changes files of one.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bytes_of.hpp"
#include "disk/sim_disk.hpp"

inline void place(slipstream::Disk& disk, const std::string& path, std::string_view bytes) {
  int handle = disk.open(path, slipstream::kOpenWrite | slipstream::kOpenCreate | slipstream::kOpenTruncate);
  expect(handle >= 0);
  if (!bytes.empty()) disk.pwrite(handle, bytes.data(), bytes.size(), 0);
  disk.sync(handle);
  disk.close(handle);
}

// Changes of what is there, as the input says: a place, and what is there from now on; or an end.
inline void change(slipstream::Disk& disk, const std::vector<std::string>& paths, Input& in) {
  for (int i = 0; i < 16 && !in.rest.empty() && !paths.empty(); i++) {
    const std::string& path = paths[in.number<uint8_t>() % paths.size()];
    uint32_t offset = in.number<uint32_t>();
    uint8_t size = in.number<uint8_t>();
    int handle = disk.open(path, slipstream::kOpenWrite);
    if (handle < 0) continue;
    int64_t length = disk.size(handle);
    if (length > 0) {
      offset %= (uint32_t)std::min<int64_t>(length, 1 << 20);
      std::string_view bytes = in.piece(size % 64);
      if (size == 255) disk.truncate(handle, offset);
      else if (!bytes.empty()) disk.pwrite(handle, bytes.data(), bytes.size(), offset);
      disk.sync(handle);
    }
    disk.close(handle);
  }
}

inline std::vector<std::string> files_in(slipstream::Disk& disk, const std::string& folder) {
  std::vector<std::string> names, out;
  disk.list(folder, names);
  for (const std::string& name : names) out.push_back(folder.empty() ? name : folder + "/" + name);
  return out;
}
