#include "stream/backup/backup_reader.hpp"

#include "archive/archive_record.hpp"
#include "jetstream/jetstream.hpp"

namespace slipstream {

BackupReader::Outcome BackupReader::read(MessageStore& store, Buffer& out, size_t bytes_max) {
  while (out.size() < bytes_max) {
    uint64_t seq = next_seq_ > last_seq_ ? 0 : store.next_live(next_seq_);
    if (seq == 0 || seq > last_seq_) return Outcome::end;
    next_seq_ = seq;
    StoredMessage m{};
    switch (store.read(seq, m, buffer_)) {
      case ReadStatus::pending:
        return Outcome::pending;
      case ReadStatus::damaged:
        return Outcome::damaged;
      case ReadStatus::ok:
        put_archive_record(out, {m.subject, m.header, m.body, m.time_ns, seq});
        break;
      case ReadStatus::missing:
        break;
    }
    next_seq_ = seq + 1;
  }
  return Outcome::more;
}

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

}  // namespace slipstream
