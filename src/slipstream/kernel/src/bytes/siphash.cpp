// Where the tables' key comes from.
#include "bytes/siphash.hpp"

#include <cerrno>
#include <sys/random.h>

namespace slipstream {

HashKey draw_hash_key() {
  HashKey key;
  char* to = (char*)&key;
  for (size_t left = sizeof key; left;) {
    ssize_t n = getrandom(to, left, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      abort();  // a guessable key would look like a good one
    }
    to += n, left -= (size_t)n;
  }
  return key;
}

}  // namespace slipstream
