// A journal whose files were changed, with checksums that always match: recovery refuses it or goes on behind what it read.
#include "bytes_of.hpp"
#include "log/journal.hpp"
#include "placed_files.hpp"

using namespace slipstream;

namespace {

JournalOptions options() {
  JournalOptions o;
  o.file_bytes = 8192;
  o.bytes_max = 64 << 10;
  o.threaded = false;
  o.salt = 7;
  return o;
}

std::unique_ptr<SimDisk> written() {
  auto disk = SimDisk::create(1);
  std::string error;
  auto journal = Journal::open(*disk, options(), error);
  expect(journal && journal->recover([](const JournalRecord&) {}));
  for (uint64_t i = 1; i < 60; i++) journal->append(i % 3, 1, i, 16, std::string(i * 7, 'p'), true), journal->flush();
  return disk;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::unique_ptr<SimDisk> pristine = written();
  auto disk = pristine->image(Loss::none, 1);
  Input in(data, size);
  if (in.number<uint8_t>() % 4) {
    change(*disk, files_in(*disk, "journal"), in);
  } else {
    for (const std::string& path : files_in(*disk, "journal")) disk->unlink(path);
    place(*disk, "journal/0000000000000001.journal", in.rest);
  }
  std::string error;
  auto journal = Journal::open(*disk, options(), error);
  if (!journal) {
    expect(!error.empty());
    return 0;
  }
  uint64_t end = 0, total = 0;
  bool recovered = journal->recover([&](const JournalRecord& record) {
    expect(record.end > end);
    end = record.end;
    for (char c : record.payload) total += (unsigned char)c;
  });
  if (recovered) journal->append(1, 1, 1000, 16, "behind", true), journal->flush();
  else expect(!journal->error().empty());
  return total == UINT64_MAX;
}
