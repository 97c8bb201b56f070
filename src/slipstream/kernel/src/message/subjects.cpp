#include "message/subjects.hpp"

#include <algorithm>

namespace slipstream {
namespace {

bool check_subject(string_view s, bool wildcards) {
  if (s.empty()) return false;
  size_t start = 0;
  for (size_t i = 0; i <= s.size(); i++) {
    if (i < s.size() && s[i] != '.') {
      char c = s[i];
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f') return false;
      continue;
    }
    size_t n = i - start;
    if (n == 0) return false;
    if (n == 1 && s[start] == '>' && (!wildcards || i != s.size())) return false;
    if (n == 1 && s[start] == '*' && !wildcards) return false;
    start = i + 1;
  }
  return true;
}

}  // namespace

bool valid_subject(string_view s) { return check_subject(s, true); }
bool valid_literal(string_view s) { return check_subject(s, false); }

bool has_wildcard(string_view s) {
  for (size_t i = 0; i < s.size(); i++) {
    if (s[i] != '*' && s[i] != '>') continue;
    bool starts = i == 0 || s[i - 1] == '.';
    bool ends = i + 1 == s.size() || s[i + 1] == '.';
    if (starts && ends) return true;
  }
  return false;
}

bool has_empty_token(string_view s) {
  if (s.empty() || s.front() == '.' || s.back() == '.') return true;
  const char *p = s.data(), *end = p + s.size();
  while ((p = (const char*)memchr(p, '.', (size_t)(end - p))))
    if (*++p == '.') return true;
  return false;
}

bool subject_matches(string_view filter, string_view literal) {
  if (has_empty_token(literal)) return false;
  const char *f = filter.data(), *fe = f + filter.size(), *s = literal.data(), *se = s + literal.size();
  for (;;) {
    if (f == fe || s == se) return false;  // an empty token on either side
    bool whole = f + 1 == fe;
    if (*f == '>' && whole) return true;
    if (*f == '*' && (whole || f[1] == '.')) {
      f++;
      while (s < se && *s != '.') s++;
    } else {
      while (f < fe && s < se && *f == *s && *f != '.') f++, s++;
    }
    bool f_end = f == fe, s_end = s == se;
    if (f_end || s_end) return f_end && s_end;
    if (*f != '.' || *s != '.') return false;
    f++;
    s++;
  }
}

bool subject_is_subset(string_view narrow, string_view wide) {
  auto next = [](string_view& subject) {
    size_t end = std::min(subject.find('.'), subject.size());
    string_view token = subject.substr(0, end);
    subject.remove_prefix(std::min(end + 1, subject.size()));
    return token;
  };
  while (!wide.empty() && !narrow.empty()) {
    string_view n = next(narrow), w = next(wide);
    if (w == ">") return true;
    if (n == ">" || (w != "*" && w != n)) return false;
  }
  return wide.empty() && narrow.empty();
}

}  // namespace slipstream
