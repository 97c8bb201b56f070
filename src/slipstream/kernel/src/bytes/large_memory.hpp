// Memory for big tables: aligned to huge pages and marked for them, because a random look-up in a table of
// many megabytes otherwise costs a page walk on top of the cache miss.
#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace slipstream {

constexpr size_t kHugePage = 2 << 20;

// To be given back with free().
inline void* allocate_large(size_t bytes) {
  if (bytes < kHugePage) {
    void* p = malloc(bytes);
    if (!p) throw std::bad_alloc();
    return p;
  }
  void* p = aligned_alloc(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage);
  if (!p) throw std::bad_alloc();
  madvise(p, bytes, MADV_HUGEPAGE);  // a hint: where it is not taken, nothing else changes
  return p;
}

}  // namespace slipstream
