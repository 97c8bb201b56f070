// A stream's life and its log: which entry does what. Publishing is in publish.cpp, removing in stream/limits.cpp.
#include "stream/stream.hpp"

#include <algorithm>

#include "bytes/json_text.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr const char* kUnreadableConsumer = "has a consumer whose settings this version cannot read";

}  // namespace

Stream::Stream(StreamHost& of_host, uint64_t id, Account& of_account, std::string called, std::string text, StreamSpec settings)
    : host(of_host), account(of_account), name(std::move(called)), description(std::move(text)), spec(std::move(settings)) {
  group.id = id;
  group.logged = !spec.memory;
  store.reset(host.new_store(id, spec));
  std::string quoted;
  append_json_text(quoted, name);
  ack_head_ = "{\"stream\":\"" + quoted + "\",";
  if (const std::string& domain = host.kernel.domain(); !domain.empty()) {
    ack_head_ += "\"domain\":\"";
    append_json_text(ack_head_, domain);
    ack_head_ += "\",";
  }
  ack_head_ += "\"seq\":";
  take_spec();
}

void Stream::take_spec() {
  age_seek_ns_ = 0;
  age_behind_damage_ = 0;
  transform_ = SubjectTransform::compile(spec.transform_source, spec.transform_destination);
  republish_ = SubjectTransform::compile(spec.republish_source, spec.republish_destination);
}

Stream::~Stream() {
  close_feeds();
  host.kernel.timers.cancel(age_timer_);
  host.kernel.timers.cancel(schedule_timer_);
  for (ReadBuffer* reader : {&reader_, &age_reader_, &marker_reader_}) *reader->alive = false;
  host.bytes_in_flight -= inflight_bytes_;
}

void Stream::count_bytes() {
  int64_t grown = (deleted ? 0 : (int64_t)store->bytes()) - counted_bytes_;
  counted_bytes_ += grown;
  account.stream_bytes.of(spec.memory) += grown;
  host.stream_bytes.of(spec.memory) += grown;
}

void Stream::subscribe() {
  for (const auto& subject : spec.subjects)
    subscriptions_.push_back(host.kernel.add_subscription(account, SubscriptionKind::stream, subject, {}, this));
  if (spec.allow_direct) answer_direct_gets(name);
  if (spec.mirror_direct && mirror_caught_up_ && !spec.mirror_origin.empty()) answer_direct_gets(spec.mirror_origin);
}

void Stream::answer_direct_gets(const std::string& of) {
  for (const char* tail : {"", ".>"})
    subscriptions_.push_back(
        host.kernel.add_subscription(account, SubscriptionKind::direct_get, "$JS.API.DIRECT.GET." + of + tail, "_sys_", this));
}

void Stream::mirror_caught_up() {
  if (mirror_caught_up_) return;
  mirror_caught_up_ = true;
  if (spec.mirror_direct && !spec.mirror_origin.empty()) answer_direct_gets(spec.mirror_origin);
}

void Stream::unsubscribe() {
  for (Subscription* s : subscriptions_) host.kernel.remove_subscription(account, s);
  subscriptions_.clear();
}

uint32_t Stream::take_consumer_id() {
  consumer_ids_taken_ = std::max(consumer_ids_taken_, next_consumer_id);
  return consumer_ids_taken_++;
}

std::vector<uint32_t> Stream::forget_memory_consumers() {
  std::vector<uint32_t> forgotten;
  for (auto it = consumers.begin(); it != consumers.end();) {
    Consumer& c = *it->second;
    ++it;
    if (!forgets(c.spec)) continue;
    forgotten.push_back(c.id);
    index.remove(c);
    consumers.erase(c.id);
  }
  return forgotten;
}

void Stream::detach() {
  deleted = true;
  count_bytes();
  stop_serving();
  for (auto& [id, c] : consumers) c->detach("409 Consumer Deleted");
}

// ------------------------------------------------------------------ applying

