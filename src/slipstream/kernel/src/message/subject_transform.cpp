#include "message/subject_transform.hpp"

#include <charconv>
#include <cstring>

#include "message/subjects.hpp"

namespace slipstream {
namespace {

constexpr string_view kBlanks = "\t\n\f\r ";

void split_tokens(string_view subject, std::vector<string_view>& out) {
  out.clear();
  for (size_t start = 0;;) {
    size_t dot = subject.find('.', start);
    out.push_back(subject.substr(start, dot == string_view::npos ? dot : dot - start));
    if (dot == string_view::npos) return;
    start = dot + 1;
  }
}

// No token is empty, and ">" comes last only.
bool sound(const std::vector<string_view>& tokens) {
  for (size_t i = 0; i < tokens.size(); i++)
    if (tokens[i].empty() || (tokens[i] == ">" && i + 1 < tokens.size())) return false;
  return true;
}

// A decimal number with or without a sign, as Go reads it.
bool read_number(string_view text, int64_t limit, int64_t& out) {
  size_t digits = !text.empty() && (text[0] == '+' || text[0] == '-');
  if (text.size() == digits || text[digits] < '0' || text[digits] > '9') return false;
  if (text[0] == '+') text.remove_prefix(1);
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out >= -limit - 1 && out <= limit;
}

string_view without_spaces(string_view s) {
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
  return s;
}

size_t skip_blanks(string_view s, size_t at) {
  while (at < s.size() && kBlanks.find(s[at]) != string_view::npos) at++;
  return at;
}

// The capital letters of a function's name may be small.
bool starts_with_name(string_view s, string_view function) {
  if (s.size() < function.size()) return false;
  for (size_t i = 0; i < function.size(); i++) {
    bool either = function[i] >= 'A' && function[i] <= 'Z';
    if (s[i] != function[i] && !(either && s[i] == (function[i] | 0x20))) return false;
  }
  return true;
}

// What stands between the parentheses of the first call of that function in the token, up to the last that closes.
bool find_call(string_view token, string_view function, string_view& arguments) {
  for (size_t at = token.find("{{"); at != string_view::npos; at = token.find("{{", at + 1)) {
    size_t p = skip_blanks(token, at + 2);
    if (!starts_with_name(token.substr(p), function)) continue;
    p = skip_blanks(token, p + function.size());
    if (p >= token.size() || token[p] != '(') continue;
    size_t line_end = std::min(token.find('\n', p), token.size());
    for (size_t close = token.rfind(')', line_end); close != string_view::npos && close > p; close = token.rfind(')', close - 1)) {
      if (token.substr(skip_blanks(token, close + 1)).starts_with("}}")) {
        arguments = token.substr(p + 1, close - p - 1);
        return true;
      }
    }
  }
  return false;
}

void split_arguments(string_view text, std::vector<string_view>& out) {
  for (size_t start = 0;;) {
    size_t comma = text.find(',', start);
    out.push_back(text.substr(start, comma == string_view::npos ? comma : comma - start));
    if (comma == string_view::npos) return;
    start = skip_blanks(text, comma + 1);
  }
}

// The bytes of the first UTF-8 character; a byte that begins none stands for itself.
size_t character_size(string_view s) {
  auto byte = [&](size_t i) { return i < s.size() ? (unsigned char)s[i] : 0u; };
  auto follows = [&](size_t i, unsigned low = 0x80, unsigned high = 0xbf) { return byte(i) >= low && byte(i) <= high; };
  unsigned first = byte(0);
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 1;
  if (first >= 0xe0 && first <= 0xef) {
    bool second = follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf);
    return second && follows(2) ? 3 : 1;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    bool second = follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
    return second && follows(2) && follows(3) ? 4 : 1;
  }
  return 1;
}

void append_split(string_view token, string_view delimiter, std::string& out) {
  std::vector<string_view> parts;
  while (delimiter.empty() && !token.empty()) {
    size_t n = character_size(token);
    parts.push_back(token.substr(0, n));
    token.remove_prefix(n);
  }
  for (size_t start = 0; !delimiter.empty();) {
    size_t at = token.find(delimiter, start);
    parts.push_back(token.substr(start, at == string_view::npos ? at : at - start));
    if (at == string_view::npos) break;
    start = at + delimiter.size();
  }
  for (size_t i = 0; i < parts.size(); i++) {
    out += parts[i];
    // Two delimiters in front leave an empty token, as in nats-server.
    if (i + 1 < parts.size() && !parts[i + 1].empty() && (i || !parts[i].empty())) out += '.';
  }
}

void append_slices(string_view token, size_t size, size_t first, std::string& out) {
  out += token.substr(0, first);
  for (size_t at = first; at < token.size(); at += size) {
    if (at) out += '.';
    out += token.substr(at, size);
  }
}

}  // namespace

std::unique_ptr<SubjectTransform> SubjectTransform::compile(string_view source, string_view destination) {
  if (destination.empty()) return nullptr;
  if (source.empty()) source = ">";
  auto out = std::make_unique<SubjectTransform>();
  std::vector<string_view> from, to;
  split_tokens(source, from);
  split_tokens(destination, to);
  if (!sound(from) || !sound(to)) return nullptr;
  std::vector<int64_t> positions;
  for (size_t i = 0; i < from.size(); i++)
    if (from[i] == "*") positions.push_back((int64_t)i);
  out->rest_ = from.back() == ">";
  if ((to.back() == ">") != out->rest_) return nullptr;
  bool wild = out->rest_ || !positions.empty();
  for (string_view token : to) {
    Place& place = out->places_.emplace_back();
    if (token == "*" || !read_place(token, place)) return nullptr;
    if (place.function == Function::literal && token.find_first_of(kBlanks) != string_view::npos) return nullptr;
    if (!wild) {
      if (place.function != Function::literal && place.function != Function::random && place.function != Function::partition)
        return nullptr;
      place.wildcards.clear();
    }
    for (int64_t& i : place.wildcards) {
      if (i > (int64_t)positions.size()) return nullptr;
      i = i > 0 ? positions[(size_t)i - 1] : 0;  // what names no wildcard counts as the first token, as nats-server has it
    }
  }
  out->everything_ = source == ">" && destination == ">";
  out->source_ = source;
  out->source_tokens_ = from.size();
  if (out->rest_) out->places_.pop_back();
  return out;
}

