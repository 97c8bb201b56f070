#include "journal_salvage.hpp"

#include <algorithm>
#include <cstring>

#include "journal_format.hpp"

namespace slipstream {
namespace {

class Salvage {
 public:
  Salvage(const std::string& path, const KeyRing* keys, SalvagedJournal& out) : path_(path), keys_(keys), out_(out) {}

  void file(string_view bytes) {
    JournalFile header;
    if (bytes.size() < kJournalHeaderBytes) return damaged("is shorter than a header");
    if (std::string problem = decode_journal_header(bytes.data(), header); !problem.empty()) return damaged(problem);
    std::shared_ptr<FileCipher> cipher;
    std::string salt = journal_cipher_salt(header.generation, header.salt);
    if (header.key_number && !(keys_ && (cipher = keys_->cipher(header.key_number, salt))))
      return damaged("is encrypted with a key that the store does not have");
    if (bytes.size() < header.file_bytes()) damaged("is shorter than its header says");
    uint64_t end = std::min<uint64_t>(bytes.size(), header.file_bytes()), bad = 0;
    for (uint64_t at = kJournalHeaderBytes; at + kNextFileBytes <= end;) {
      JournalRecord record;
      uint64_t stable = 0;
      if (!decode_record(bytes.data() + at, end - at, header.seed, record, stable)) {
        if (!bad) bad = at;
        at += 8;
        continue;
      }
      if (bad) damaged("is damaged at byte " + std::to_string(bad) + ", up to byte " + std::to_string(at));
      bad = 0;
      size_t length = record_bytes(record.payload.size());
      if (record.kind == kNextFile) return;
      take(record, bytes.data() + at, cipher.get());
      at += length;
    }
  }

 private:
  void take(JournalRecord& record, const char* start, FileCipher* cipher) {
    if (cipher) {
      opened_.resize(std::max(record.payload.size(), kSealBytes) - kSealBytes);
      if (!cipher->open(record.payload, record_context(start), opened_.data())) return damaged("has a record that cannot be decrypted");
      record.payload = opened_.view();
    }
    out_.records.push_back({record.group, record.term, record.index, record.kind, std::string(record.payload)});
  }
  void damaged(const std::string& what) { out_.damage.push_back(path_ + " " + what); }

  const std::string path_;
  const KeyRing* const keys_;
  SalvagedJournal& out_;
  Buffer opened_;
};

}  // namespace

SalvagedJournal salvage_journal(Disk& disk, const std::string& folder, const KeyRing* keys) {
  SalvagedJournal out;
  std::vector<std::string> names;
  if (int r = disk.list(folder, names); r < 0) out.damage.push_back(folder + ": " + strerror(-r));
  for (const std::string& name : names) {
    uint64_t generation = 0;
    if (!parse_hex16(name, ".journal", generation)) continue;
    std::string path = folder + "/" + name;
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
    Salvage(path, keys, out).file(bytes.view());
  }
  return out;
}

}  // namespace slipstream