void Stream::apply(EntryKind kind, Reader& in, const Proposal* mine) {
  int64_t result = 0;
  removed_within_entry_ = 0;
  auto consumer_of = [&]() -> Consumer* { return consumer(in.get32()); };
  switch (kind) {
    case EntryKind::messages:
      return apply_messages(in, mine);
    case EntryKind::mirrored:
      return work(apply_mirrored(in, mine));
    case EntryKind::sourced:
      return work(apply_sourced(in, mine));
    case EntryKind::purge: {
      std::string filter(in.get_text());
      uint64_t seq = in.get64(), keep = in.get64();
      return work(apply_purge(std::move(filter), seq, keep, mine));
    }
    case EntryKind::remove:
      result = apply_remove(in);
      break;
    case EntryKind::remove_below:
      return work(apply_remove_below(in, mine));
    case EntryKind::expire:
      return work(apply_expire(in, mine));
    case EntryKind::config: {
      std::string text(in.get_text());
      StreamSpec next;
      if (!next.decode(in)) return go_offline_at("has settings that this version cannot read");
      return work(configure(std::move(text), std::move(next), mine));
    }
    case EntryKind::consumer_create:
      return work(create_consumer(in, mine));
    case EntryKind::consumer_update: {
      uint32_t id = in.get32();
      std::string text(in.get_text());
      ConsumerSpec cs;
      if (!cs.decode(in)) return go_offline_at(kUnreadableConsumer);
      return work(update_consumer(id, std::move(text), std::move(cs), mine));
    }
    case EntryKind::consumer_delete:
      return work(remove_consumer(in.get32(), mine));
    case EntryKind::delivered:
      if (Consumer* c = consumer_of()) {
        c->apply_delivered(in);
        if (c->has_passed_list()) return work(c->settle_passed_list(mine));
      }
      break;
    case EntryKind::acks:
      if (Consumer* c = consumer_of()) c->apply_acks(in);
      break;
    case EntryKind::ack_all:
      if (Consumer* c = consumer_of()) return work(c->apply_ack_all(in, mine));
      break;
    case EntryKind::deadline:
      if (Consumer* c = consumer_of()) c->apply_deadline(in);
      break;
    case EntryKind::restored_messages:
      apply_restored_messages(in);
      break;
    case EntryKind::restored_consumer:
      apply_restored_consumer(in);
      break;
    case EntryKind::exceeded:
      if (Consumer* c = consumer_of()) c->apply_exceeded(in);
      break;
    case EntryKind::batch_part:
      return apply_batch_part(in);
    case EntryKind::batch_commit:
      return work(apply_batch_commit(in, mine));
    case EntryKind::schedule_forgotten:
      apply_schedule_forgotten(in);
      break;
    case EntryKind::counter_total:
      apply_total(in);
      break;
    case EntryKind::subjects_lost:
      apply_subjects_lost(in);
      break;
    case EntryKind::ack_flow:
      if (Consumer* c = consumer_of()) return work(c->apply_ack_flow(in, mine));
      break;
    case EntryKind::consumer_reset:
      if (Consumer* c = consumer_of()) return work(c->apply_reset(in, mine));
      break;
    default:
      return go_offline_at(("is of kind " + std::to_string((int)kind) + ", which this version does not know").c_str());
  }
  finish(mine, result);
}

// The entry has had its whole effect: who waits for it hears so.
void Stream::finish(const Proposal* mine, int64_t result) {
  if (group.offline || !mine) return;
  if (mine->token) host.committed(mine->token, result);
  Reader replies(mine->replies.view());
  while (replies.left()) answer(replies.get_bytes(replies.get16()), {});
}

int64_t Stream::apply_remove(Reader& in) {
  uint64_t seq = in.get64();
  bool erase = in.get8(), was_there = store->live(seq);
  if (was_there) {
    uint32_t subject = store->subject_of(seq);
    index.each_holder(subject, [&](Consumer& c) { c.message_removed(seq, subject); });
    if (!(erase ? store->erase(seq) : store->remove(seq))) {
      go_offline(store->error());
      return 0;
    }
  }
  if (in.left()) apply_total(in);
  arm_age_timer();
  return was_there;
}

Work Stream::create_consumer(Reader in, const Proposal* mine) {
  uint32_t id = in.get32();
  std::string consumer_name(in.get_text()), text(in.get_text());
  ConsumerSpec cs;
  if (!cs.decode(in)) {
    go_offline_at(kUnreadableConsumer);
    co_return;
  }
  if (start_is_open(cs)) {
    stop_undecided("where consumer " + consumer_name + " begins");
    co_return;
  }
  auto c = std::make_unique<Consumer>(*this, id, consumer_name, text, std::move(cs));
  bool found = true;
  co_await c->find_start(in, found);
  if (!found) {
    go_offline("the times of messages cannot be read, by which consumer " + consumer_name + " begins");
    co_return;
  }
  next_consumer_id = std::max(next_consumer_id, id + 1);
  c->held = mine && mine->token;
  if (leads_) c->attach();
  index.add(*c);
  consumers[id] = std::move(c);
  finish(mine, 0);
}

Work Stream::configure(std::string text, StreamSpec next, const Proposal* mine) {
  if (limits_are_open(next)) {
    stop_undecided("what new limits remove");
    co_return;
  }
  bool shown = spec.restoring && !next.restoring;
  unsubscribe();
  description = std::move(text);
  bool begins_interest = spec.keeps_all() && next.retention == Retention::interest;
  bool begins_to_settle = spec.keeps_all() && !next.keeps_all();
  spec = std::move(next);
  take_spec();
  if (leads_ && !shown) subscribe();  // what is published from now on waits behind this entry
  store->set_compressed(spec.compress);
  if (begins_to_settle && group.logged)
    for (auto& [id, c] : consumers) {
      if (c->spec.memory) c->begin_logging();
      if (host.share.spent()) co_await pause();
    }
  if (begins_interest) co_await begin_interest();
  if (group.offline) co_return;
  if (!spec.allow_atomic) staging_.reset();  // what was still open is dropped
  if (!spec.allow_batched) fast_.reset();
  co_await enforce_all_limits();
  if (shown) {
    for (auto& [id, c] : consumers) c->restored();
    lingering_upto_ = store->last_seq();  // what was backed up stays, wanted or not
  }
  if (shown && leads_) attach();
  else arm_age_timer();
  finish(mine, 0);
}

