#include "log/journal_salvage.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "log/journal_format.hpp"

namespace slipstream {
namespace {

class Salvage {
 public:
  Salvage(const std::string& path, uint64_t generation, const KeyRing* keys, SalvagedJournal& out)
      : path_(path), generation_(generation), keys_(keys), out_(out) {}

  void file(string_view bytes) {
    JournalFile header;
    if (!read_header(bytes, header)) return;
    std::shared_ptr<FileCipher> cipher;
    std::string salt = journal_cipher_salt(header.generation, header.salt);
    if (header.key_number && !(keys_ && (cipher = keys_->cipher(header.key_number, salt))))
      return damaged({"is encrypted with a key that the store does not have"});
    if (bytes.size() < header.file_bytes()) damaged({"is shorter than its header says"});
    uint64_t end = std::min<uint64_t>(bytes.size(), header.file_bytes()), bad = 0;
    for (uint64_t at = kJournalHeaderBytes; at + kNextFileBytes <= end;) {
      JournalRecord record;
      uint64_t stable = 0;
      if (!decode_record(bytes.data() + at, end - at, header.seed, record, stable)) {
        if (!bad) bad = at;
        at += 8;
        continue;
      }
      if (bad) damaged(place(bytes.data(), bad, at));
      bad = 0;
      if (record.kind == kNextFile) return void(next_generation_ = record.index);
      size_t length = record_bytes(record.payload.size());
      take(record, bytes.data() + at, cipher.get());
      at += length;
    }
    end_ = last_place(bytes.data(), bad ? bad : end, end);
  }
  // What does not matter at the end of the log: the file has no mark that another one follows.
  void ended_before(const std::string& next_path, uint64_t next_generation) {
    if (next_generation_ && next_generation_ != next_generation)
      damaged({"is followed by generation " + hex16(next_generation_) + ", whose file is missing before " + next_path});
    if (!end_.text.empty()) damaged(std::move(end_));
  }

 private:
  bool read_header(string_view bytes, JournalFile& header) {
    if (bytes.size() < kJournalHeaderBytes) return damaged({"is shorter than a header"}), false;
    std::string block(bytes.substr(0, kJournalHeaderBytes));
    bool mended = false;
    std::string problem = mend_journal_header(block.data(), generation_, header, mended);
    if (mended) damaged({problem + " (one bit of it; its records are read)", false});
    else if (!problem.empty()) damaged({problem});
    return problem.empty() || mended;
  }
  void take(JournalRecord& record, const char* start, FileCipher* cipher) {
    if (cipher) {
      opened_.resize(std::max(record.payload.size(), kSealBytes) - kSealBytes);
      if (!cipher->open(record.payload, record_context(start), opened_.data()))
        return damaged({"has a record that cannot be decrypted", true, record.group, record.index, record.kind});
      record.payload = opened_.view();
    }
    out_.records.push_back({record.group, record.term, record.index, record.kind, std::string(record.payload)});
  }
  // Of the file's bytes [from, to). Its length says whether it may be one record.
  static JournalDamage place(const char* bytes, uint64_t from, uint64_t to) {
    JournalDamage found{"is damaged at byte " + std::to_string(from) + ", up to byte " + std::to_string(to)};
    uint32_t length = to - from < kNextFileBytes ? 0 : load32(bytes + from);
    if (length < kRecordHeaderBytes || record_bytes(length - kRecordHeaderBytes) != to - from) return found;
    found.group = load64(bytes + from + 8);
    found.index = load64(bytes + from + 24);
    found.kind = (uint8_t)bytes[from + 40];
    found.loses = found.kind != kNextFile;
    return found;
  }
  // Nothing behind it is whole: there may be what an earlier life of the file left.
  static JournalDamage last_place(const char* bytes, uint64_t from, uint64_t end) {
    uint64_t length = end - from < kNextFileBytes ? 0 : load32(bytes + from);
    bool fits = length >= kRecordHeaderBytes && from + record_bytes(length - kRecordHeaderBytes) <= end;
    return place(bytes, from, fits ? from + record_bytes(length - kRecordHeaderBytes) : end);
  }
  void damaged(JournalDamage found) {
    found.text = path_ + " " + found.text;
    out_.damage.push_back(std::move(found));
  }

  const std::string path_;
  const uint64_t generation_;
  const KeyRing* const keys_;
  SalvagedJournal& out_;
  Buffer opened_;
  uint64_t next_generation_ = 0;
  JournalDamage end_;  // without a text: the file ends in a mark
};

Buffer content_of(Disk& disk, const std::string& path) {
  Buffer bytes;
  int handle = disk.open(path, kOpenRead);
  int64_t size = handle < 0 ? handle : disk.size(handle);
  bytes.resize((size_t)std::max<int64_t>(size, 0));
  for (size_t at = 0; at < bytes.size();) {  // what the device cannot read is zeros, which no record is
    size_t n = std::min<size_t>(4096, bytes.size() - at);
    ssize_t got = disk.pread(handle, bytes.data() + at, n, at);
    if (got < (ssize_t)n) memset(bytes.data() + at, 0, n);
    at += n;
  }
  if (handle >= 0) disk.close(handle);
  return bytes;
}

}  // namespace

SalvagedJournal salvage_journal(Disk& disk, const std::string& folder, const KeyRing* keys) {
  SalvagedJournal out;
  std::vector<std::string> names;
  if (int r = disk.list(folder, names); r < 0) out.damage.push_back({folder + ": " + strerror(-r)});
  std::unique_ptr<Salvage> before;
  for (const std::string& name : names) {
    uint64_t generation = 0;
    if (!parse_hex16(name, ".journal", generation)) continue;
    std::string path = folder + "/" + name;
    auto file = std::make_unique<Salvage>(path, generation, keys, out);
    size_t records = out.records.size();
    file->file(content_of(disk, path).view());
    if (before && out.records.size() > records) before->ended_before(path, generation);
    before = std::move(file);
  }
  return out;
}

}  // namespace slipstream
