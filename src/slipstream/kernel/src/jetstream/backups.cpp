// Backups that are being read, and the proposals of a restore (stream/backup/ has what they read and what they apply).
#include "jetstream/jetstream.hpp"

namespace slipstream {

uint64_t JetStream::open_backup(uint64_t id, uint64_t last_seq) {
  Stream* s = stream(id);
  if (!s) return 0;
  uint64_t backup_id = next_backup_id_++;
  auto readable = [this, backup_id] {
    EventRecord e{EventType::readable};
    e.a = backup_id;
    kernel.emit(std::move(e));
  };
  backups_[backup_id] = std::make_unique<BackupReader>(id, s->store->first_seq(), last_seq, readable);
  return backup_id;
}

BackupReader* JetStream::backup(uint64_t id) {
  auto it = backups_.find(id);
  return it == backups_.end() ? nullptr : it->second.get();
}

RestoredBatch JetStream::restore_messages(uint64_t token, uint64_t id, string_view records, uint64_t last_seq,
                                          const RestoreLimits& limits) {
  RestoredBatch batch;
  Stream* s = stream(id);
  if (!s || !s->spec.restoring) {
    batch.fault = "the stream is gone";
    return batch;
  }
  Buffer payload = buffer();
  auto next_run_of = [&](const ArchiveRecord& r) { return s->next_run_of_restored(r.header, r.time_ns, kernel.now.wall_ns); };
  batch = take_restored_messages(records, last_seq, kernel.now.wall_ns, limits, next_run_of, payload);
  if (!batch.count) return batch;
  if (!propose(s->group, EntryKind::restored_messages, std::move(payload), false, token)) batch.refused = true;
  return batch;
}

uint32_t JetStream::restore_consumer(uint64_t token, uint64_t id, string_view name, string_view description, const ConsumerSpec& spec,
                                     string_view state) {
  Stream* s = stream(id);
  if (!s || !s->spec.restoring) return 0;
  uint32_t consumer_id = s->take_consumer_id();
  Buffer p = buffer();
  p.put32(consumer_id);
  p.put_text(name);
  p.put_text(description);
  spec.encode(p);
  p.append(state);
  return propose(s->group, EntryKind::restored_consumer, std::move(p), false, token) ? consumer_id : 0;
}

bool JetStream::restore_end(uint64_t token, uint64_t id, uint64_t last_seq, int64_t last_time_ns) {
  Stream* s = stream(id);
  if (!s || !s->spec.restoring) return false;
  Buffer p = buffer();
  p.put64((uint64_t)kernel.now.wall_ns);
  p.put32(0);
  p.put64(last_seq);
  p.put64((uint64_t)last_time_ns);
  return propose(s->group, EntryKind::restored_messages, std::move(p), false, token);
}

}  // namespace slipstream
