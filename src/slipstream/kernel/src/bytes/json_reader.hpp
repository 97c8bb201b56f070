// A small reader for the JSON objects of requests that the kernel answers itself.
#pragma once
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include "bytes/bytes.hpp"

namespace slipstream {

// Go takes the names of JSON fields without regard to case.
inline bool same_key(const std::string& key, string_view name) {
  return key.size() == name.size() && std::equal(key.begin(), key.end(), name.begin(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? (char)(a + 32) : a) == b;
  });
}

// Reads one JSON object, key by key: read() calls `field(key)`, which takes the value with one of the methods below.
class JsonObjectReader {
 public:
  explicit JsonObjectReader(string_view s) : p_(s.data()), e_(s.data() + s.size()) {}

  template <class Field>
  bool read(Field field) {
    blanks();
    return object(field) && at_end();
  }

  // An object inside another one.
  template <class Field>
  bool object(Field field) {
    if (!take('{')) return false;
    blanks();
    if (take('}')) return true;
    for (;;) {
      std::string key;
      if (!text(key)) return false;
      blanks();
      if (!take(':')) return false;
      blanks();
      if (!field(key)) return false;
      blanks();
      if (take('}')) return true;
      if (!take(',')) return false;
      blanks();
    }
  }
  std::string error = "invalid character in request";

 private:
  bool at_end() { blanks(); return p_ == e_; }
  void blanks() { while (p_ < e_ && (*p_ == ' ' || *p_ == '\t' || *p_ == '\n' || *p_ == '\r')) p_++; }
  bool take(char c) {
    if (p_ < e_ && *p_ == c) { p_++; return true; }
    if (p_ == e_) error = "unexpected end of JSON input";
    else error = std::string("invalid character '") + *p_ + "'";
    return false;
  }
 public:
  bool null() { return word("null"); }
  bool text(std::string& out) {
    if (!take('"')) return false;
    while (p_ < e_ && *p_ != '"') {
      if ((unsigned char)*p_ < 0x20) return take('"');
      if (*p_ != '\\') out += *p_++;
      else if (!escape(out)) return false;
    }
    return take('"');
  }
  bool texts(std::vector<std::string>& out) {
    if (!take('[')) return false;
    blanks();
    if (take(']')) return true;
    for (;;) {
      out.emplace_back();
      if (!null() && !text(out.back())) return false;
      blanks();
      if (take(']')) return true;
      if (!take(',')) return false;
      blanks();
    }
  }
  bool number(int64_t& out) {
    std::string digits;
    if (!integer(digits)) return false;
    errno = 0;
    out = strtoll(digits.c_str(), nullptr, 10);
    return errno == 0 || wrong("number " + digits);
  }
  bool number(uint64_t& out) {
    std::string digits;
    if (!integer(digits)) return false;
    errno = 0;
    out = strtoull(digits.c_str(), nullptr, 10);
    return (errno == 0 && digits[0] != '-') || wrong("number " + digits);
  }
 private:
  // -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
  bool any_number(std::string& out) {
    const char* start = p_;
    auto digits = [this] {
      const char* from = p_;
      while (p_ < e_ && *p_ >= '0' && *p_ <= '9') p_++;
      return p_ > from;
    };
    auto next_is = [this](string_view any) { return p_ < e_ && any.find(*p_) != string_view::npos && p_++; };
    next_is("-");
    if (!next_is("0") && !digits()) return wrong("number");
    if (next_is(".") && !digits()) return wrong("number");
    if (next_is("eE") && (next_is("+-"), !digits())) return wrong("number");
    out.assign(start, p_);
    return true;
  }
  bool integer(std::string& out) {
    return any_number(out) && (out.find_first_of(".eE") == std::string::npos || wrong("number " + out));
  }
  bool wrong(const std::string& what) {
    error = "json: cannot unmarshal " + what + " into Go struct field of the request";
    return false;
  }
  bool escape(std::string& out) {
    static constexpr string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    p_++;
    if (p_ == e_) return take('"');
    char name = *p_;
    if (size_t i = kNames.find(name); i != string_view::npos) {
      p_++;
      out += kMeant[i];
      return true;
    }
    uint32_t code = 0;
    if (!take('u') || !hex(code)) return false;
    uint32_t low = 0;
    if (code >= 0xd800 && code < 0xdc00 && e_ - p_ >= 6 && p_[0] == '\\' && p_[1] == 'u') {
      const char* second = p_;
      p_ += 2;
      if (!hex(low)) return false;
      if (low >= 0xdc00 && low < 0xe000) code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      else p_ = second;
    }
    if (code >= 0xd800 && code < 0xe000) code = 0xfffd;  // half of a pair
    append_utf8(out, code);
    return true;
  }
  bool hex(uint32_t& out) {
    out = 0;
    for (int i = 0; i < 4; i++, p_++) {
      char c = p_ < e_ ? *p_ : 0;
      int digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
      if (digit < 0) return wrong("escape");
      out = out << 4 | (uint32_t)digit;
    }
    return true;
  }
  static void append_utf8(std::string& out, uint32_t code) {
    if (code < 0x80) out += (char)code;
    else if (code < 0x800) out += {(char)(0xc0 | code >> 6), (char)(0x80 | (code & 63))};
    else if (code < 0x10000) out += {(char)(0xe0 | code >> 12), (char)(0x80 | (code >> 6 & 63)), (char)(0x80 | (code & 63))};
    else
      out += {(char)(0xf0 | code >> 18), (char)(0x80 | (code >> 12 & 63)), (char)(0x80 | (code >> 6 & 63)), (char)(0x80 | (code & 63))};
  }
  bool word(const char* w) {
    size_t n = strlen(w);
    if ((size_t)(e_ - p_) < n || memcmp(p_, w, n) != 0) return false;
    p_ += n;
    return true;
  }
 public:
  bool boolean(bool& out) {
    if (word("true")) { out = true; return true; }
    if (word("false")) { out = false; return true; }
    return wrong("value");
  }
  bool skip() {
    if (p_ == e_) return take('}');
    if (*p_ == '"') { std::string s; return text(s); }
    if (*p_ == '{' || *p_ == '[') {
      int depth = 0;
      do {
        if (p_ == e_) return take('}');
        if (*p_ == '"') { std::string s; if (!text(s)) return false; continue; }
        if (*p_ == '{' || *p_ == '[') depth++;
        if (*p_ == '}' || *p_ == ']') depth--;
        p_++;
      } while (depth);
      return true;
    }
    if (word("true") || word("false") || word("null")) return true;
    std::string ignored;
    return any_number(ignored);
  }
 private:
  const char *p_, *e_;
};

}  // namespace slipstream
