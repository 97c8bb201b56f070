// Finding a field of a message's header block, and changing the block: fields added at its end, given a value, left out.
#pragma once
#include <string>

#include "bytes.hpp"

namespace slipstream {

inline void append_header(std::string& block, string_view name, string_view value) {
  if (block.empty()) block = "NATS/1.0\r\n";
  else block.resize(block.size() - 2);
  block.append(name).append(": ").append(value).append("\r\n\r\n");
}

struct HeaderLine {
  size_t start = string_view::npos, end = 0;  // of the whole line, its end included
  string_view value;
  explicit operator bool() const { return start != string_view::npos; }
};

// The first line with exactly that name.
inline HeaderLine find_header(string_view block, string_view name) {
  for (size_t at = block.find('\n'); at != string_view::npos; at = block.find('\n', at)) {
    size_t start = ++at, eol = block.find("\r\n", start);
    if (eol == string_view::npos) break;
    string_view line = block.substr(start, eol - start);
    if (line.size() <= name.size() || !line.starts_with(name) || line[name.size()] != ':') continue;
    line.remove_prefix(name.size() + 1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    return {start, eol + 2, line};
  }
  return {};
}

// The first line of that name gets this value, or a new line does.
inline std::string with_header(string_view block, string_view name, string_view value) {
  HeaderLine line = find_header(block, name);
  if (!line) {
    std::string longer(block);
    append_header(longer, name, value);
    return longer;
  }
  size_t value_start = line.start + name.size() + 1;
  if (block[value_start] == ' ') value_start++;
  return std::string(block.substr(0, value_start)).append(value).append(block.substr(line.end - 2));
}

// Without any line of that name; empty if no other is left.
inline std::string without_header(string_view block, string_view name) {
  std::string out(block);
  for (HeaderLine line = find_header(out, name); line; line = find_header(out, name)) out.erase(line.start, line.end - line.start);
  return out.size() <= sizeof("NATS/1.0\r\n\r\n") - 1 ? std::string() : out;
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
