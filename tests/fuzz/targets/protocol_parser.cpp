// The protocol parser: however bytes are cut, the same commands come out, and it never reads beyond them.
#include "turn/protocol_parser.hpp"

#include <string>

#include "bytes_of.hpp"

using namespace slipstream;

namespace {

// Feeds the bytes piece by piece, as a connection does: each piece is held in memory of its own size.
std::string commands(std::string_view bytes, size_t step) {
  ProtocolParser parser;
  parser.limits.max_control_line = 256;
  parser.limits.max_payload = 4096;
  std::string out, held;
  for (size_t at = 0; at < bytes.size(); at += step) {
    held.append(bytes.substr(at, step));
    for (;;) {
      std::string exact(held);
      Command c;
      ParseStatus status = parser.next(exact.data(), exact.size(), c);
      if (status == ParseStatus::need_more) {
        expect(parser.wanted > exact.size());
        break;
      }
      out += (char)('0' + (int)status);
      if (status != ParseStatus::command) return out;
      expect(parser.consumed > 0 && parser.consumed <= exact.size());
      out += (char)('a' + (int)c.verb);
      for (std::string_view part : {c.subject, c.reply, c.queue, c.sid, c.text, c.header, c.body}) out.append(part) += '|';
      held.erase(0, parser.consumed);
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  size_t step = 1 + in.number<uint8_t>();
  std::string whole = commands(in.rest, in.rest.size() + 1), pieces = commands(in.rest, step);
  // An error in a line that is not complete yet may come before its commands' end is seen, never after other commands.
  expect(whole == pieces || whole.compare(0, pieces.size() - 1, pieces, 0, pieces.size() - 1) == 0);
  return 0;
}
