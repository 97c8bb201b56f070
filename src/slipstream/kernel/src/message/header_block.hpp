// Reading and rewriting a message's block of headers ("NATS/1.0\r\nName: value\r\n\r\n") where the server changes one.
#pragma once
#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

namespace slipstream {

struct HeaderLine {
  size_t start = std::string_view::npos, end = 0;  // of the whole line, its end included
  std::string_view value;
  explicit operator bool() const { return start != std::string_view::npos; }
};

// The first line with exactly that name, behind the first line of all. Lines end in CRLF, a bare LF belongs to a value, and blanks
// before a value do not count (S-129).
inline HeaderLine find_header(std::string_view block, std::string_view name, size_t line_start = 0) {
  // The search begins at the end of the line before `line_start`.
  for (size_t at = block.find("\r\n", line_start ? line_start - 2 : 0); at != std::string_view::npos; at = block.find("\r\n", at)) {
    size_t start = at += 2, end = std::min(block.find("\r\n", start), block.size());
    std::string_view line = block.substr(start, end - start);
    if (line.size() <= name.size() || !line.starts_with(name) || line[name.size()] != ':') continue;
    line.remove_prefix(std::min(line.find_first_not_of(' ', name.size() + 1), line.size()));
    return {start, std::min(end + 2, block.size()), line};
  }
  return {};
}

// One more line at the end.
inline void append_header(std::string& block, std::string_view name, std::string_view value) {
  if (block.size() > 2) block.resize(block.size() - 2);
  else block = "NATS/1.0\r\n";
  block.append(name).append(": ").append(value).append("\r\n\r\n");
}

inline std::string with_header_appended(std::string_view block, std::string_view name, std::string_view value) {
  std::string out(block);
  append_header(out, name, value);
  return out;
}

// The first line of that name gets this value, or a new line does.
inline std::string with_header(std::string_view block, std::string_view name, std::string_view value) {
  HeaderLine line = find_header(block, name);
  if (!line) return with_header_appended(block, name, value);
  size_t value_start = line.start + name.size() + 1;
  if (block[value_start] == ' ') value_start++;
  return std::string(block.substr(0, value_start)).append(value).append(block.substr(line.end - 2));
}

// Without any line of that name; empty if no other is left.
inline std::string without_header(std::string_view block, std::string_view name) {
  std::string out;
  out.reserve(block.size());
  size_t at = 0;  // what is before it is in `out`, or dropped
  for (HeaderLine line = find_header(block, name); line; line = find_header(block, name, at)) {
    out.append(block.substr(at, line.start - at));
    at = line.end;
  }
  out.append(block.substr(at));
  return out.size() <= sizeof("NATS/1.0\r\n\r\n") - 1 ? std::string() : out;
}

// What a publisher may not say: a status on the first line, which is the server's to give, and who asks from another account
// (S-114, S-128). False if there is none of it; `out` is empty if nothing else was there.
inline bool without_server_headers(std::string_view block, std::string& out) {
  constexpr std::string_view version = "NATS/1.0", asked_by = "Nats-Request-Info";
  size_t first_line_end = block.find('\r');
  bool has_status = block.starts_with(version) && first_line_end > version.size() && first_line_end != std::string_view::npos;
  if (!has_status && !find_header(block, asked_by)) return false;
  out = block;
  if (has_status) out.erase(version.size(), first_line_end - version.size());
  if (has_status && out == "NATS/1.0\r\n\r\n") out.clear();
  if (find_header(out, asked_by)) out = without_header(out, asked_by);
  return true;
}

// Appends a block without what was asked of an origin alone: expectations and batches (S-197), and where the message came from
// if it is to say so anew. Nothing is appended when no line is left.
inline void append_without_publish_checks(std::string& out, std::string_view block, bool without_source) {
  size_t start = out.size(), line = block.find("\r\n"), kept = 0;
  if (line == std::string_view::npos) return;
  out.append(block.substr(0, line + 2));
  for (line += 2; line < block.size();) {
    size_t end = block.find("\r\n", line);
    end = end == std::string_view::npos ? block.size() : end + 2;
    std::string_view text = block.substr(line, end - line);
    line = end;
    if (text.starts_with("Nats-Expected-") || text.starts_with("Nats-Batch-")) continue;
    if (without_source && text.starts_with("Nats-Stream-Source:")) continue;
    out.append(text);
    kept += text != "\r\n";
  }
  if (!kept) out.resize(start);
}

// Without the lines that `drop` chooses by their names; empty if no other is left.
template <class Drop>
std::string without_headers(std::string_view block, Drop drop) {
  std::string out;
  bool any = false;
  for (size_t at = 0, line = 0; at < block.size(); line++) {
    std::string_view text = block.substr(at, std::min(block.find('\n', at), block.size() - 1) - at + 1);
    at += text.size();
    bool is_field = line > 0 && text != "\r\n";
    if (is_field && drop(text.substr(0, text.find(':')))) continue;
    any = any || is_field;
    out.append(text);
  }
  return any ? out : std::string();
}

}  // namespace slipstream
