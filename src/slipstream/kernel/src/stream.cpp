// A stream's life and its log: which entry does what. Publishing is in publish.cpp, removing in stream_limits.cpp.
#include "stream.hpp"

#include <algorithm>

#include "jetstream.hpp"
#include "json_text.hpp"

namespace slipstream {
Stream::Stream(JetStream& j, uint64_t id, Account& a, std::string n, std::string d, StreamSpec s)
    : js(j), account(a), name(std::move(n)), description(std::move(d)), spec(std::move(s)) {
  group.id = id;
  group.logged = !spec.memory;
  store.reset(js.new_store(id, spec));
  std::string quoted;
  append_json_text(quoted, name);
  ack_head_ = "{\"stream\":\"" + quoted + "\",";
  if (const std::string& domain = js.kernel.domain(); !domain.empty()) {
    ack_head_ += "\"domain\":\"";
    append_json_text(ack_head_, domain);
    ack_head_ += "\",";
  }
  ack_head_ += "\"seq\":";
  take_spec();
}

void Stream::take_spec() {
  age_seek_ns_ = 0;
  transform_ = SubjectTransform::compile(spec.transform_source, spec.transform_destination);
  republish_ = SubjectTransform::compile(spec.republish_source, spec.republish_destination);
}

Stream::~Stream() {
  close_feeds();
  js.kernel.timers.cancel(age_timer_);
  js.kernel.timers.cancel(schedule_timer_);
  *reader_.alive = false;
  js.bytes_in_flight -= inflight_bytes_;
}

void Stream::count_bytes() {
  int64_t grown = (deleted ? 0 : (int64_t)store->bytes()) - counted_bytes_;
  counted_bytes_ += grown;
  account.stream_bytes.of(spec.memory) += grown;
  js.stream_bytes.of(spec.memory) += grown;
}

void Stream::attach() {
  if (spec.restoring) return;
  subscribe();
  arm_age_timer();
  arm_schedule_timer();
  for (auto& [id, c] : consumers) c->attach();
}

void Stream::subscribe() {
  for (const auto& subject : spec.subjects)
    subscriptions_.push_back(js.kernel.add_subscription(account, SubscriptionKind::stream, subject, {}, this));
  if (spec.allow_direct) answer_direct_gets(name);
  if (spec.mirror_direct && mirror_caught_up_ && !spec.mirror_origin.empty()) answer_direct_gets(spec.mirror_origin);
}

void Stream::answer_direct_gets(const std::string& of) {
  for (const char* tail : {"", ".>"})
    subscriptions_.push_back(
        js.kernel.add_subscription(account, SubscriptionKind::direct_get, "$JS.API.DIRECT.GET." + of + tail, "_sys_", this));
}

void Stream::mirror_caught_up() {
  if (mirror_caught_up_) return;
  mirror_caught_up_ = true;
  if (spec.mirror_direct && !spec.mirror_origin.empty()) answer_direct_gets(spec.mirror_origin);
}

void Stream::unsubscribe() {
  for (Subscription* s : subscriptions_) js.kernel.remove_subscription(account, s);
  subscriptions_.clear();
}

void Stream::forget_memory_consumers() {
  for (auto it = consumers.begin(); it != consumers.end();) {
    Consumer& c = *it->second;
    ++it;
    if (!forgets(c.spec)) continue;
    index.remove(c);
    consumers.erase(c.id);
  }
}

void Stream::detach() {
  deleted = true;
  count_bytes();
  unsubscribe();
  close_feeds();
  js.direct_gets.forget(*this);
  js.kernel.timers.cancel(age_timer_);
  js.kernel.timers.cancel(schedule_timer_);
  staging_.reset();
  fast_.reset();
  for (auto& [id, c] : consumers) c->detach("409 Consumer Deleted");
}

// ------------------------------------------------------------------ applying

void Stream::apply(EntryKind kind, Reader& in, Entry* entry) {
  int64_t result = 0;
  leading_ = entry != nullptr;
  auto consumer_of = [&]() -> Consumer* { return consumer(in.get32()); };
  switch (kind) {
    case EntryKind::messages:
      return apply_messages(in, entry);
    case EntryKind::mirrored:
      return apply_mirrored(in, entry);
    case EntryKind::sourced:
      return apply_sourced(in, entry);
    case EntryKind::purge: {
      string_view filter = in.get_text();
      uint64_t seq = in.get64(), keep = in.get64();
      result = (int64_t)apply_purge(filter, seq, keep);
      break;
    }
    case EntryKind::remove: {
      uint64_t seq = in.get64();
      bool erase = in.get8();
      result = store->live(seq);
      if (result) {
        uint32_t subject = store->subject_of(seq);
        index.each_holder(subject, [&](Consumer& c) { c.message_removed(seq, subject); });
        if (erase) store->erase(seq); else store->remove(seq);
      }
      arm_age_timer();
      break;
    }
    case EntryKind::remove_below: {
      apply_remove_below(in);
      break;
    }
    case EntryKind::expire: {
      apply_expire(in);
      break;
    }
    case EntryKind::config: {
      std::string text(in.get_text());
      StreamSpec next;
      if (!next.decode(in)) break;
      bool shown = spec.restoring && !next.restoring;
      if (entry) unsubscribe();
      description = std::move(text);
      bool begins_interest = spec.keeps_all() && next.retention == Retention::interest;
      spec = std::move(next);
      take_spec();
      store->set_compressed(spec.compress);
      if (begins_interest) begin_interest();
      if (!spec.allow_atomic) staging_.reset();  // what was still open is dropped
      if (!spec.allow_batched) fast_.reset();
      enforce_limits(kNoSubject);
      if (shown) {
        for (auto& [id, c] : consumers) c->restored();
        lingering_upto_ = store->last_seq();  // what was backed up stays, wanted or not
      }
      if (shown && entry) {
        attach();
        break;
      }
      if (entry) subscribe();
      arm_age_timer();
      break;
    }
    case EntryKind::consumer_create: {
      uint32_t id = in.get32();
      std::string consumer_name(in.get_text()), text(in.get_text());
      ConsumerSpec cs;
      if (!cs.decode(in)) break;
      auto c = std::make_unique<Consumer>(*this, id, consumer_name, text, std::move(cs));
      c->start_position();
      next_consumer_id = std::max(next_consumer_id, id + 1);
      c->held = entry && entry->token;
      if (entry) c->attach();
      index.add(*c);
      consumers[id] = std::move(c);
      break;
    }
    case EntryKind::consumer_update: {
      Consumer* c = consumer_of();
      std::string text(in.get_text());
      ConsumerSpec cs;
      if (!c || !cs.decode(in)) break;
      update_consumer(*c, std::move(text), std::move(cs));
      c->held = entry && entry->token;
      break;
    }
    case EntryKind::consumer_delete:
      if (Consumer* c = consumer_of()) remove_consumer(*c);
      break;
    case EntryKind::delivered:
      if (Consumer* c = consumer_of()) {
        Reader again = in;
        if (!entry) c->apply_delivered(in);
        c->follow_delivered(again);
      }
      break;
    case EntryKind::acks:
      if (Consumer* c = consumer_of()) c->apply_acks(in);
      break;
    case EntryKind::ack_all:
      if (Consumer* c = consumer_of()) c->apply_ack_all(in);
      break;
    case EntryKind::deadline:
      if (Consumer* c = consumer_of()) c->apply_deadline(in);
      break;
    case EntryKind::restored_messages:
      apply_restored_messages(in);
      break;
    case EntryKind::restored_consumer:
      apply_restored_consumer(in, entry != nullptr);
      break;
    case EntryKind::exceeded:
      if (Consumer* c = consumer_of()) c->apply_exceeded(in);
      break;
    case EntryKind::batch_part:
      return apply_batch_part(in);
    case EntryKind::batch_commit:
      return apply_batch_commit(in, entry);
    case EntryKind::ack_flow:
      if (Consumer* c = consumer_of()) c->apply_ack_flow(in);
      break;
    case EntryKind::consumer_reset:
      if (Consumer* c = consumer_of()) {
        result = (int64_t)c->apply_reset(in);
        c->held = entry && entry->token;
      }
      break;
    default:
      break;
  }
  if (!entry) return;
  if (entry->token) js.committed(entry->token, result);
  Reader replies(entry->replies.view());
  while (replies.left()) answer(replies.get_bytes(replies.get16()), {});
}

// ------------------------------------------------------------------ small things

Consumer* Stream::consumer(uint32_t id) {
  auto it = consumers.find(id);
  return it == consumers.end() ? nullptr : it->second.get();
}

// What only some streams have, in sections that are left out when empty: a stream without them is as an older version wrote it.
namespace {

enum class Section : uint16_t { batch_parts = 1, ended_fast_batches = 2, schedules = 3 };
constexpr uint16_t kPlainFormat = 2, kSectionsFormat = 3;

}  // namespace

void Stream::snapshot_sections(Buffer& out) {
  if (!has_sections()) return;
  uint16_t count = 0;
  size_t count_at = out.size();
  out.put16(0);
  auto section = [&](Section which, auto write) {
    Buffer content;
    write(content);
    out.put16((uint16_t)which);
    out.put_text(content.view());
    count++;
  };
  if (batch_part_count_) section(Section::batch_parts, [&](Buffer& b) { b.put32(batch_part_count_), b.append(batch_parts_.view()); });
  if (!ended_fast_batches_.empty())
    section(Section::ended_fast_batches, [&](Buffer& b) {
      for (auto [number, index] : ended_fast_batches_) b.put64(number), b.put64(index);
    });
  if (!schedules_.empty()) section(Section::schedules, [&](Buffer& b) { schedules_.snapshot(b); });
  store16(out.data() + count_at, count);
}

bool Stream::load_sections(Reader& in) {
  for (uint16_t n = in.get16(); n && in.ok(); n--) {
    auto which = (Section)in.get16();
    Reader content(in.get_text());
    if (which == Section::batch_parts) {
      batch_part_count_ = content.get32();
      batch_parts_.append(content.get_bytes(content.left()));
    } else if (which == Section::ended_fast_batches) {
      while (content.left()) {
        uint64_t number = content.get64();
        ended_fast_batches_[number] = content.get64();
      }
    } else if (which != Section::schedules || !schedules_.load(content)) {
      return false;
    }
    if (!content.ok()) return false;
  }
  return in.ok();
}

bool Stream::has_sections() const { return batch_part_count_ || !ended_fast_batches_.empty() || !schedules_.empty(); }

void Stream::snapshot_head(Buffer& out) {
  schedules_.prune([this](uint64_t seq) { return store->live(seq); });
  out.put16(has_sections() ? kSectionsFormat : kPlainFormat);
  out.put_text(account.name);
  out.put_text(name);
  out.put_text(description);
  spec.encode(out);
  out.put_text(last_msg_id_);
}

void Stream::snapshot_middle(Buffer& out) {
  ttls_.prune([this](uint64_t seq) { return store->live(seq); });
  ttls_.snapshot(out);
  snapshot_sources(out);
  out.put32(next_consumer_id);
}

bool Stream::load(Reader& in, uint16_t format) {
  last_msg_id_ = in.get_text();
  if (!dedupe_.load(in) || !ttls_.load(in)) return false;
  if (format >= 2 && !load_sources(in)) return false;
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
  if (format >= kSectionsFormat && !load_sections(in)) return false;
  if (!in.ok() || !store->load(in)) return false;
  for (auto& [id, c] : consumers) {
    index.add(*c);
    if (!c->holds()) continue;
    c->many_removed();  // a snapshot of an earlier version may name messages that were gone
    index.hold(*c);
    index.stray(*c);  // what waits may be from before a change of filters
  }
  return load_retention(in);
}

}  // namespace slipstream
