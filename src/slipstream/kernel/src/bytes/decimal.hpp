// Whole numbers of any size as signed decimal text, for counters: read, add, subtract. Their text is canonical: no plus sign, no
// leading zeros, no "-0".
#pragma once
#include <algorithm>
#include <string>
#include <string_view>

namespace slipstream {

class Decimal {
 public:
  Decimal() = default;

  // Digits with an optional sign, as Go's big.Int reads them in base 10.
  static bool parse(std::string_view text, Decimal& out) {
    bool negative = !text.empty() && text[0] == '-';
    if (negative || (!text.empty() && text[0] == '+')) text.remove_prefix(1);
    if (text.empty()) return false;
    for (char c : text)
      if (c < '0' || c > '9') return false;
    text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
    out.digits_.assign(text.rbegin(), text.rend());
    out.negative_ = negative && !text.empty();
    return true;
  }

  std::string text() const {
    if (digits_.empty()) return "0";
    return (negative_ ? "-" : "") + std::string(digits_.rbegin(), digits_.rend());
  }

  Decimal operator-() const {
    Decimal out = *this;
    out.negative_ = !negative_ && !digits_.empty();
    return out;
  }

  friend Decimal operator+(const Decimal& a, const Decimal& b) {
    Decimal out;
    if (a.negative_ == b.negative_) {
      out.digits_ = sum(a.digits_, b.digits_);
      out.negative_ = a.negative_;
      return out;
    }
    bool a_is_greater = compare(a.digits_, b.digits_) > 0;
    const Decimal &greater = a_is_greater ? a : b, &smaller = a_is_greater ? b : a;
    out.digits_ = difference(greater.digits_, smaller.digits_);
    out.negative_ = greater.negative_ && !out.digits_.empty();
    return out;
  }

  friend Decimal operator-(const Decimal& a, const Decimal& b) { return a + -b; }

 private:
  static int compare(const std::string& a, const std::string& b) {
    if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
    for (size_t i = a.size(); i-- > 0;)
      if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
  }

  static std::string sum(const std::string& a, const std::string& b) {
    std::string out;
    out.reserve(std::max(a.size(), b.size()) + 1);
    int carry = 0;
    for (size_t i = 0; i < a.size() || i < b.size() || carry; i++) {
      int digit = carry + (i < a.size() ? a[i] - '0' : 0) + (i < b.size() ? b[i] - '0' : 0);
      out += (char)('0' + digit % 10);
      carry = digit / 10;
    }
    return out;
  }

  // a >= b
  static std::string difference(const std::string& a, const std::string& b) {
    std::string out;
    out.reserve(a.size());
    int borrow = 0;
    for (size_t i = 0; i < a.size(); i++) {
      int digit = a[i] - '0' - borrow - (i < b.size() ? b[i] - '0' : 0);
      borrow = digit < 0;
      out += (char)('0' + digit + 10 * borrow);
    }
    while (!out.empty() && out.back() == '0') out.pop_back();
    return out;
  }

  bool negative_ = false;
  std::string digits_;  // the last one first; none is zero
};

}  // namespace slipstream
