// Blocks of headers: what is found in them, and what is made of them.
#include "message/message_headers.hpp"

#include "bytes/decimal.hpp"
#include "bytes_of.hpp"
#include "message/header_block.hpp"
#include "stream/counters.hpp"

using namespace slipstream;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  std::string name(in.piece(in.number<uint8_t>() % 32)), value(in.piece(in.number<uint8_t>() % 64));
  std::string_view block = in.rest;
  PublishHeaders found = scan_headers(block);
  if (found.msg_id.data()) expect(found.any && find_header(block, "Nats-Msg-Id").value == found.msg_id);
  if (found.ttl.data()) expect(find_header(block, "Nats-TTL").value == found.ttl);
  uint64_t number = 0;
  parse_unsigned(found.expected_last_seq, number);
  parse_number(found.batch_sequence);
  std::string out;
  without_server_headers(block, out);
  append_without_publish_checks(out, block, true);
  without_headers(block, [&](std::string_view line) { return line == name; });
  if (!name.empty() && name.find_first_of(":\r\n") == std::string::npos) {
    expect(!find_header(without_header(block, name), name));
    if (value.find_first_of("\r\n") == std::string::npos && block.ends_with("\r\n")) with_header(block, name, value);
  }
  return 0;
}
