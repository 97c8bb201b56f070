// Changing a message's header block: fields added at its end, fields left out.
#pragma once
#include <string>

#include "bytes.hpp"

namespace slipstream {

inline void append_header(std::string& block, string_view name, string_view value) {
  if (block.empty()) block = "NATS/1.0\r\n";
  else block.resize(block.size() - 2);
  block.append(name).append(": ").append(value).append("\r\n\r\n");
}

// Copies a block without what was asked of the origin alone: expectations and batches (S-197), and where a message came from
// if it is to say so anew. Nothing is copied when no field is left.
inline void append_without_publish_checks(std::string& out, string_view block, bool without_source) {
  size_t start = out.size(), line = block.find("\r\n"), kept = 0;
  if (line == string_view::npos) return;
  out.append(block.substr(0, line + 2));
  for (line += 2; line < block.size();) {
    size_t end = block.find("\r\n", line);
    end = end == string_view::npos ? block.size() : end + 2;
    string_view text = block.substr(line, end - line);
    line = end;
    if (text.starts_with("Nats-Expected-") || text.starts_with("Nats-Batch-")) continue;
    if (without_source && text.starts_with("Nats-Stream-Source:")) continue;
    out.append(text);
    kept += text != "\r\n";
  }
  if (!kept) out.resize(start);
}

}  // namespace slipstream
