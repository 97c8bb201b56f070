// Subject transforms (ADR-30): the subject that a message gets from the one that it came on. Compiled once, when a configuration
// takes effect. Its readable twin, which also judges configurations, is src/slipstream/protocol/subject_transform.py.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace slipstream {

class SubjectTransform {
 public:
  using Draw = std::function<uint32_t()>;  // 31 random bits, for `random`

  // Null if there is no such transform, or the destination is empty. An empty source is ">".
  static std::unique_ptr<SubjectTransform> compile(std::string_view source, std::string_view destination);

  // False if the source does not match: the message keeps its subject. Not for two threads at once.
  bool transform(std::string_view subject, const Draw& draw, std::string& out) const;

 private:
  // `literal` also serves a token that only looks like a function.
  enum class Function : uint8_t {
    literal, wildcard, partition, split_from_left, split_from_right, slice_from_left, slice_from_right, right, left, split, random,
  };
  struct Place {  // of one destination token
    Function function = Function::literal;
    std::string text;               // literal, or the delimiter of a split
    std::vector<int64_t> wildcards; // counted from 1; after compile(): positions of source tokens
    int64_t number = 0;
  };
  static bool read_place(std::string_view token, Place& out);
  static bool read_function(std::string_view token, Place& out);
  static bool read_arguments(const std::vector<std::string_view>& arguments, Place& out);
  void write(const Place& place, const Draw& draw, std::string& out) const;

  bool everything_ = false;  // from ">" to ">"
  bool rest_ = false;        // both end with ">"
  std::string source_;
  size_t source_tokens_ = 0;
  std::vector<Place> places_;
  mutable std::vector<std::string_view> tokens_;  // of the subject under way
};

}  // namespace slipstream
