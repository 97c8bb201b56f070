// Message schedules (ADR-51): which message is one, what a client may say of schedules, and the messages that due ones make.
//
// The leader finds what is due and proposes the message with a mark that names the schedule, the time that it is for, and the time
// after that. Applying it stores the message and moves the schedule on, or removes it, in one step; a mark whose schedule has
// moved on meanwhile stores nothing. So each due time makes one message, whatever happens between.
#include <algorithm>

#include "clock/civil_time.hpp"
#include "message/header_block.hpp"
#include "message/message_headers.hpp"
#include "stream/publish_errors.hpp"
#include "stream/schedules/schedule.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr int64_t kScheduleSpacingNs = 250'000'000;     // the timer does not fire more often
constexpr int64_t kScheduleRetryNs = 10'000'000'000;    // a message that was refused (the stream is full) is tried again
constexpr size_t kDuePerRound = 1000;

}  // namespace

// ------------------------------------------------------------------ from clients

// What the leader knows and the log has to say: when the schedule would run next, or what is wrong with it.
void Stream::mark_schedule(LoggedMessage& m) {
  if (m.flags & kFromServer || m.header.find("\r\nNats-Schedule") == string_view::npos) return;
  PublishHeaders h = scan_headers(m.header);
  if ((h.schedule.empty() || !spec.allow_schedules) && h.schedule_zone.data() == nullptr) return;
  m.with_schedule = true;
  const TimeZone* zone = nullptr;
  if (h.schedule_zone.data() && !(zone = h.schedule_zone.empty() ? nullptr : host.time_zones.find(h.schedule_zone))) {
    m.schedule.fault = ScheduleFault::time_zone;
    return;
  }
  if (!spec.allow_schedules) return;
  int64_t now_ns = std::max(last_time_ns_, host.kernel.now.wall_ns);
  NextRun run = next_run(h.schedule, zone, now_ns, now_ns);
  m.schedule.fault = run.fault;
  m.schedule.next_ns = run.scheduled ? run.at_ns : ScheduleMark::kNever;
}

// S-205..S-212, in nats-server's order. `written` says of a subject whether the batch that the message is in has written to it,
// and whether that was a schedule.
const PublishError* Stream::check_schedule(const PublishHeaders& h, string_view subject, const ScheduleMark& mark,
                                           const std::function<std::optional<bool>(string_view)>& written) {
  if (!spec.allow_schedules && (!h.schedule.empty() || mark.fault != ScheduleFault::none)) return &kSchedulesDisabled;
  if (mark.fault == ScheduleFault::time_zone) return &kScheduleZone;
  if (mark.fault == ScheduleFault::pattern) return &kSchedulePattern;
  if (!h.schedule.empty() && mark.next_ns != ScheduleMark::kNever)
    if (const PublishError* e = check_schedule_fields(h, subject)) return e;
  if (h.schedule_next.empty()) return h.scheduler.empty() ? nullptr : &kScheduler;
  if (h.schedule_next != "purge" || h.scheduler.empty() || h.scheduler == subject || !valid_literal(h.scheduler)) return &kScheduler;
  if (!spec.allow_schedules) return &kSchedulesDisabled;
  if (std::optional<bool> schedule = written(h.scheduler)) return *schedule ? nullptr : &kScheduler;
  uint64_t last = last_on(h.scheduler);
  if (last_is_open(last)) [[unlikely]] return stop_undecided("the schedule on subject " + std::string(h.scheduler));
  return !last || schedules_.on_subject(h.scheduler) == last ? nullptr : &kScheduler;
}

const PublishError* Stream::check_schedule_fields(const PublishHeaders& h, string_view subject) {
  int64_t ttl_s = kTtlNone;
  auto captured = [this](string_view target) {
    return std::any_of(spec.subjects.begin(), spec.subjects.end(), [&](const auto& s) { return subject_matches(s, target); });
  };
  if (!parse_ttl(h.schedule_ttl, ttl_s)) return &kScheduleTtl;
  if (!h.schedule_rollup.empty() && h.schedule_rollup != "sub") return &kScheduleRollup;
  if (!h.schedule_ttl.empty() && !spec.allow_msg_ttl) return &kTtlDisabled;
  if (h.schedule_target.empty() || !valid_literal(h.schedule_target) || h.schedule_target == subject) return &kScheduleTarget;
  string_view source = h.schedule_source;
  if (!source.empty() && (source == h.schedule_target || source == subject || !valid_literal(source))) return &kScheduleSource;
  if (!captured(h.schedule_target)) return &kScheduleTarget;
  if (!source.empty() && !captured(source)) return &kScheduleSource;
  return h.rollup.empty() || equals_ignoring_case(h.rollup, "sub") ? nullptr : &kScheduleRollup;
}

