// Takes an input apart: numbers and pieces off its front, whatever there is of them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

struct Input {
  std::string_view rest;
  Input(const uint8_t* data, size_t size) : rest((const char*)data, size) {}
  template <class T>
  T number() {
    T value{};
    size_t n = std::min(sizeof value, rest.size());
    memcpy(&value, rest.data(), n);
    rest.remove_prefix(n);
    return value;
  }
  std::string_view piece(size_t size) {
    std::string_view out = rest.substr(0, size);
    rest.remove_prefix(out.size());
    return out;
  }
  std::string_view short_piece() { return piece(number<uint8_t>()); }
};

inline void expect(bool held) {
  if (!held) abort();
}
