// Changing a message's header block: lines that the server adds or takes away before a message is stored.
#pragma once
#include <string>

#include "bytes.hpp"

namespace slipstream {

inline std::string with_header(string_view block, string_view name, string_view value) {
  std::string out(block.size() > 2 ? block.substr(0, block.size() - 2) : string_view("NATS/1.0\r\n"));
  out.append(name).append(": ").append(value).append("\r\n\r\n");
  return out;
}

// The block without the lines that `drop` names (by the text before the colon); empty when no line is left.
template <class Drop>
std::string without_headers(string_view block, Drop drop) {
  std::string out;
  bool any = false;
  for (size_t at = 0, line = 0; at < block.size(); line++) {
    size_t end = block.find('\n', at);
    string_view text = block.substr(at, end == string_view::npos ? string_view::npos : end - at + 1);
    at += text.size();
    bool status_or_end = line == 0 || text == "\r\n";
    if (!status_or_end && drop(text.substr(0, text.find(':')))) continue;
    any = any || !status_or_end;
    out.append(text);
  }
  return any ? out : std::string();
}

}  // namespace slipstream
