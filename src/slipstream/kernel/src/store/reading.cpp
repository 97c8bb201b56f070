// Records from memory, from a cursor's read-ahead, and from the disk: without blocking if its bytes are in
// the page cache, otherwise on the I/O thread, while the cursor waits.
#include <cerrno>

#include "disk/disk_trouble.hpp"
#include "store/segment_store.hpp"

namespace slipstream {

ReadStatus SegmentStore::read(uint64_t seq, StoredMessage& out, ReadBuffer& buffer) {
  return read_place(seq, out, buffer, false);
}

ReadStatus SegmentStore::read_blocking(uint64_t seq, StoredMessage& out, ReadBuffer& buffer) {
  return read_place(seq, out, buffer, true);
}

ReadStatus SegmentStore::read_place(uint64_t seq, StoredMessage& out, ReadBuffer& buffer, bool may_block) {
  Place place = find(seq);
  if (!place.live()) return ReadStatus::missing;
  const IndexEntry& e = *place.operator->();
  if (const char* p = place.segment->in_memory(e.offset)) return decode(p, seq, e, false, out);
  uint64_t end = (uint64_t)e.offset + e.length();
  if (buffer.segment != place.segment->id || e.offset < buffer.start || end > buffer.end) {
    ReadStatus status = fill(place.segment, e, buffer, may_block);
    if (status != ReadStatus::ok) return status;
  }
  return decode(buffer.bytes->data() + (e.offset - buffer.start), seq, e, true, out);
}

// What is in memory was written by this process and needs no checksum; what comes from a device does. With a
// damaged body `out` still has the head.
ReadStatus SegmentStore::decode(const char* p, uint64_t seq, const IndexEntry& e, bool verify,
                                StoredMessage& out) {
  Record record;
  if (!decode_record(p, e.length(), record) || record.length != e.length() || record.seq != seq)
    return ReadStatus::damaged;
  if (verify && !head_valid(record)) return ReadStatus::damaged;
  out = {seq, record.time_ns, record.subject(), record.header(), record.body()};
  if (verify && !body_valid(record)) return ReadStatus::damaged;
  return record.flags & kRecordErased ? ReadStatus::missing
                                      : ReadStatus::ok;  // erased after the checkpoint that was loaded
}

namespace {

// A piece of a segment, read from its file; the kernel's thread and the I/O thread do it alike.
struct PieceRead {
  std::shared_ptr<OpenFile> file;
  std::shared_ptr<FramedFile> frames;
  std::shared_ptr<Buffer> bytes;
  FramedFile::Span span;    // of plain files: where the piece is, there and here
  FramedFile::Span needed;  // without what is read ahead
  Buffer stored;            // of framed ones

  // Bytes of the segment that are there now, or -errno. Damage in what would be read ahead is not the message's.
  ssize_t run(bool may_wait) {
    ssize_t got = read(may_wait);
    if (got >= 0 || got == -EAGAIN || passes((int)got) || span.stored == needed.stored) return got;
    span = needed;
    return read(may_wait);
  }

