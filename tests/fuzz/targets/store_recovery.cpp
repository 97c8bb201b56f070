// A whole store whose files were changed: it opens and serves what is whole, or refuses with a reason.
#include "bytes_of.hpp"
#include "binding/verify.hpp"
#include "placed_files.hpp"
#include "small_store.hpp"

using namespace slipstream;

namespace {

std::unique_ptr<SimDisk> written() {
  auto disk = SimDisk::create(1);
  SmallStore store(*disk);
  expect(store.error.empty());
  store.create_all();
  KernelCalls::checkpoint(*store.kernel);
  for (int i = 0; i < 50; i++) store.turn();
  for (int i = 0; i < 20; i++) store.publish("s.late", "_SIM.p", "", "late"), store.turn();
  return disk;
}

std::vector<std::string> all_files(SimDisk& disk) {
  std::vector<std::string> out;
  for (const char* folder : {"journal", "checkpoints"})
    for (auto& path : files_in(disk, folder)) out.push_back(path);
  for (auto& folder : files_in(disk, "streams"))
    for (auto& path : files_in(disk, folder)) out.push_back(path);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::unique_ptr<SimDisk> pristine = written();
  static std::vector<std::string> paths = all_files(*pristine);
  auto disk = pristine->image(Loss::none, 1);
  Input in(data, size);
  change(*disk, paths, in);
  SmallStore store(*disk);
  if (!store.error.empty()) return 0;
  for (int i = 0; i < 4; i++) store.turn();
  if (JetStream::of(*store.kernel)->failed()) return 0;
  std::vector<uint64_t> ids;
  for (auto& [id, stream] : JetStream::of(*store.kernel)->streams()) ids.push_back(id);
  for (uint64_t id : ids) read_back(*store.kernel, id, 1000);
  return 0;
}