bool SubjectTransform::read_place(string_view token, Place& out) {
  out.text = token;
  if (token.size() > 1 && token[0] == '$') {
    int64_t index = 0;
    if (!read_number(token.substr(1), INT64_MAX, index)) return true;  // other subjects start with a dollar too
    out.function = Function::wildcard;
    out.wildcards = {index};
    return true;
  }
  if (token.size() <= 4 || !token.starts_with("{{") || !token.ends_with("}}")) return true;
  return read_function(token, out);
}

bool SubjectTransform::read_function(string_view token, Place& out) {
  static constexpr std::pair<string_view, Function> kFunctions[] = {
      {"Wildcard", Function::wildcard},
      {"Partition", Function::partition},
      {"SplitFromLeft", Function::split_from_left},
      {"SplitFromRight", Function::split_from_right},
      {"SliceFromLeft", Function::slice_from_left},
      {"SliceFromRight", Function::slice_from_right},
      {"Right", Function::right},
      {"Left", Function::left},
      {"Split", Function::split},
      {"Random", Function::random},
  };
  for (const auto& [name, function] : kFunctions) {
    string_view text;
    if (!find_call(token, name, text)) continue;
    std::vector<string_view> arguments;
    split_arguments(text, arguments);
    out.function = function;
    out.text.clear();
    return read_arguments(arguments, out);
  }
  return false;
}

bool SubjectTransform::read_arguments(const std::vector<string_view>& arguments, Place& out) {
  auto number = [&](size_t i, int64_t limit, int64_t& to) { return read_number(without_spaces(arguments[i]), limit, to); };
  size_t n = arguments.size();
  switch (out.function) {
    case Function::wildcard:
      return n == 1 && number(0, INT64_MAX, out.wildcards.emplace_back());
    case Function::partition:
    case Function::random:
      if (out.function == Function::random && n != 1) return false;
      if (!number(0, INT64_MAX, out.number) || out.number > INT32_MAX) return false;
      out.number = (int32_t)out.number;
      for (size_t i = 1; i < n; i++)
        if (!number(i, INT64_MAX, out.wildcards.emplace_back())) return false;
      return true;
    case Function::split:
      if (n != 2 || arguments[1].find(' ') != string_view::npos) return false;
      out.text = arguments[1];
      return number(0, INT64_MAX, out.wildcards.emplace_back());
    default:
      return n == 2 && number(0, INT64_MAX, out.wildcards.emplace_back()) && number(1, INT32_MAX, out.number);
  }
}

bool SubjectTransform::transform(string_view subject, const Draw& draw, std::string& out) const {
  if (everything_) {
    out = subject;
    return true;
  }
  if (!subject_matches(source_, subject)) return false;
  split_tokens(subject, tokens_);
  for (string_view token : tokens_)
    if (token == "*" || token == ">") return false;
  out.clear();
  for (const Place& place : places_) {
    if (&place != places_.data()) out += '.';
    write(place, draw, out);
  }
  if (!rest_) return true;
  for (size_t i = source_tokens_ - 1; i < tokens_.size(); i++) {
    if (!places_.empty() || i >= source_tokens_) out += '.';
    out += tokens_[i];
  }
  return true;
}

void SubjectTransform::write(const Place& place, const Draw& draw, std::string& out) const {
  string_view token = place.wildcards.empty() ? string_view() : tokens_[(size_t)place.wildcards[0]];
  bool fits = place.number > 0 && (uint64_t)place.number < token.size();  // otherwise the token stays whole
  size_t n = fits ? (size_t)place.number : token.size();
  switch (place.function) {
    case Function::literal:
      out += place.text;
      return;
    case Function::partition: {
      uint32_t hash = 2166136261u;  // FNV-1a
      auto add = [&](string_view key) { for (unsigned char c : key) hash = (hash ^ c) * 16777619u; };
      for (int64_t i : place.wildcards) add(tokens_[(size_t)i]);
      const char *begin = tokens_.front().data(), *end = tokens_.back().data() + tokens_.back().size();
      if (place.wildcards.empty()) add({begin, (size_t)(end - begin)});  // of the whole subject
      out += place.number ? std::to_string(hash % (uint32_t)place.number) : "0";
      return;
    }
    case Function::random:
      out += place.number ? std::to_string((int64_t)draw() % place.number) : "0";
      return;
    case Function::split:
      return append_split(token, place.text, out);
    case Function::split_from_left:
      return append_slices(token, token.size(), fits ? n : 0, out);
    case Function::split_from_right:
      return append_slices(token, token.size(), fits ? token.size() - n : 0, out);
    case Function::slice_from_left:
      return append_slices(token, n, 0, out);
    case Function::slice_from_right:
      return append_slices(token, n, n ? token.size() % n : 0, out);
    case Function::right:
      out += token.substr(token.size() - n);
      return;
    case Function::left:
      out += token.substr(0, n);
      return;
    case Function::wildcard:
      out += token;
      return;
  }
}

}  // namespace slipstream
