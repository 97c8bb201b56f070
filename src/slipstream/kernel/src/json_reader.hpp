// A small reader for the flat JSON objects of requests that the kernel answers itself.
#pragma once
#include <cerrno>
#include <cstdlib>
#include <string>

#include "bytes.hpp"

namespace slipstream {

// Reads one flat JSON object, key by key: read() calls `field(key)`, which takes the value with one of the methods below.
class JsonObjectReader {
 public:
  explicit JsonObjectReader(string_view s) : p_(s.data()), e_(s.data() + s.size()) {}

  template <class Field>
  bool read(Field field) {
    blanks();
    if (!take('{')) return false;
    blanks();
    if (take('}')) return at_end();
    for (;;) {
      std::string key;
      if (!text(key)) return false;
      blanks();
      if (!take(':')) return false;
      blanks();
      if (!field(key)) return false;
      blanks();
      if (take('}')) return at_end();
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
      if (*p_ == '\\' && p_ + 1 < e_) p_++;
      out += *p_++;
    }
    return take('"');
  }
  bool number(int64_t& out) {
    const char* start = p_;
    if (p_ < e_ && *p_ == '-') p_++;
    while (p_ < e_ && ((*p_ >= '0' && *p_ <= '9') || *p_ == '.' || *p_ == 'e' || *p_ == 'E' || *p_ == '+' || *p_ == '-')) p_++;
    std::string digits(start, p_);
    if (digits.empty()) return wrong("number");
    if (digits.find_first_of(".eE") != std::string::npos) return wrong("number " + digits);
    errno = 0;
    out = strtoll(digits.c_str(), nullptr, 10);
    return errno == 0 || wrong("number " + digits);
  }
 private:
  bool wrong(const std::string& what) {
    error = "json: cannot unmarshal " + what + " into Go struct field of the request";
    return false;
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
    int64_t ignored;
    return number(ignored);
  }
 private:
  const char *p_, *e_;
};

}  // namespace slipstream