// ------------------------------------------------------------------ applying

// A message was stored on an allow_schedules stream: it is a schedule, or ends the one on its subject, or was made by one.
void Stream::schedule_stored(uint64_t seq, const LoggedMessage& m, const PublishHeaders& h) {
  if (m.is_schedule() && !h.schedule.empty()) schedules_.set(m.subject, seq, m.schedule.next_ns);
  else if (h.scheduler.empty()) schedules_.remove(m.subject);
  if (h.scheduler.empty()) return;
  if (m.schedule.seq && m.schedule.next_ns != ScheduleMark::kNever) schedules_.set(h.scheduler, m.schedule.seq, m.schedule.next_ns);
  if (h.schedule_next == "purge") {
    schedules_.remove(h.scheduler);
    if (spec.allow_rollup && !spec.deny_purge) purge_within_entry(h.scheduler, 0);
  }
}

// A message that a due schedule makes; false when the schedule is gone or has moved on.
bool Stream::schedule_waits(const LoggedMessage& m, const PublishHeaders& h) const {
  return store->live(m.schedule.seq) && schedules_.waits(h.scheduler, m.schedule.seq, m.schedule.due_ns);
}

// The stream refused a due message. A repeating schedule goes on to its next time, a single one tries again later.
void Stream::schedule_refused(const LoggedMessage& m, const PublishHeaders& h, int64_t time_ns) {
  bool repeats = m.schedule.next_ns != ScheduleMark::kNever;
  schedules_.set(h.scheduler, m.schedule.seq, repeats ? m.schedule.next_ns : saturated_sum(time_ns, kScheduleRetryNs));
}

// A message of a backup.
void Stream::schedule_restored(uint64_t seq, string_view subject, const PublishHeaders& h, int64_t next_ns) {
  schedules_.remove(subject);
  if (!h.schedule.empty() && next_ns != ScheduleMark::kNever) schedules_.set(subject, seq, next_ns);
}

// When a schedule of a backup runs next, for the entry; nothing: it is none.
std::optional<int64_t> Stream::next_run_of_restored(string_view header, int64_t time_ns, int64_t now_ns) {
  if (!spec.allow_schedules || header.empty()) return {};
  PublishHeaders h = scan_headers(header);
  if (h.schedule.empty()) return {};
  return next_run_ns(h, time_ns, now_ns);
}

// By the time zones of this machine. Where an entry does not say it an older version wrote it, and had them, too.
int64_t Stream::next_run_ns(const PublishHeaders& h, int64_t time_ns, int64_t now_ns) {
  if (h.schedule.empty()) return ScheduleMark::kNever;
  const TimeZone* zone = h.schedule_zone.empty() ? nullptr : host.time_zones.find(h.schedule_zone);
  NextRun run = next_run(h.schedule, zone, time_ns, now_ns);
  return run.scheduled && (zone || h.schedule_zone.empty()) ? run.at_ns : ScheduleMark::kNever;
}

// ------------------------------------------------------------------ the leader's timer

