#include "segment_store.hpp"
namespace slipstream {
struct SegmentStore::Compaction {};
void SegmentStore::consider_compaction(Segment*) {}
void SegmentStore::start_compaction() {}
}