// ------------------------------------------------------------------ work for several turns

void Stream::work(Work work) {
  host.begin_share();
  if (!work.go_on(host.share)) work_ = std::move(work);
}

// Consumers may have waited meanwhile.
void Stream::go_on() {
  host.begin_share();
  if (!work_->go_on(host.share)) return;
  work_.reset();
  for (auto& [id, c] : consumers) host.mark_ready(*c);
}

Work::Pause Stream::pause() { return {host.share}; }

void Stream::put_start(const ConsumerSpec& consumer, Buffer& payload) {
  if (consumer.deliver_policy != DeliverPolicy::by_start_time) return;
  payload.put64(store->first_at_or_after(consumer.opt_start_time_ns, reader_));
  payload.put64(store->last_seq());
}

void Stream::go_offline_at(const char* what) {
  go_offline("entry " + std::to_string(group.applied) + " of its log " + what + "; an entry is never skipped");
}

// The message is committed: what becomes of it is decided when its entry is applied by a store that can take it. An answer now
// would contradict that.
void Stream::append_failed() { go_offline(store->error()); }

// ------------------------------------------------------------------ small things

Consumer* Stream::consumer(uint32_t id) {
  auto it = consumers.find(id);
  return it == consumers.end() ? nullptr : it->second.get();
}

// Of snapshots. What only some streams have stands in sections, since 3; their lengths have 64 bits since 4. Since 5 message ids are
// hashed as dedupe.hpp does it today. Since 6 there may be a section of lost subjects.
namespace {

constexpr uint16_t kSourcesFormat = 2, kSectionsFormat = 3, kLongSectionsFormat = 4, kStoredHashesFormat = 5;

}  // namespace

bool Stream::load_sections(Reader& in, uint16_t format, LaterSections& later) {
  for (uint16_t n = in.get16(); n && in.ok(); n--) {
    auto which = (Section)in.get16();
    Reader content(in.get_bytes(format >= kLongSectionsFormat ? in.get64() : in.get32()));
    if (which == Section::batch_parts) {
      batch_part_count_ = content.get32();
      batch_parts_ = std::make_shared<Buffer>();
      batch_parts_->append(content.get_bytes(content.left()));
    } else if (which == Section::ended_fast_batches) {
      while (content.left()) {
        uint64_t number = content.get64();
        ended_fast_batches_[number] = content.get64();
      }
    } else if (which == Section::counter_totals) {
      later.totals = content.get_bytes(content.left());
    } else if (which == Section::lost_subjects) {
      later.lost_subjects = content.get_bytes(content.left());
    } else if (which != Section::schedules || !schedules_.load(content)) {
      return false;
    }
    if (!content.ok()) return false;
  }
  return in.ok();
}

void Stream::snapshot_head(Buffer& out) const {
  out.put16(kFormat);
  out.put_text(account.name);
  out.put_text(name);
  out.put_text(description);
  spec.encode(out);
  out.put_text(last_msg_id_);
}

bool Stream::load(Reader& in, uint16_t format) {
  last_msg_id_ = in.get_text();
  using Ids = DedupeWindow::Format;
  if (!dedupe_.load(in, format >= kStoredHashesFormat ? Ids::stored_hashes : Ids::quick_hashes) || !ttls_.load(in)) return false;
  if (format >= kSourcesFormat && !load_sources(in)) return false;
  next_consumer_id = in.get32();
  uint32_t n = in.get32();
  for (uint32_t i = 0; i < n && in.ok(); i++) {
    uint32_t id = in.get32();
    std::string consumer_name(in.get_text()), text(in.get_text());
    ConsumerSpec cs;
    if (!cs.decode(in)) return false;
    auto c = std::make_unique<Consumer>(*this, id, std::move(consumer_name), std::move(text), std::move(cs));
    if (!c->load(in)) return false;
    consumers[id] = std::move(c);
  }
  LaterSections later;
  if (format >= kSectionsFormat && !load_sections(in, format, later)) return false;
  if (!in.ok() || !store->load(in)) return false;
  lost_subjects_.found(store->damaged());
  if (Reader lost(later.lost_subjects); !lost_subjects_.settle(lost, *store)) return false;
  if (spec.counter && format < kLongSectionsFormat) read_totals();
  if (Reader counted(later.totals); !counters_.load(counted, *store)) return false;
  for (auto& [id, c] : consumers) {
    index.add(*c);
    if (!c->holds()) continue;
    WorkShare at_once;
    std::swap(at_once, host.share);
    c->many_removed().go_on(host.share);  // a snapshot of an earlier version may name messages that were gone
    std::swap(at_once, host.share);
    index.hold(*c);
    index.stray(*c);  // what waits may be from before a change of filters
  }
  return load_retention(in);
}

}  // namespace slipstream
