// All records of a journal that are whole, also behind damage, for `slipstream verify` and `slipstream repair`.
#pragma once
#include <string>
#include <vector>

#include "disk/cipher.hpp"
#include "disk/disk.hpp"

namespace slipstream {

struct SalvagedRecord {
  uint64_t group, term, index;
  uint8_t kind;
  std::string payload;
};

struct JournalDamage {
  std::string text;
  bool loses = true;  // records
  // Of the one record that was there, if its head can be right, although its checksum is not; kind 0: if not.
  uint64_t group = 0, index = 0;
  uint8_t kind = 0;
};

struct SalvagedJournal {
  std::vector<SalvagedRecord> records;  // oldest first
  std::vector<JournalDamage> damage;    // each place before the last record
};

SalvagedJournal salvage_journal(Disk& disk, const std::string& folder, const KeyRing* keys);

}  // namespace slipstream
