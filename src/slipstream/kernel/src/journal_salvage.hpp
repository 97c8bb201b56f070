// All records of a journal that are whole, also behind damage, for `slipstream verify` and `slipstream repair`.
#pragma once
#include <string>
#include <vector>

#include "cipher.hpp"
#include "disk.hpp"

namespace slipstream {

struct SalvagedRecord {
  uint64_t group, term, index;
  uint8_t kind;
  std::string payload;
};

struct SalvagedJournal {
  std::vector<SalvagedRecord> records;  // oldest first
  std::vector<std::string> damage;      // a line for each place: before its last record, in each file
};

SalvagedJournal salvage_journal(Disk& disk, const std::string& folder, const KeyRing* keys);

}  // namespace slipstream
