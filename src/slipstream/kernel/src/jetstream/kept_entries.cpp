#include "jetstream/kept_entries.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "log/journal_format.hpp"

namespace slipstream {
namespace {

constexpr const char* kFolder = "offline";
constexpr const char* kSuffix = ".entries";

}  // namespace

KeptEntries::KeptEntries(Disk& disk, const KeyRing& keys, std::function<uint64_t()> random)
    : disk_(disk), keys_(keys), random_(std::move(random)) {}

std::string KeptEntries::path_of(uint64_t stream, uint64_t position) const {
  return std::string(kFolder) + "/" + hex16(stream) + "." + hex16(position) + kSuffix;
}

bool KeptEntries::find(std::string& error) {
  std::vector<std::string> names;
  int r = disk_.list(kFolder, names);
  if (r == -ENOENT) return true;
  if (r < 0) {
    error = std::string("cannot list ") + kFolder + ": " + strerror(-r);
    return false;
  }
  for (const std::string& name : names) {
    uint64_t stream = 0, position = 0;
    if (name.size() > 17 && parse_hex16(name.substr(0, 17), ".", stream) && parse_hex16(name.substr(17), kSuffix, position))
      files_[stream].push_back(position);
  }
  for (auto& [stream, positions] : files_) std::sort(positions.begin(), positions.end());
  return true;
}

bool KeptEntries::read(uint64_t stream, const std::function<void(const JournalRecord&)>& record, std::string& error) {
  for (uint64_t position : files_[stream]) {
    JournalFile file;
    file.path = path_of(stream, position);
    Buffer bytes, opened;
    int handle = disk_.open(file.path, kOpenRead);
    int64_t size = handle < 0 ? handle : disk_.size(handle);
    ssize_t n = size;
    if (size >= 0) {
      bytes.resize((size_t)size);
      n = disk_.pread(handle, bytes.data(), (size_t)size, 0);
    }
    if (handle >= 0) disk_.close(handle);
    if (n < 0 || (uint64_t)n < kJournalHeaderBytes || (error = decode_journal_header(bytes.data(), file)).size() ||
        file.file_bytes() != (uint64_t)n) {
      error = file.path + (n < 0 ? std::string(" cannot be read: ") + strerror((int)-n) : " " + (error.empty() ? "is damaged" : error));
      return false;
    }
    std::shared_ptr<FileCipher> cipher;
    if (file.key_number && !(cipher = keys_.cipher(file.key_number, journal_cipher_salt(file.generation, file.salt)))) {
      error = file.path + " is encrypted with a key that the store does not have";
      return false;
    }
    const char* at = bytes.data() + kJournalHeaderBytes;
    for (uint64_t left = file.capacity; left;) {
      JournalRecord r;
      uint64_t stable = 0;
      bool whole = decode_record(at, left, file.seed, r, stable);
      size_t length = whole ? record_bytes(r.payload.size()) : 0;
      if (whole && cipher) {
        opened.resize(std::max(r.payload.size(), kSealBytes) - kSealBytes);
        whole = cipher->open(r.payload, record_context(at), opened.data());
        r.payload = opened.view();
      }
      if (!whole) {
        error = file.path + " is damaged at byte " + std::to_string(at - bytes.data());
        return false;
      }
      r.end = 0;
      record(r);
      at += length, left -= length;
    }
  }
  return true;
}

void KeptEntries::add(uint64_t stream, const JournalRecord& r) {
  added_[stream].push_back({r.group, r.term, r.index, r.kind, std::string(r.payload)});
}

int KeptEntries::write(uint64_t position, std::string& error) {
  int r = added_.empty() ? 0 : disk_.make_folder(kFolder);
  for (const auto& [stream, records] : added_)
    if (r >= 0) r = write_file(stream, position, records);
  if (r >= 0 && !added_.empty()) r = disk_.sync_folder(kFolder);
  if (r >= 0 && !added_.empty()) r = disk_.sync_folder("");
  if (r < 0) error = std::string("cannot write to ") + kFolder + ": " + strerror(-r);
  for (const auto& [stream, records] : added_)
    if (r >= 0) files_[stream].push_back(position);
  added_.clear();
  return std::min(r, 0);
}

int KeptEntries::write_file(uint64_t stream, uint64_t position, const std::vector<Kept>& records) {
  uint64_t salt = random_(), generation = position;
  std::shared_ptr<FileCipher> cipher = keys_.current() ? keys_.cipher(keys_.current(), journal_cipher_salt(generation, salt)) : nullptr;
  Buffer out;
  out.resize(kJournalHeaderBytes);
  for (const Kept& r : records) {
    size_t need = record_bytes(r.payload.size() + (cipher ? kSealBytes : 0));
    encode_record(out.room(need), record_seed(generation, salt), r.group, r.term, r.index, 0, r.kind, r.payload, cipher.get());
    out.grow(need);
  }
  encode_journal_header(out.data(), generation, 0, out.size() - kJournalHeaderBytes, salt, keys_.current());
  std::string path = path_of(stream, position), unfinished = path + ".new";
  int handle = disk_.open(unfinished, kOpenWrite | kOpenCreate | kOpenTruncate);
  if (handle < 0) return handle;
  ssize_t n = disk_.pwrite(handle, out.data(), out.size(), 0);
  if (n >= 0) n = disk_.sync(handle);
  disk_.close(handle);
  if (n >= 0) n = disk_.rename(unfinished, path);
  if (n < 0) disk_.unlink(unfinished);  // on a full disk it would be in the way
  return (int)n;
}

bool KeptEntries::drop(uint64_t stream) {
  auto it = files_.find(stream);
  if (it == files_.end()) return true;
  for (uint64_t position : it->second)
    if (int r = disk_.unlink(path_of(stream, position)); r < 0 && r != -ENOENT) return false;
  if (disk_.sync_folder(kFolder) < 0) return false;
  files_.erase(it);
  return true;
}

}  // namespace slipstream
