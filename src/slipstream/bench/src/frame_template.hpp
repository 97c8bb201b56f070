// Publish frames that are built once and only patched per message: a copy of a few hundred bytes and some
// digits.
//
// Markers in subject, header and payload say where numbers go. Index and subject numbers have eight digits,
// so that the frame's length does not depend on them; a free number (a sequence in JSON or in a header may
// not have leading zeros) makes one template per number of digits.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bytes/bytes.hpp"

namespace slipstream::load {

constexpr string_view kIndexMarker = "\x01index.\x01";    // eight bytes
constexpr string_view kSubjectMarker = "\x02subj..\x02";  // eight bytes
constexpr char kNumberMarker = '\x03';                    // one byte
constexpr string_view kTokenMarker = "\x04token.\x04";  // eight bytes: the request's number on its connection
constexpr int kNumberDigitsMax = 20;

inline void write_digits(char* to, int width, uint64_t value) {
  for (char* p = to + width; p > to; value /= 10) *--p = (char)('0' + value % 10);
}

struct MessageText {
  std::string subject, reply, header, payload;  // header: the whole block with its version line, or empty
};

struct FrameNumbers {
  uint64_t index = 0, subject = 0, number = 0, token = 0;
};

class FrameTemplate {
 public:
  FrameTemplate(const std::vector<MessageText>& messages, int number_digits) {
    for (const MessageText& message : messages) append(message, number_digits);
    find_markers(kIndexMarker, &FrameNumbers::index);
    find_markers(kSubjectMarker, &FrameNumbers::subject);
    find_markers(kTokenMarker, &FrameNumbers::token);
    if (number_digits > 0) find_markers(std::string(number_digits, kNumberMarker), &FrameNumbers::number);
  }

  void write(Buffer& out, const FrameNumbers& numbers) const {
    char* to = out.room(text_.size());
    memcpy(to, text_.data(), text_.size());
    for (const Patch& patch : patches_) write_digits(to + patch.offset, patch.width, numbers.*patch.source);
    out.grow(text_.size());
  }

  size_t size() const { return text_.size(); }

 private:
  struct Patch {
    size_t offset;
    int width;
    uint64_t FrameNumbers::* source;
  };

  static std::string widen(const std::string& text, int digits) {
    std::string wide;
    for (char c : text) wide.append(c == kNumberMarker ? (size_t)digits : 1, c);
    return wide;
  }

  void append(const MessageText& message, int digits) {
    const std::string header = widen(message.header, digits), payload = widen(message.payload, digits);
    text_ += header.empty() ? "PUB " : "HPUB ";
    text_ += widen(message.subject, digits);
    if (!message.reply.empty()) text_ += " " + message.reply;
    if (!header.empty()) text_ += " " + std::to_string(header.size());
    text_ += " " + std::to_string(header.size() + payload.size()) + "\r\n" + header + payload + "\r\n";
  }

  void find_markers(const std::string& marker, uint64_t FrameNumbers::* source) {
    for (size_t at = text_.find(marker); at != std::string::npos; at = text_.find(marker, at + marker.size()))
      patches_.push_back({at, (int)marker.size(), source});
  }
  void find_markers(string_view marker, uint64_t FrameNumbers::* source) {
    find_markers(std::string(marker), source);
  }

  std::string text_;
  std::vector<Patch> patches_;
};

// The templates of one message (or of one atomic batch) for every number of digits; made when first needed.
class FrameTemplates {
 public:
  explicit FrameTemplates(std::vector<MessageText> messages) : messages_(std::move(messages)) {
    for (const MessageText& m : messages_)
      for (const std::string* part : {&m.subject, &m.header, &m.payload})
        has_number_ |= part->find(kNumberMarker) != std::string::npos;
  }

  void write(Buffer& out, const FrameNumbers& numbers) { of(numbers.number).write(out, numbers); }
  size_t size(uint64_t number = 0) { return of(number).size(); }

 private:
  const FrameTemplate& of(uint64_t number) {
    int digits = 0;
    if (has_number_) do {
        digits++;
        number /= 10;
      } while (number);
    auto& found = by_digits_[(size_t)digits];
    if (!found) found = std::make_unique<FrameTemplate>(messages_, digits);
    return *found;
  }

  std::vector<MessageText> messages_;
  bool has_number_ = false;
  std::array<std::unique_ptr<FrameTemplate>, kNumberDigitsMax + 1> by_digits_;
};

}  // namespace slipstream::load
