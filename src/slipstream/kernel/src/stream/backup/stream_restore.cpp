// Restoring a stream from a backup. The stream is created hidden (StreamSpec::restoring): without subscriptions, timers or
// deliveries. Its log takes consumers with their state and messages with their sequences and times; a last entry, an ordinary
// change of its configuration, shows it to the world. A crash before that entry leaves a hidden stream, which is deleted when the
// store is opened: restored is all or nothing.
//
// What a restored message or consumer may look like was checked before it was proposed; here stands what keeps the state
// machine whole whatever it is fed.
#include "stream/backup/stream_restore.hpp"

#include <algorithm>

#include "message/message_headers.hpp"
#include "stream/stream.hpp"

namespace slipstream {
namespace {

// Why a message of a backup cannot be one of this stream; empty: it can.
std::string fault_of(const ArchiveRecord& r, uint64_t last_seq, const RestoreLimits& limits) {
  auto of_sequence = [&](const char* what) { return "message sequence " + std::to_string(r.seq) + what; };
  size_t bytes = r.header.size() + r.payload.size();
  if (r.seq == 0) return "expected message sequence";
  if (r.seq > INT64_MAX) return of_sequence(" is out of range");
  if (r.seq <= last_seq) return of_sequence(" out of order");
  if (bytes > limits.payload_bytes_max) return of_sequence(" exceeds maximum payload size");
  if (limits.message_bytes_max >= 0 && bytes > (size_t)limits.message_bytes_max) return of_sequence(" exceeds maximum message size");
  if (r.header.size() > kHeaderBytesMax) return of_sequence(" has a header of more than 64k");
  if (r.name.size() > 0xffff || !valid_literal(r.name)) return of_sequence(" has an invalid subject");
  int64_t ttl_s = 0;
  if (!r.header.empty() && !parse_ttl(scan_headers(r.header).ttl, ttl_s)) return of_sequence(" has an invalid per-message TTL");
  return {};
}

}  // namespace

RestoredBatch take_restored_messages(string_view records, uint64_t last_seq, int64_t now_ns, const RestoreLimits& limits,
                                     const NextRunOf& next_run_of, Buffer& payload) {
  RestoredBatch batch;
  batch.last_seq = last_seq;
  payload.put64((uint64_t)now_ns);
  payload.put32(0);
  string_view rest = records;
  while (payload.size() < kEntryBytes && !batch.ended) {
    ArchiveRecord r;
    ArchiveStatus status = take_archive_record(rest, r, limits.payload_bytes_max + kArchiveSubjectBytesMax);
    if (status == ArchiveStatus::incomplete) break;
    if (status == ArchiveStatus::invalid) batch.fault = "archive: invalid archive stream";
    else if (r.ends()) batch.ended = true;
    else batch.fault = fault_of(r, batch.last_seq, limits);
    if (!batch.fault.empty()) break;
    batch.consumed = records.size() - rest.size();
    if (batch.ended) break;
    batch.last_seq = r.seq;
    batch.count++;
    payload.put64(r.seq);
    payload.put64((uint64_t)r.time_ns);
    payload.put16((uint16_t)r.name.size());
    std::optional<int64_t> next_ns = next_run_of(r);
    payload.put32((uint32_t)r.header.size() | (next_ns ? kMarked : 0));
    payload.put32((uint32_t)r.payload.size());
    payload.append(r.name);
    payload.append(r.header);
    payload.append(r.payload);
    if (next_ns) payload.put64((uint64_t)*next_ns);
  }
  payload.put64(0), payload.put64(0);  // the stream's end is not said yet
  store32(payload.data() + 8, batch.count);
  return batch;
}

// now, count, then per message: sequence, time, lengths, subject, header, body and, of a schedule, when it runs next; then the
// stream's end, if it is known: sequence, time.
void Stream::apply_restored_messages(Reader& in) {
  int64_t now_ns = (int64_t)in.get64();
  uint32_t count = in.get32();
  for (uint32_t i = 0; i < count && in.ok(); i++) {
    uint64_t seq = in.get64();
    int64_t time_ns = (int64_t)in.get64();
    uint16_t subject_size = in.get16();
    uint32_t header_size = in.get32(), body_size = in.get32();
    bool marked = header_size & kMarked;
    header_size &= kHeaderSizeMask;
    string_view subject = in.get_bytes(subject_size), header = in.get_bytes(header_size), body = in.get_bytes(body_size);
    int64_t next_ns = marked ? (int64_t)in.get64() : ScheduleMark::kNever;
    if (!in.ok() || seq <= store->last_seq()) return;
    time_ns = std::max(time_ns, store->last_time_ns());
    if (lost_subjects_.any_open()) [[unlikely]]
      if (check_open(subject, MessageStore::message_bytes(spec.memory, subject.size(), header.size(), body.size()), false, 0)) return;
    if (!store->append(seq, time_ns, subject, header, body)) return append_failed();
    if (spec.counter) counters_.set(store->appended_subject(), seq, counter_total_of({header, body}));
    PublishHeaders h;
    if (!header.empty()) h = scan_headers(header);
    if (spec.sourced && !h.stream_source.empty()) restore_position(h.stream_source);
    int64_t ttl_s = kTtlNone;
    if (spec.allow_msg_ttl && parse_ttl(h.ttl, ttl_s)) ttls_.add(seq, time_ns, ttl_s);
    if (spec.allow_schedules) schedule_restored(seq, subject, h, marked ? next_ns : next_run_ns(h, time_ns, now_ns));
    last_msg_id_ = h.msg_id;
    if (!h.msg_id.empty() && spec.duplicate_window_ns > 0 && saturated_difference(now_ns, time_ns) < spec.duplicate_window_ns) {
      dedupe_.expire(now_ns, spec.duplicate_window_ns);
      dedupe_.insert(h.msg_id, seq, time_ns);
    }
    uint32_t subject_id = store->subject_of(seq);
    if (store->subject_state(subject_id).count == 1) index.subject_renewed(subject_id);
    enforce_limits(subject_id);
  }
  uint64_t last_seq = in.get64();
  if (last_seq && in.ok()) restore_end(last_seq, (int64_t)in.get64());
}

// The stream's end as it was, also where its last messages are gone: their sequences are not given again.
void Stream::restore_end(uint64_t last_seq, int64_t time_ns) {
  time_ns = std::max(time_ns, store->last_time_ns());
  if (last_seq < store->last_seq()) return;
  if (!store->messages()) return store->set_sequences(last_seq + 1, last_seq, time_ns);
  if (last_seq > store->last_seq()) store->skip(last_seq, time_ns);
}

void Stream::apply_restored_consumer(Reader& in) {
  uint32_t consumer_id = in.get32();
  std::string consumer_name(in.get_text()), text(in.get_text());
  ConsumerSpec consumer_spec;
  if (!consumer_spec.decode(in)) return go_offline_at("has a consumer whose settings this version cannot read");
  auto c = std::make_unique<Consumer>(*this, consumer_id, consumer_name, text, std::move(consumer_spec));
  if (!c->restore(in)) return go_offline_at("has a consumer whose state this version cannot read");
  next_consumer_id = std::max(next_consumer_id, consumer_id + 1);
  if (leads_ && !spec.restoring) c->attach();
  index.add(*c);
  consumers[consumer_id] = std::move(c);
}

// delivered and floor as (consumer, stream) sequences, times, then the pending deliveries and what reached max_deliver.
bool Consumer::restore(Reader& in) {
  for (uint64_t* v : {&applied_consumer_seq_, &applied_cursor_, &floor_consumer_seq_, &floor_stream_seq_}) *v = in.get64();
  applied_delivered_ns_ = (int64_t)in.get64();
  acked_ns_ = (int64_t)in.get64();
  floor_consumer_seq_ = std::min(floor_consumer_seq_, applied_consumer_seq_);
  floor_stream_seq_ = std::min(floor_stream_seq_, applied_cursor_);
  follow_log();
  for (uint32_t n = in.get32(); n && in.ok(); n--) {
    uint64_t stream_seq = in.get64(), consumer_seq = in.get64();
    int64_t sent_ns = (int64_t)in.get64();
    uint32_t deliveries = in.get32();
    bool fits = stream_seq > floor_stream_seq_ && stream_seq <= applied_cursor_ && consumer_seq > floor_consumer_seq_ &&
                consumer_seq <= applied_consumer_seq_;
    if (in.ok() && fits && deliveries && spec.ack_policy != AckPolicy::none && !pending_.find(stream_seq))
      pending_.insert(stream_seq, consumer_seq, sent_ns, saturated_sum(sent_ns, wait_ns(deliveries)), deliveries);
  }
  for (uint32_t n = in.get32(); n && in.ok(); n--) {
    uint64_t stream_seq = in.get64();
    if (stream_seq <= applied_cursor_ && !pending_.find(stream_seq)) exceeded_.insert(stream_seq);
  }
  return in.ok();
}

// All messages are there now: what waits for one that is not is forgotten, and nobody stands beyond the end.
void Consumer::restored() {
  before_change();
  cursor_ = applied_cursor_ = std::min(applied_cursor_, store().last_seq());
  floor_stream_seq_ = std::min(floor_stream_seq_, applied_cursor_);
  bool forgotten = false;
  for (PendingDelivery* p = pending_.first(); p;) {
    PendingDelivery* next = pending_.next(p);
    if (p->stream_seq > applied_cursor_ || !store().live(p->stream_seq)) forget(p), forgotten = true;
    p = next;
  }
  std::erase_if(exceeded_, [&](uint64_t s) { return !store().live(s); });
  if (forgotten && pending_.empty()) {
    floor_consumer_seq_ = applied_consumer_seq_;
    floor_stream_seq_ = applied_cursor_;
  }
  stream_.index.hold(*this);
}

Consumer::Progress Consumer::progress() {
  Progress p;
  p.consumer_seq = applied_consumer_seq_, p.stream_seq = applied_cursor_;
  p.floor_consumer_seq = floor_consumer_seq_, p.floor_stream_seq = floor_stream_seq_;
  p.delivered_ns = applied_delivered_ns_, p.acked_ns = acked_ns_;
  for (PendingDelivery* d = pending_.first(); d; d = pending_.next(d))
    p.pending.push_back({d->stream_seq, d->consumer_seq, d->sent_ns, d->deliveries});
  p.exceeded.assign(exceeded_.begin(), exceeded_.end());
  return p;
}

}  // namespace slipstream
