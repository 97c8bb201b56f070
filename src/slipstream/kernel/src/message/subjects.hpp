// Subjects: which ones are valid, and which literal subjects a filter matches.
//
// The room message/ (what a message consists of):
//   subjects.cpp          the rules of subjects and filters
//   subject_transform.hpp, subject_transform.cpp   the subject that a message gets from the one that it came on
//   message_headers.hpp   the headers that JetStream acts on, found in one pass
//   header_block.hpp      reading and rewriting a block of headers
//   logged_message.hpp    a published message as it lies in a log entry
//   get_request.hpp, get_request.cpp               what a client asks of $JS.API.DIRECT.GET
#pragma once
#include <string>
#include <unordered_map>

#include "bytes/bytes.hpp"
#include "bytes/siphash.hpp"

namespace slipstream {

// No token is empty, and none has a blank or a byte that would break the protocol's lines; `>` only last.
bool valid_subject(string_view subject);
bool valid_literal(string_view subject);  // valid and without wildcards
bool has_wildcard(string_view subject);
bool has_empty_token(string_view subject);  // also of an empty subject
bool subject_matches(string_view filter, string_view literal);
bool subject_is_subset(string_view narrow, string_view wide);  // all that the one matches, the other matches

struct StringHash {
  using is_transparent = void;
  size_t operator()(string_view s) const { return table_hash(s); }
};
template <class V>
using StringMap = std::unordered_map<std::string, V, StringHash, std::equal_to<>>;

}  // namespace slipstream
