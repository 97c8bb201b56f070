// Archives of streams: records, S2 around them, blocks of older servers. Nothing of them is believed.
#include "archive/archive_record.hpp"
#include "archive/message_block.hpp"
#include "bytes/s2_decoder.hpp"
#include "bytes_of.hpp"
#include "stream/backup/stream_restore.hpp"

using namespace slipstream;

namespace {

void take_records(std::string_view rest) {
  while (!rest.empty()) {
    size_t before = rest.size();
    ArchiveRecord record;
    if (take_archive_record(rest, record, 1 << 16) != ArchiveStatus::ok) break;
    expect(rest.size() < before);
    expect(record.name.size() + record.header.size() + record.payload.size() <= before);
    if (record.ends()) break;
    Buffer again;
    put_archive_record(again, record);
    std::string_view view = again.view();
    ArchiveRecord twin;
    expect(take_archive_record(view, twin, 1 << 16) == ArchiveStatus::ok && view.empty());
    expect(twin.name == record.name && twin.seq == record.seq && twin.time_ns == record.time_ns);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  uint8_t kind = in.number<uint8_t>();
  if (kind % 4 == 0) {
    take_records(in.rest);
  } else if (kind % 4 == 1) {
    Buffer payload;
    auto next_run_of = [](const ArchiveRecord& r) { return std::optional<int64_t>(r.time_ns); };
    take_restored_messages(in.rest, kind, 1'900'000'000'000'000'000, {}, next_run_of, payload);
  } else if (kind % 4 == 2) {
    char key[32] = {};
    Buffer out;
    take_block_records(in.rest, key, 1, 0, 1 << 16, out);
  } else {
    S2Decoder decoder;
    size_t step = 1 + in.number<uint8_t>();
    uint64_t decoded = 0;
    for (std::string_view rest = in.rest; !rest.empty() && !decoder.error();) {
      std::string exact(rest.substr(0, step));
      rest.remove_prefix(exact.size());
      decoder.feed(exact);
      for (;;) {
        std::string_view block = decoder.next();
        if (block.empty()) break;
        expect(block.size() <= S2Decoder::kBlockBytesMax);
        decoded += block.size();
        if (decoded > (64u << 20)) return 0;
      }
    }
    std::string to(in.number<uint16_t>() % 4096, '\0');
    decode_s2_block(std::string_view((const char*)data, size), to.data(), to.size());
    decode_s2_block_with_length(std::string_view((const char*)data, size), to.data(), to.size());
  }
  return 0;
}
