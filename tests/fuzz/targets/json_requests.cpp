// The kernel's JSON reader through what reads with it: direct gets, pull requests, delays; and the texts of times and durations.
#include "bytes/json_reader.hpp"
#include "bytes_of.hpp"
#include "clock/rfc3339.hpp"
#include "consumer/pull_request.hpp"
#include "message/get_request.hpp"

using namespace slipstream;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  uint8_t kind = in.number<uint8_t>();
  std::string_view text = in.rest;
  switch (kind % 6) {
    case 0: {
      GetRequest request;
      read_get_request(text, false, {}, request);
      break;
    }
    case 1: {
      PullBody body;
      std::string error;
      parse_pull_body(text, body, error);
      break;
    }
    case 2: {
      int64_t delay_ns = 0;
      parse_nak_delay(text, delay_ns);
      break;
    }
    case 3: {
      int64_t ns = 0, again = 0;
      if (parse_duration(text, ns)) expect(parse_duration(format_duration(ns), again) && again == ns);
      break;
    }
    case 4: {
      int64_t ns = 0;
      parse_rfc3339(std::string(text), ns);
      break;
    }
    default:
      needs_higher_level(text, 2);
      JsonObjectReader reader(text);
      reader.read([&](const std::string&) { return reader.skip(); });
  }
  return 0;
}
