// Subjects and their transforms: validity, matching, and what a compiled transform makes of a subject.
#include "message/subject_transform.hpp"

#include "bytes_of.hpp"
#include "message/subjects.hpp"

using namespace slipstream;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  std::string source(in.short_piece()), destination(in.short_piece()), subject(in.rest);
  uint32_t drawn = 12345;
  if (valid_subject(source) || source.empty()) {
    auto transform = SubjectTransform::compile(source, destination);
    std::string out;
    if (transform && valid_literal(subject)) transform->transform(subject, [&] { return drawn = drawn * 1103515245 + 12345; }, out);
  }
  if (valid_subject(source) && valid_subject(destination)) {
    bool subset = subject_is_subset(source, destination);
    if (subset && valid_literal(subject) && subject_matches(source, subject)) expect(subject_matches(destination, subject));
  }
  return 0;
}
