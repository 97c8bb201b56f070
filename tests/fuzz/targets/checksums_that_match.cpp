// In the place of crc32c.cpp: every checksum is 0, so that an input gets behind it.
#include "bytes/bytes.hpp"

namespace slipstream {

uint32_t crc32c(uint32_t, const void*, size_t) { return 0; }

}  // namespace slipstream