 private:
  ssize_t read(bool may_wait) {
    Buffer& to = frames ? stored : *bytes;
    to.resize(span.stored);
    ssize_t got = may_wait ? file->disk->pread(file->handle, to.data(), span.stored, span.at)
                           : file->disk->pread_nowait(file->handle, to.data(), span.stored, span.at);
    if (!frames || got < 0) return got;
    if ((size_t)got < span.stored) return may_wait ? -EIO : -EAGAIN;
    bytes->resize(span.end - span.start);
    return frames->decode(span, stored.view(), bytes->data()) ? (ssize_t)bytes->size() : -EBADMSG;
  }
};

}  // namespace

ReadStatus SegmentStore::fill(Segment* segment, const IndexEntry& e, ReadBuffer& buffer, bool may_block) {
  if (buffer.failed) {
    buffer.reset();
    return ReadStatus::damaged;
  }
  if (buffer.waiting && !may_block) return ReadStatus::pending;
  auto piece = std::make_shared<PieceRead>();
  int error = 0;
  piece->file = segment->file->open(error);
  if (!piece->file && (may_block || !passes(error))) return ReadStatus::damaged;  // else the I/O thread opens it, or tries again
  uint64_t ahead = std::min<uint64_t>(options_.read_ahead_bytes, segment->written() - e.offset);
  uint32_t need = e.length(), ask = (uint32_t)std::max<uint64_t>(need, ahead);
  piece->bytes = buffer.bytes.use_count() == 1 ? std::move(buffer.bytes) : std::make_shared<Buffer>();
  buffer.reset();
  auto span = [frames = segment->frames, offset = e.offset, need](uint32_t wanted) {
    return frames ? frames->span(offset, need, wanted) : FramedFile::Span{offset, wanted, offset, offset + wanted};
  };
  piece->frames = segment->frames;
  piece->needed = span(need);
  // A turn takes no more frames apart than it needs.
  piece->span = segment->frames && !may_block ? piece->needed : span(ask);
  auto enough = [piece, end = (uint64_t)e.offset + need](ssize_t got) { return got >= 0 && piece->span.start + (uint64_t)got >= end; };
  auto use = [piece](ReadBuffer& to, uint64_t id, ssize_t got) {
    to.segment = id;
    to.start = piece->span.start;
    to.end = to.start + (uint64_t)got;
    to.bytes = piece->bytes;
  };
  ssize_t got = piece->file ? piece->run(may_block) : -EAGAIN;
  if (enough(got)) {
    use(buffer, segment->id, got);
    return ReadStatus::ok;
  }
  if (may_block || (got < 0 && got != -EAGAIN)) return ReadStatus::damaged;
  buffer.waiting = true;
  piece->span = span(ask);
  auto result = std::make_shared<ssize_t>(0);
  piece->file.reset();
  auto job = [piece, result, disk = disk_, path = segment->file->path()] {
    int failed = 0;
    piece->file = OpenFile::at(disk, path, failed);
    *result = piece->file ? piece->run(true) : failed;
    piece->file.reset();
  };
  auto done = [to = &buffer, alive = buffer.alive, id = segment->id, result, enough, use] {
    if (!*alive) return;
    to->waiting = false;
    if (enough(*result)) {
      use(*to, id, *result);
      to->failed = 0;
    } else {
      to->reset();
      to->failed = passes(*result) ? 0 : *result < 0 ? (int)*result : -EIO;  // what passes is no damage: it is read again
    }
    if (to->ready) to->ready();
  };
  io_->submit(std::move(job), std::move(done));
  return ReadStatus::pending;
}

int64_t SegmentStore::first_time_ns() {
  if (!messages_) return 0;
  uint64_t seq = first_seq();
  if (seq == first_time_seq_) return first_time_ns_;
  first_time_seq_ = seq;
  if (!read_time(seq, first_time_ns_, times_buffer_)) {  // not before the messages that were there before it
    Place place = find(seq);
    first_time_ns_ = place.segment->block_time(place.index);
  }
  return first_time_ns_;
}

// The time of a live message; its body may be damaged or erased.
bool SegmentStore::read_time(uint64_t seq, int64_t& time_ns, ReadBuffer& buffer) {
  StoredMessage message{};
  read_blocking(seq, message, buffer);
  time_ns = message.time_ns;
  return message.seq == seq;
}

uint64_t SegmentStore::first_at_or_after(int64_t time_ns, ReadBuffer& buffer) {
  uint64_t seq = 0;
  seek_time_from(time_ns, seq, buffer, true);
  return seq;
}

ReadStatus SegmentStore::seek_time_blocking(int64_t time_ns, uint64_t& seq, ReadBuffer& buffer) {
  return seek_time_from(time_ns, seq, buffer, true);
}

ReadStatus SegmentStore::seek_time(int64_t time_ns, uint64_t& seq, ReadBuffer& buffer) {
  return seek_time_from(time_ns, seq, buffer, false);
}

// A block's times bound what has to be read; messages before `seq` are known to be older.
ReadStatus SegmentStore::seek_time_from(int64_t time_ns, uint64_t& seq, ReadBuffer& buffer, bool may_block) {
  auto newer = std::partition_point(slots_.begin(), slots_.end(),
                                    [&](const Slot& s) { return s.segment->last_time_ns < time_ns; });
  for (; messages_ && newer != slots_.end(); ++newer) {
    const Segment& segment = *newer->segment;
    uint32_t start = std::max(segment.first_entry_at(time_ns), segment.position(seq));
    for (uint32_t i = segment.next_live(start); i < segment.count(); i = segment.next_live(i + 1)) {
      seq = segment.seq_at(i);
      if (segment.block_time(i) >= time_ns) return ReadStatus::ok;
      StoredMessage message{};
      if (read_place(seq, message, buffer, may_block) == ReadStatus::pending) return ReadStatus::pending;
      if (message.seq != seq) return ReadStatus::damaged;
      if (message.time_ns >= time_ns) return ReadStatus::ok;
    }
  }
  seq = last_seq_ + 1;
  return ReadStatus::ok;
}

}  // namespace slipstream
