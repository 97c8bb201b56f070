// A disk that reads through to another one and keeps every change in memory: recovery can be tried on a store without
// touching it. Only one thread may use it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "disk/disk.hpp"

namespace slipstream {

class OverlayDisk : public Disk {
 public:
  static std::unique_ptr<OverlayDisk> create(Disk& base);  // `base` must outlive it
  // Files of the disk below whose content recovery would have changed, by the names under which they were opened.
  virtual std::vector<std::string> changed() const = 0;
};

}  // namespace slipstream
