// Damage that load() finds in a segment: which messages are lost, and which ones behind it are whole.
#include "store/segment_rebuild.hpp"

namespace slipstream {

// Of a plain segment, whose head says nothing that is not known otherwise.
bool SegmentStore::begins_with_a_record(const OpenFile& file) const {
  char bytes[kRecordHead + UINT16_MAX + 1];
  ssize_t got = disk_->pread(file.handle, bytes, sizeof bytes, kSegmentHead);
  Record record;
  return got > 0 && decode_record(bytes, (size_t)got, record) && record.head_length() <= (size_t)got && head_valid(record);
}

// How many records each damaged place of a sparse segment held, from `at` on, the last place first. The snapshot has the number of
// them all: what is not whole was in one of the places, each of which held one at least, and long ones more than short ones. Empty:
// the number cannot be right.
std::vector<uint32_t> SegmentStore::lost_records(const Segment& segment, const SegmentPlan& plan, HeadReader& reader, uint64_t at) {
  struct Place {
    uint64_t bytes, room;  // of sequences
    uint64_t records = 1;
  };
  std::vector<Place> places;
  const uint64_t last = plan.base + kFar - 1;
  uint64_t end = segment.end(), found = segment.count();
  while (at < plan.size) {
    Record record{};
    if (reader.whole_at(at, end, last, record)) {
      found++;
      end = record.seq + 1;
      at += record.length;
      continue;
    }
    uint64_t next = reader.next_record(at, end + 1, last, record);
    bool one = reader.may_be_one_record(at, next - at);
    places.push_back({next - at, one ? 1 : (next == plan.size ? last + 1 : record.seq) - end});
    at = next;
  }
  if (found + places.size() > plan.entries) return {};
  for (uint64_t left = plan.entries - found - places.size(); left; left--) {
    Place* most = nullptr;
    for (Place& place : places)
      if (place.records < std::min(place.room, place.bytes / kRecordHead))
        if (!most || place.bytes * most->records > most->bytes * place.records) most = &place;
    if (!most) return {};
    most->records++;
  }
  std::vector<uint32_t> lost;
  for (size_t i = places.size(); i--;) lost.push_back((uint32_t)places[i].records);
  return lost;
}

// The messages of a damaged place stay in the index, on a subject of their own: reads answer that they are damaged. Which ones
// they are is known in a dense segment: those between the whole records around the place that the snapshot has as live. In a sparse
// one their number is known, and they take the first sequences behind the record before them.
bool SegmentStore::pass_damage(Segment* segment, const SegmentPlan& plan, HeadReader& reader, uint64_t& at,
                               std::vector<uint32_t>& lost) {
  uint64_t first = segment->end() + (plan.sparse ? 1 : 0);
  uint64_t last = plan.sparse ? plan.base + kFar - 1 : plan.base + plan.entries - 1;
  if (plan.sparse && lost.empty() && (lost = lost_records(*segment, plan, reader, at)).empty()) return false;
  Record next{};
  uint64_t end = reader.next_record(at, first, last, next);
  uint64_t behind = end == plan.size ? last + 1 : next.seq;
  if (plan.sparse) {
    behind = segment->end() + lost.back();
    lost.pop_back();
  }
  uint32_t offset = std::max(segment->size(), kSegmentHead);
  if (offset != at || segment->count() >= plan.entries) return false;
  uint32_t length = (uint32_t)std::max<uint64_t>(end - at, kRecordHead);
  if (at + length > plan.size) return false;
  segment->set_size((uint32_t)end);
  while (segment->end() < behind && segment->count() < plan.entries) {
    uint64_t seq = segment->end();
    if (plan.dead(segment->count())) {
      segment->push(seq, kNeverThere, segment->last_time_ns);
      continue;
    }
    uint32_t id = subjects_.intern(kDamagedSubject);
    link(id, seq);
    IndexEntry e{offset, pack_length(length, false), id, 0};
    segment->push(seq, e, segment->last_time_ns);
    messages_++;
    bytes_ += message_bytes(e);
    damaged_.push_back(seq);
  }
  reader.passed(0);
  at = end;
  return true;
}

}  // namespace slipstream
