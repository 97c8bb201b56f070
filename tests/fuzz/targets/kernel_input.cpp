// Whatever clients send to a kernel with streams and consumers: publishes with headers, pulls, acknowledgements, direct gets. Every
// store holds its invariants afterwards, nothing has failed, and the disk can be opened again.
#include "bytes_of.hpp"
#include "small_store.hpp"
#include "turn/protocol_parser.hpp"

using namespace slipstream;

namespace {

std::unique_ptr<SimDisk> written() {
  auto disk = SimDisk::create(1);
  SmallStore store(*disk);
  expect(store.error.empty());
  store.create_all();
  return disk;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::unique_ptr<SimDisk> pristine = written();
  auto disk = pristine->image(Loss::none, 1);
  uint64_t stored = 0;
  {
    SmallStore store(*disk);
    expect(store.error.empty());
    std::string_view rest((const char*)data, size);
    ProtocolParser parser;
    parser.limits.max_payload = 1 << 16;
    for (int commands = 0; commands < 200 && !rest.empty(); commands++) {
      Command c;
      ParseStatus status = parser.next(rest.data(), rest.size(), c);
      if (status != ParseStatus::command) break;
      rest.remove_prefix(parser.consumed);
      if (c.verb == Verb::pub || c.verb == Verb::hpub) {
        if (valid_literal(c.subject)) store.publish(c.subject, c.reply, c.header, c.body);
      } else {
        store.turn(c.verb == Verb::ping ? 1'000'000 : 1'500'000'000);
      }
    }
    for (int i = 0; i < 4; i++) store.turn(100'000'000);
    expect(!JetStream::of(*store.kernel)->failed());
    store.check();
    for (auto& [id, stream] : JetStream::of(*store.kernel)->streams())
      if (!stream->spec.memory) stored += stream->store->messages();
  }
  SmallStore again(*disk);
  expect(again.error.empty());
  uint64_t found = 0;
  for (auto& [id, stream] : JetStream::of(*again.kernel)->streams())
    if (!stream->spec.memory) found += stream->store->messages();
  expect(found == stored);
  again.check();
  return 0;
}
