// A published message as it lies in a log entry: sizes, subject, header, body, and behind them what the leader found out
// about it and every replica must agree on (its fast batch, its schedule). Flags in the header's size say what follows.
#pragma once
#include <cassert>
#include <optional>

#include "bytes/bytes.hpp"

namespace slipstream {

constexpr size_t kSubjectBytesMax = 0xffff;  // what entries and records have room for; whoever proposes refuses longer ones

// In the upper bits of a logged message's header size: what is known of it beside its bytes.
constexpr uint32_t kHeaderSizeMask = 0x0fffffff;
constexpr uint32_t kFromServer = 0x80000000;  // made by this server (a schedule that is due, ...), not sent by a client
constexpr uint32_t kServerFull = 0x40000000, kAccountFull = 0x20000000;  // the leader's verdict on limits outside the group
constexpr uint32_t kMarked = 0x10000000;      // marks follow behind the body

// Which fast batch a message belongs to. A batch without gaps ends with its first refused message: those that were on their way
// then are dropped. `applied` is how far the log was applied when the message came in: once it reaches the place of the refusal,
// no message of that batch can follow.
struct FastBatchMark {
  uint64_t number = 0, applied = 0;
  bool gap_fail = false;
};

enum class ScheduleFault : uint8_t { none, pattern, time_zone };

// When a schedule runs next, as the leader computed it: time zone files differ between machines and change under a log.
// Of a message that a due schedule makes: which schedule (`seq`), for which of its times, and the time after that.
struct ScheduleMark {
  uint64_t seq = 0;        // 0: the message is a schedule itself, or might be one
  int64_t due_ns = 0, next_ns = kNever;
  ScheduleFault fault = ScheduleFault::none;
  static constexpr int64_t kNever = INT64_MAX;
};

struct LoggedMessage {
  uint32_t flags = 0;
  string_view subject, header, body = {};
  bool in_fast_batch = false, with_schedule = false;
  FastBatchMark fast = {};
  ScheduleMark schedule = {};

  bool is_schedule() const { return with_schedule && !schedule.seq && schedule.next_ns != ScheduleMark::kNever; }
  size_t size() const { return kHeadBytes + subject.size() + header.size() + body.size() + kMarksBytes; }  // at most
  void encode(Buffer& out) const {
    assert(subject.size() <= kSubjectBytesMax && header.size() <= kHeaderSizeMask);
    bool marked = in_fast_batch || with_schedule;
    char* to = out.room(size());
    store16(to, (uint16_t)subject.size());
    store32(to + 2, (uint32_t)header.size() | flags | (marked ? kMarked : 0));
    store32(to + 6, (uint32_t)body.size());
    to += kHeadBytes;
    for (string_view part : {subject, header, body}) {
      if (part.empty()) continue;
      memcpy(to, part.data(), part.size());
      to += part.size();
    }
    out.grow(kHeadBytes + subject.size() + header.size() + body.size());
    if (!marked) return;
    out.put8((uint8_t)((uint8_t)in_fast_batch | (uint8_t)with_schedule << 1));
    if (in_fast_batch) out.put64(fast.number), out.put64(fast.applied), out.put8(fast.gap_fail);
    if (with_schedule) {
      out.put64(schedule.seq), out.put64((uint64_t)schedule.due_ns), out.put64((uint64_t)schedule.next_ns);
      out.put8((uint8_t)schedule.fault);
    }
  }
  bool decode(Reader& in) {
    uint16_t subject_size = in.get16();
    uint32_t header_size = in.get32(), body_size = in.get32();
    flags = header_size & ~(kHeaderSizeMask | kMarked);
    in_fast_batch = with_schedule = false;
    subject = in.get_bytes(subject_size), header = in.get_bytes(header_size & kHeaderSizeMask), body = in.get_bytes(body_size);
    schedule = {};
    if (!(header_size & kMarked)) return in.ok();
    uint8_t marks = in.get8();
    in_fast_batch = marks & 1, with_schedule = marks >> 1 & 1;
    if (in_fast_batch) fast.number = in.get64(), fast.applied = in.get64(), fast.gap_fail = in.get8();
    if (with_schedule) {
      schedule.seq = in.get64(), schedule.due_ns = (int64_t)in.get64(), schedule.next_ns = (int64_t)in.get64();
      schedule.fault = (ScheduleFault)in.get8();
    }
    return in.ok();
  }

 private:
  static constexpr size_t kHeadBytes = 10, kMarksBytes = 43;
};

}  // namespace slipstream
