// Checkpoints whose files were changed, with checksums that always match: loading refuses them or reads them.
#include "bytes_of.hpp"
#include "log/checkpoint.hpp"
#include "placed_files.hpp"

using namespace slipstream;

namespace {

std::unique_ptr<SimDisk> written() {
  auto disk = SimDisk::create(1);
  std::string error;
  CheckpointPace pace;
  pace.hurry(true);
  auto checkpoints = Checkpoints::open(*disk, "checkpoints", nullptr, pace, error);
  expect(checkpoints != nullptr);
  for (int round = 0; round < 5; round++) {
    checkpoints->begin();
    for (uint64_t group = 0; group < 6; group++) {
      bool changed = round == 0 || group % (uint64_t)(round + 1) == 0;
      if (changed) checkpoints->add(group, (uint64_t)round * 10 + group, std::string(group * 50 + 1, 's'));
    }
    expect(checkpoints->write());
  }
  return disk;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::unique_ptr<SimDisk> pristine = written();
  auto disk = pristine->image(Loss::none, 1);
  Input in(data, size);
  change(*disk, files_in(*disk, "checkpoints"), in);
  std::string error;
  CheckpointPace pace;
  pace.hurry(true);
  auto checkpoints = Checkpoints::open(*disk, "checkpoints", nullptr, pace, error);
  if (!checkpoints) {
    expect(!error.empty());
    return 0;
  }
  uint64_t total = 0;
  checkpoints->load([&](uint64_t, uint64_t, string_view payload, const std::string& damage) {
    for (string_view bytes : {payload, string_view(damage)})
      for (char c : bytes) total += (unsigned char)c;
  });
  checkpoints->begin();
  checkpoints->add(3, 1000, "newer");
  checkpoints->write();
  return total == UINT64_MAX;
}
