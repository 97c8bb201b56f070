#include "stream/backup/backup_reader.hpp"

#include "archive/archive_record.hpp"

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

}  // namespace slipstream