void Stream::arm_schedule_timer() {
  if (!leads_) return;
  int64_t next_ns = schedules_.next_ns();
  if (next_ns == ScheduleMark::kNever || deleted) return host.kernel.timers.cancel(schedule_timer_);
  int64_t now_ns = host.kernel.now.monotonic_ns;
  int64_t wait_ns = next_ns > host.kernel.now.wall_ns ? next_ns - host.kernel.now.wall_ns : 0;
  wait_ns = std::clamp<int64_t>(wait_ns, kScheduleSpacingNs, 86'400 * kSecondNs);
  host.kernel.timers.set_earlier(schedule_timer_, now_ns + wait_ns);
}

void Stream::schedule_timer_fired() {
  if (!leads_ || spec.sealed) return;  // for ever
  const bool refused = group.logged && !host.takes_publishes();
  if (group.applied >= fired_index_ && !is_full() && !refused) {
    if (host.kernel.now.monotonic_ns >= unreadable_until_ns_) unreadable_schedules_.clear();
    for (const ScheduleIndex::Due& due : schedules_.due(host.kernel.now.wall_ns, kDuePerRound + unreadable_schedules_.size()))
      if (!unreadable_schedules_.count(due.seq) && (is_full() || !fire(due))) break;
    seal();
    fired_index_ = group.last_index;
  }
  arm_schedule_timer();
}

// A read that fails may succeed later, and the schedule is no less one: it stays due and is tried again.
bool Stream::pass_unreadable(const ScheduleIndex::Due& due, uint64_t seq) {
  found_damaged(seq);
  if (unreadable_schedules_.empty()) unreadable_until_ns_ = saturated_sum(host.kernel.now.monotonic_ns, kScheduleRetryNs);
  unreadable_schedules_.insert(due.seq);
  return true;
}

// Proposes the message of a schedule; false when its bytes have to come from the disk first: the timer fires when they are there.
bool Stream::fire(const ScheduleIndex::Due& due) {
  const uint64_t seq = due.seq;
  StoredMessage stored;
  if (!schedule_readers_) schedule_readers_ = std::make_unique<ReadBuffer[]>(2);
  auto read = [&](uint64_t which, ReadBuffer& buffer) {
    buffer.ready = [this] { host.kernel.timers.set(schedule_timer_, host.kernel.now.monotonic_ns); };
    return store->read(which, stored, buffer);
  };
  ReadStatus status = read(seq, schedule_readers_[0]);
  if (status == ReadStatus::pending) return false;
  if (status == ReadStatus::damaged) return pass_unreadable(due, seq);
  if (status != ReadStatus::ok) return forget_schedule(due);
  std::string subject(stored.subject), header(stored.header), body(stored.body);
  PublishHeaders h = scan_headers(header);
  const TimeZone* zone = h.schedule_zone.empty() ? nullptr : host.time_zones.find(h.schedule_zone);
  NextRun run = next_run(h.schedule, zone, due.at_ns, host.kernel.now.wall_ns);
  if (!run.scheduled || (!zone && !h.schedule_zone.empty())) return forget_schedule(due);
  std::string content = header, text = body;
  if (uint64_t source = h.schedule_source.empty() ? 0 : last_on(h.schedule_source)) {
    status = read(source, schedule_readers_[1]);
    if (status == ReadStatus::pending) return false;
    if (status == ReadStatus::damaged) return pass_unreadable(due, source);
    if (status == ReadStatus::ok) content = stored.header, text = stored.body;
  }
  content = without_headers(content, [](string_view name) {
    return name.starts_with("Nats-Schedule") || name.starts_with("Nats-Expected-") || name == "Nats-Msg-Id" || name == "Nats-TTL" ||
           name == "Nats-Rollup";
  });
  content = with_header_appended(content, "Nats-Scheduler", subject);
  content = with_header_appended(content, "Nats-Schedule-Next", run.repeats ? format_rfc3339(run.at_ns, run.offset_s) : "purge");
  if (!h.schedule_ttl.empty()) content = with_header_appended(content, "Nats-TTL", h.schedule_ttl);
  if (!h.schedule_rollup.empty()) content = with_header_appended(content, "Nats-Rollup", h.schedule_rollup);
  LoggedMessage m{.flags = kFromServer, .subject = h.schedule_target, .header = content, .body = text, .with_schedule = true};
  m.schedule = {seq, due.at_ns, run.repeats ? run.at_ns : ScheduleMark::kNever, ScheduleFault::none};
  append(m, {});
  return true;
}

// Its message is gone, or cannot run any more: the log says so, since what is checked of later messages depends on
// which schedules there are.
bool Stream::forget_schedule(const ScheduleIndex::Due& due) {
  Buffer payload = host.buffer();
  payload.put64(due.seq);
  payload.put64((uint64_t)due.at_ns);
  payload.put_text(due.subject);
  return host.propose(group, EntryKind::schedule_forgotten, std::move(payload), false, 0, {}, true);
}

void Stream::apply_schedule_forgotten(Reader& in) {
  uint64_t seq = in.get64();
  int64_t at_ns = (int64_t)in.get64();
  string_view subject = in.get_text();
  if (schedules_.waits(subject, seq, at_ns)) schedules_.remove(subject);
  arm_schedule_timer();
}

}  // namespace slipstream
