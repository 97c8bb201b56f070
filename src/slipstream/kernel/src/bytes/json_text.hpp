// Text inside a JSON string as Go writes it: `<`, `>` and `&` are escaped too (S-140).
#pragma once
#include <cstdio>
#include <string>
#include <string_view>

namespace slipstream {

inline void append_json_text(std::string& out, std::string_view s) {
  for (unsigned char c : s) {
    if (c == '"' || c == '\\') out += '\\', out += (char)c;
    else if (c == '<' || c == '>' || c == '&' || c < 0x20) {
      char t[8];
      snprintf(t, sizeof t, "\\u%04x", c);
      out += t;
    } else out += (char)c;
  }
}

}  // namespace slipstream
