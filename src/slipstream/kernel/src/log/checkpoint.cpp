// A round is one file, "<16 hex digits of the round>.checkpoint"; while it is written its name ends in
// ".new".
//
//   header     "SLIPCKPT", u32 version, u32 crc of the round, u64 round; since version 2 also u32 key number (0: not
//              encrypted), 16 bytes of salt, u32 crc of these two; since version 3 also u64 where the footer ends, u32 zero,
//              u32 crc of these two
//   snapshot   u64 group, u64 applied, u64 length, u32 crc of group, applied and payload, u32 zero, payload, zeros to 8; before
//              version 4 u32 length, and no zero; in version 5 one of a stream is followed by a copy of its head, the same
//              way, with the top bit of group set
//   copies     since version 6, on other pages than the snapshots: of each snapshot of up to 256 KiB a copy, with the second bit
//              of group set; of a longer one of a stream its head, with the top bit set
//   directory  of all groups, 48 bytes each: u64 group, u64 applied, u64 round, u64 offset, u64 length, u64 offset of the copy;
//              before version 6 40 bytes, without the last; before version 4 32 bytes: u32 offset / 8, u32 length
//   footer     u64 offset of the directory, u64 entries, u32 crc of the directory and these two,
//              u32 version, "SLIPCEND"
//              since version 5 the crc begins with that of the round, and directory and footer stand there twice, since
//              version 6 on different pages
//
// In an encrypted file each payload is sealed (cipher.hpp) in the context of group and applied. A copy has the sealed bytes again.
//
// The file of the highest round has the valid directory. Files are synced before they get their name, so one
// with a name that is not whole is damaged, not unfinished.
//
// What a file without live snapshots is called then ends in ".spare", and a later round is written over it: a file system
// takes longer to free and allocate blocks than to write into those that a file has, and publishers' syncs wait behind that.
// Not before that name is durable, though, else the file might come back with its old one.
#include "log/checkpoint.hpp"

#include <errno.h>

#include <algorithm>
#include <cassert>
#include <map>
#include <vector>

#include "log/journal_format.hpp"

namespace slipstream {
namespace {

constexpr char kMagic[9] = "SLIPCKPT", kEndMagic[9] = "SLIPCEND";
constexpr uint32_t kVersion = 6, kLongVersion = 4, kDoubleVersion = 5, kCopyVersion = 6;
constexpr uint64_t kHeadOf = 1ull << 63;  // a group's number with this bit: a copy of the head of its snapshot
constexpr uint64_t kCopyOf = 1ull << 62;  // with this one: a copy of all of it
constexpr size_t kCopiedBytesMax = 256 << 10;
constexpr size_t kPageBytes = 4096;       // what a device damages at once
constexpr size_t kKeyAt = 24, kEndAt = 48, kHeaderBytes = 64;
constexpr size_t kFooterBytes = 32;
constexpr size_t snapshot_header_bytes(uint32_t version) { return version >= kLongVersion ? 32 : 24; }
constexpr size_t entry_bytes(uint32_t version) { return version >= kCopyVersion ? 48 : version >= kLongVersion ? 40 : 32; }
constexpr size_t kFilesMax = 64;         // above it the file with the least in it is emptied
constexpr size_t kWriteBytes = 256 << 10, kWriteBytesHurried = 2 << 20;  // synced one by one: a publish's sync waits behind one
constexpr size_t kReadBytes = 1 << 30;   // a system reads less than 2 GiB at once
constexpr size_t kSparesMax = 2;         // one is used by turns with the file in use, the other waits for its durable name
constexpr uint64_t kSpareTimesMax = 4;   // a spare that is so much larger than a round needs is unlinked...
constexpr uint64_t kSpareBytesMin = 1 << 20;  // ...unless it is small
constexpr size_t kBufferKeptBytes = 1 << 20;
constexpr uint32_t kHeadBytesMax = 16 << 20;

struct Place {  // of a group's newest snapshot
  uint64_t applied, round, offset, length;
  uint64_t copy = 0;  // where it lies; 0: there is none
  size_t bytes() const { return (snapshot_header_bytes(kVersion) + length + 7) & ~(size_t)7; }
  bool copied() const { return length <= kCopiedBytesMax + kSealBytes; }
  size_t bytes_with_copy() const { return copied() ? 2 * bytes() : bytes(); }
};

struct Spare {
  std::string path;
  uint64_t bytes;
  bool durable;  // its name, at least: what it holds does not matter
};

struct RoundFile {
  uint64_t snapshot_bytes = 0, live_bytes = 0, file_bytes = 0;
  uint32_t key_number = 0, version = kVersion;
  std::shared_ptr<FileCipher> cipher;  // null: not encrypted
  std::string damage;                  // nothing in it can be read
  bool mended = false;                 // damage in it did no harm: the next round takes over what is live in it
};

std::string seal_context(uint64_t group, uint64_t applied) {
  std::string context(16, '\0');
  store64(context.data(), group);
  store64(context.data() + 8, applied);
  return context;
}

uint32_t snapshot_crc(uint64_t group, uint64_t applied, string_view payload) {
  char head[16];
  store64(head, group);
  store64(head + 8, applied);
  return crc32c(crc32c(0, head, sizeof head), payload.data(), payload.size());
}

// Appends to a round in memory and says where it will lie.
Place put_snapshot(Buffer& to, uint64_t round, FileCipher* cipher, uint64_t group, uint64_t applied, string_view payload) {
  Buffer sealed;
  if (cipher) {
    sealed.resize(payload.size() + kSealBytes);
    cipher->seal(payload, seal_context(group, applied), sealed.data());
    payload = sealed.view();
  }
  Place place{applied, round, to.size(), payload.size()};
  to.put64(group);
  to.put64(applied);
  to.put64(place.length);
  to.put32(snapshot_crc(group, applied, payload));
  to.put32(0);
  to.append(payload);
  while (to.size() % 8) to.put8(0);
  return place;
}

// What the round has at `place`, once more.
void put_copy(Buffer& to, uint64_t group, Place& place) {
  size_t bytes = snapshot_header_bytes(kVersion) + place.length;
  char* head = to.room(bytes);
  memcpy(head, to.data() + place.offset, bytes);
  string_view payload(head + bytes - place.length, place.length);
  store64(head, group | kCopyOf);
  store32(head + 24, snapshot_crc(group | kCopyOf, place.applied, payload));
  place.copy = to.size();
  to.grow(bytes);
  while (to.size() % 8) to.put8(0);
}

void pad_to_page(Buffer& to) {
  size_t used = to.size() % kPageBytes;
  if (used) memset(to.room(kPageBytes - used), 0, kPageBytes - used), to.grow(kPageBytes - used);
}

// Gathers a payload that comes in pieces, and gives them back one by one.
string_view gather(std::vector<Buffer>& pieces, Buffer& whole) {
  whole.clear();
  for (Buffer& piece : pieces) {
    whole.append(piece.view());
    piece.release();
  }
  return whole.view();
}

class CheckpointsImpl final : public Checkpoints {
 public:
  CheckpointsImpl(Disk& disk, std::string folder, const KeyRing* keys, CheckpointPace& pace)
      : disk_(disk), folder_(std::move(folder)), keys_(keys), pace_(pace) {}

  bool find_files() {
    std::vector<std::string> names;
    int r = disk_.list(folder_, names);
    if (r < 0) return fail("cannot list " + folder_, r);
    for (const std::string& name : names) {
      uint64_t round;
      if (parse_hex16(name, ".checkpoint", round))
        files_[round] = {};
      else if (parse_hex16(name, ".new", round) || parse_hex16(name, ".spare", round))
        unfinished_.push_back(folder_ + "/" + name);
      else
        continue;
      round_max_ = std::max(round_max_, round);
    }
    return files_.empty() || read_directory(files_.rbegin()->first);
  }

  void load(const Each& each) override {
    std::vector<std::pair<uint64_t, Place>> places(index_.begin(), index_.end());
    std::sort(places.begin(), places.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second.round, a.second.offset) < std::pair(b.second.round, b.second.offset);
    });
    OpenRound open(disk_);
    Buffer bytes;
    for (const auto& [group, place] : places) {
      string_view payload;
      if (read_snapshot(open, group, place, bytes, payload)) {
        each(group, place.applied, payload, {});
        continue;
      }
      std::string damage = error_;
      if (read_copy(open, group, place, kCopyOf, bytes, payload)) {
        files_[place.round].mended = true;
        mended_.push_back(damage + " (its copy is whole)");
        each(group, place.applied, payload, {});
        continue;
      }
      if (!read_copy(open, group, place, kHeadOf, bytes, payload)) payload = {};
      each(group, place.applied, payload, damage);
    }
    error_.clear();
  }

  void begin(bool from_last_reserve) override {
    assert(!writing_);
    from_last_reserve_ = from_last_reserve;
    round_max_++;
    changes_.clear();
    if (round_.capacity() > kBufferKeptBytes)
      round_.release();
    else
      round_.clear();
    round_.append(kMagic, 8);
    round_.put32(kVersion);
    round_.put32(crc32c(0, &round_max_, 8));
    round_.put64(round_max_);
    std::string salt = current_key() ? keys_->new_salt() : std::string(kSaltBytes, '\0');
    round_cipher_ = current_key() ? keys_->cipher(current_key(), salt) : nullptr;
    round_.put32(current_key());
    round_.append(salt);
    round_.put32(crc32c(0, round_.data() + kKeyAt, 4 + kSaltBytes));
    assert(round_.size() == kEndAt);
    round_.resize(kHeaderBytes);
    memset(round_.data() + kEndAt, 0, kHeaderBytes - kEndAt);  // put_end()
    begun_ = true;
  }

  using Checkpoints::add;
  void add(uint64_t group, uint64_t applied, std::vector<Buffer>&& payload) override {
    assert(begun_ && !writing_);
    changes_[group] = {true, applied, std::move(payload)};
  }

  void drop(uint64_t group) override {
    assert(begun_ && !writing_);
    changes_[group] = {false, 0, {}};
  }

  bool write() override {
    assert(begun_ && !writing_);
    begun_ = false;
    writing_ = true;
    bool written = write_round();
    changes_.clear();
    writing_ = false;
    return written;
  }

  bool encrypted_otherwise() const override {
    return (current_key() && !unfinished_.empty()) ||  // nobody knows what is in those
           std::any_of(files_.begin(), files_.end(), [&](const auto& file) { return file.second.key_number != current_key(); });
  }
  bool mended() const override { return !mended_.empty(); }
  std::string error() const override {
    std::string text = error_;
    for (const std::string& damage : mended_) text += (text.empty() ? "" : "; ") + damage;
    return text;
  }
  int error_number() const override { return error_number_; }

  int make_reserve(uint64_t bytes) override {
    int last = make_reserve_of(last_reserve_path(), bytes / kLastReserveShare + index_.size() * 2 * entry_bytes(kVersion));
    int r = make_reserve_of(reserve_path(), bytes);
    return r < 0 ? r : last;
  }
  // A file that is too small grows, and keeps what it has where the disk has no room for more.
  int make_reserve_of(const std::string& path, uint64_t bytes) {
    int handle = disk_.open(path, kOpenWrite | kOpenCreate);
    if (handle < 0) return handle;
    int64_t size = disk_.size(handle);
    int r = size < 0 ? (int)size : 0;
    if (r == 0 && (uint64_t)size < bytes) {
      r = fill(handle, bytes);
      if (r < 0 && size > 0) disk_.truncate(handle, (uint64_t)size);
    }
    disk_.close(handle);
    if (r < 0 && size <= 0) gone(path);
    return r;
  }
  bool give_up_reserve() override { return disk_.unlink(reserve_path()) >= 0; }

  uint64_t bytes_written() const override { return bytes_written_; }

 private:
  struct Change {
    bool live;
    uint64_t applied;
    std::vector<Buffer> payload;
  };

  // Keeps the file of one round open while snapshots are read from it in order.
  struct OpenRound {
    explicit OpenRound(Disk& d) : disk(d) {}
    OpenRound(const OpenRound&) = delete;
    OpenRound& operator=(const OpenRound&) = delete;
    ~OpenRound() {
      if (handle >= 0) disk.close(handle);
    }
    int use(uint64_t wanted, const std::string& path) {
      if (handle >= 0 && round == wanted) return handle;
      if (handle >= 0) disk.close(handle);
      round = wanted;
      return handle = disk.open(path, kOpenRead);
    }
    Disk& disk;
    uint64_t round = 0;
    int handle = -1;
  };

  std::string path_of(uint64_t round) const { return folder_ + "/" + hex16(round) + ".checkpoint"; }

  std::string reserve_path() const { return folder_ + "/reserve"; }
  std::string last_reserve_path() const { return folder_ + "/reserve.last"; }
  int fill(int handle, uint64_t bytes) {
    int r = disk_.allocate(handle, bytes);
    if (r != -EOPNOTSUPP) return r;
    static const std::string zeros(256 << 10, '\0');
    for (uint64_t at = 0; at < bytes; at += zeros.size()) {
      ssize_t n = disk_.pwrite(handle, zeros.data(), (size_t)std::min<uint64_t>(zeros.size(), bytes - at), at);
      if (n < 0) return (int)n;
    }
    return disk_.sync(handle);
  }
  bool fail(const std::string& what, int r) {
    error_number_ = r;
    error_ = what + ": " + strerror(-r);
    return false;
  }
  bool damaged(uint64_t round, const std::string& what) {
    error_ = path_of(round) + " " + what;
    return false;
  }
  uint32_t current_key() const { return keys_ ? keys_->current() : 0; }

  bool read_exactly(int handle, uint64_t round, uint64_t offset, size_t n, Buffer& bytes) {
    int64_t size = disk_.size(handle);
    const bool there = size < 0 || (offset <= (uint64_t)size && n <= (uint64_t)size - offset);
    if (!there) return damaged(round, "is shorter than it says");  // no memory for what is not there
    bytes.resize(n);
    for (size_t at = 0, piece; at < n; at += piece) {
      piece = std::min(kReadBytes, n - at);
      ssize_t r = disk_.pread(handle, bytes.data() + at, piece, offset + at);
      if (r < 0) return fail("cannot read " + path_of(round), (int)r);
      if ((size_t)r < piece) return damaged(round, "is shorter than it says");
    }
    return true;
  }

  // `payload` lies in `bytes`, or in what this round's cipher opened, until the next call.
  bool read_snapshot(OpenRound& open, uint64_t group, const Place& place, Buffer& bytes, string_view& payload) {
    return read_as(open, group, group, place, bytes, payload);
  }

  // `sealed_for`: the group in whose context the payload is encrypted.
  bool read_as(OpenRound& open, uint64_t group, uint64_t sealed_for, const Place& place, Buffer& bytes, string_view& payload) {
    int handle = open.use(place.round, path_of(place.round));
    if (handle < 0) return fail("cannot open " + path_of(place.round), handle);
    if (!files_[place.round].damage.empty()) return damaged(place.round, files_[place.round].damage);
    const uint32_t version = files_[place.round].version;
    const size_t header_bytes = snapshot_header_bytes(version);
    if (!read_exactly(handle, place.round, place.offset, header_bytes + place.length, bytes))
      return false;
    const char* p = bytes.data();
    payload = {p + header_bytes, place.length};
    uint64_t length = version >= kLongVersion ? load64(p + 16) : load32(p + 16);
    bool whole = load64(p) == group && load64(p + 8) == place.applied && length == place.length &&
                 (version < kLongVersion || load32(p + 28) == 0) &&
                 load32(p + header_bytes - (version >= kLongVersion ? 8 : 4)) == snapshot_crc(group, place.applied, payload);
    if (const FileCipher* cipher = files_[place.round].cipher.get(); whole && cipher) {
      opened_.resize(std::max(payload.size(), kSealBytes) - kSealBytes);
      whole = cipher->open(payload, seal_context(sealed_for, place.applied), opened_.data());
      payload = opened_.view();
    }
    return whole ||
           damaged(place.round, "is damaged in the snapshot at byte " + std::to_string(place.offset));
  }

  // The copy of a snapshot, or of its head; in version 5 the latter lies behind the snapshot.
  bool read_copy(OpenRound& open, uint64_t group, const Place& place, uint64_t which, Buffer& bytes, string_view& payload) {
    const RoundFile& file = files_[place.round];
    if (file.version < kDoubleVersion || !file.damage.empty()) return false;
    Place copy{place.applied, place.round, place.copy, 0};
    if (file.version < kCopyVersion && group && which == kHeadOf) copy.offset = place.offset + place.bytes();
    int handle = copy.offset ? open.use(place.round, path_of(place.round)) : -1;
    if (handle < 0 || !read_exactly(handle, place.round, copy.offset, snapshot_header_bytes(file.version), bytes)) return false;
    if (load64(bytes.data()) != (group | which)) return false;
    copy.length = load64(bytes.data() + 16);
    if (copy.length > kHeadBytesMax) return false;
    return read_as(open, group | which, which == kCopyOf ? group : group | which, copy, bytes, payload);
  }

  // Of a file in use: the footer lies before `end`.
  struct Ends {
    Buffer header, footer;
    uint64_t size = 0, end = 0;
    uint32_t version() const { return load32(header.data() + 8); }
    uint64_t directory() const { return load64(footer.data()); }
  };

  bool read_ends(OpenRound& open, uint64_t round, Ends& ends) {
    int handle = open.use(round, path_of(round));
    int64_t size = handle < 0 ? handle : disk_.size(handle);
    if (size < 0) return fail("cannot open " + path_of(round), (int)size);
    if ((uint64_t)size < kKeyAt + kFooterBytes) return damaged(round, "is too short for a checkpoint");
    ends.size = ends.end = (uint64_t)size;
    if (!read_exactly(handle, round, 0, std::min<size_t>(kHeaderBytes, ends.end), ends.header)) return ends.header.clear(), false;
    const char* h = ends.header.data();
    if (memcmp(h, kMagic, 8) != 0) return damaged(round, "is not a checkpoint (its first bytes are wrong)");
    if (ends.version() < 1 || ends.version() > kVersion)
      return damaged(round, "has format version " + std::to_string(ends.version()) + ", this program knows " +
                                std::to_string(kVersion));
    bool shaped = load64(h + 16) == round && load32(h + 12) == crc32c(0, h + 16, 8);
    if (shaped && ends.version() >= 3) {
      shaped = ends.end >= kHeaderBytes && load32(h + kEndAt + 12) == crc32c(0, h + kEndAt, 12) && load64(h + kEndAt) <= ends.end &&
               load64(h + kEndAt) >= kHeaderBytes + kFooterBytes;
      if (shaped) ends.end = load64(h + kEndAt);
    }
    if (!shaped) return damaged(round, "is damaged in its header");
    if (!read_exactly(handle, round, ends.end - kFooterBytes, kFooterBytes, ends.footer)) return false;
    const char* f = ends.footer.data();
    shaped = load32(f + 20) == ends.version() && memcmp(f + 24, kEndMagic, 8) == 0 && ends.directory() >= kKeyAt &&
             ends.directory() <= ends.end - kFooterBytes;
    return shaped || damaged(round, "is damaged in its footer");
  }

  // The directory, or else its other copy; that is looked for from the end of the file, so that nothing in its header is needed.
  bool read_directory(uint64_t round) {
    OpenRound open(disk_);
    Ends ends;
    if (read_ends(open, round, ends) && directory_whole(ends.footer.data(), round, open.handle))
      return take_directory(round, ends.version());
    std::string problem = error_.empty() ? path_of(round) + " has a damaged directory" : error_;
    int64_t size = open.handle < 0 ? 0 : disk_.size(open.handle);
    Buffer whole;
    if (size >= (int64_t)kFooterBytes && read_exactly(open.handle, round, 0, (size_t)size, whole))
      for (size_t at = ((size_t)size - kFooterBytes) & ~(size_t)7;; at -= 8) {
        const char* footer = whole.data() + at;
        uint32_t version = load32(footer + 20);
        bool other = memcmp(footer + 24, kEndMagic, 8) == 0 && version >= kDoubleVersion && version <= kVersion &&
                     load64(footer) <= at && load64(footer + 8) == (at - load64(footer)) / entry_bytes(version);
        if (other && directory_whole(footer, round, open.handle)) return take_directory(round, version, problem);
        if (at == 0) break;
      }
    error_ = problem;
    return false;
  }

  bool directory_whole(const char* footer, uint64_t round, int handle) {
    uint64_t entries = load64(footer + 8), bytes = entry_bytes(load32(footer + 20));
    if (entries > UINT32_MAX || !read_exactly(handle, round, load64(footer), entries * bytes, directory_)) return false;
    uint32_t crc = load32(footer + 20) >= kDoubleVersion ? crc32c(0, &round, 8) : 0;
    crc = crc32c(crc32c(crc, directory_.data(), directory_.size()), footer, 16);
    return crc == load32(footer + 16) || damaged(round, "has a damaged directory");
  }

  // `mended`: what is damaged, and did no harm; error() says it until the next round.
  bool take_directory(uint64_t round, uint32_t version, const std::string& mended = {}) {
    if (!mended.empty()) mended_.push_back(mended), files_[round].mended = true;
    for (size_t at = 0; at < directory_.size(); at += entry_bytes(version)) {
      const char* e = directory_.data() + at;
      Place place{load64(e + 8), load64(e + 16), 0, 0};
      if (version >= kLongVersion) place.offset = load64(e + 24), place.length = load64(e + 32);
      else place.offset = (uint64_t)load32(e + 24) * 8, place.length = load32(e + 28);
      if (version >= kCopyVersion) place.copy = load64(e + 40);
      index_[load64(e)] = place;
      if (!files_.count(place.round)) files_[place.round].damage = "is missing";
      files_[place.round].live_bytes += place.bytes_with_copy();
    }
    directory_.release();
    for (auto& [number, file] : files_)
      if (file.damage.empty() && !take_file(number, file)) return false;
    error_.clear();
    return true;
  }

  // The cipher is in the header. Where the directory begins is how much there is of snapshots, stale ones included. Damage to either
  // costs no more than what cannot be read without it.
  bool take_file(uint64_t round, RoundFile& file) {
    OpenRound open(disk_);
    Ends ends;
    bool whole = read_ends(open, round, ends);
    auto note = [&](const std::string& damage) {
      if (!file.mended) mended_.push_back(damage);
      file.mended = true;
    };
    if (!whole) note(error_);
    if (ends.header.size() < kKeyAt) {
      file.damage = "cannot be read";
      return true;
    }
    file.snapshot_bytes = whole ? ends.directory() : ends.size;
    file.file_bytes = ends.size;
    uint32_t version = whole ? ends.version() : ends.footer.size() == kFooterBytes ? load32(ends.footer.data() + 20) : kVersion;
    file.version = version >= 1 && version <= kVersion ? version : kVersion;
    if (whole && ends.version() == 1) return true;
    char key[kEndAt - kKeyAt];
    if (ends.header.size() >= kEndAt) memcpy(key, ends.header.data() + kKeyAt, sizeof key);
    bool as_written = ends.header.size() >= kEndAt && load32(key + 4 + kSaltBytes) == crc32c(0, key, 4 + kSaltBytes);
    if (!as_written) note(path_of(round) + " is damaged in its header");
    if (ends.header.size() < kEndAt || !mend_key(key)) {
      if (current_key()) file.damage = "is damaged in its header";
      return true;
    }
    file.key_number = load32(key);
    if (file.key_number && !(keys_ && (file.cipher = keys_->cipher(file.key_number, {key + 4, kSaltBytes}))))
      return damaged(round, "is encrypted with key " + std::to_string(file.key_number) + ", which the store does not have");
    return true;
  }

  // Key number, salt and their checksum; one flipped bit is put right.
  static bool mend_key(char (&key)[kEndAt - kKeyAt]) {
    auto whole = [&] { return load32(key + 4 + kSaltBytes) == crc32c(0, key, 4 + kSaltBytes); };
    for (size_t bit = 0; bit < sizeof key * 8 && !whole(); bit++) {
      key[bit / 8] ^= (char)(1 << bit % 8);
      if (whole()) break;
      key[bit / 8] ^= (char)(1 << bit % 8);
    }
    return whole();
  }

  bool write_round() {
    std::map<uint64_t, Place> index = index_;
    Buffer whole;
    for (auto& [group, change] : changes_) {
      if (!change.live) {
        index.erase(group);
        continue;
      }
      if (group && change.payload.size() > 1) heads_[group] = std::string(change.payload[0].view());
      index[group] = put_snapshot(round_, round_max_, round_cipher_.get(), group, change.applied, gather(change.payload, whole));
    }
    if (!from_last_reserve_) empty_files(index);
    put_copies(index);
    uint64_t snapshot_bytes = round_.size();
    put_directory(index);
    pad_to_page(round_);
    put_directory(index);
    put_end();
    RoundFile file{.snapshot_bytes = snapshot_bytes, .key_number = current_key(), .cipher = std::move(round_cipher_)};
    if (!write_file(file)) return false;
    index_ = std::move(index);
    count_live(index_, files_);
    retire_stale();
    error_.clear();
    mended_.clear();
    return true;
  }

  // On other pages than what they are copies of.
  void put_copies(std::map<uint64_t, Place>& index) {
    size_t bytes = 2 * kPageBytes;
    for (const auto& [group, place] : index)
      if (place.round == round_max_ && place.copied()) bytes += place.bytes();
    round_.reserve(round_.size() + bytes);
    pad_to_page(round_);
    for (auto& [group, place] : index) {
      if (place.round != round_max_) continue;
      if (place.copied()) put_copy(round_, group, place);
      else if (heads_.count(group))
        place.copy = put_snapshot(round_, round_max_, round_cipher_.get(), group | kHeadOf, place.applied, heads_[group]).offset;
    }
    heads_.clear();
  }

  static void count_live(const std::map<uint64_t, Place>& index, std::map<uint64_t, RoundFile>& files) {
    for (auto& [round, file] : files) file.live_bytes = 0;
    for (const auto& [group, place] : index) files[place.round].live_bytes += place.bytes_with_copy();
  }

  // Copies what is live out of files that are mostly stale, too many, or not encrypted as new ones are.
  void empty_files(std::map<uint64_t, Place>& index) {
    std::map<uint64_t, RoundFile> files = files_;
    files[round_max_].snapshot_bytes = round_.size();
    count_live(index, files);
    std::vector<std::pair<uint64_t, uint64_t>> by_live_bytes;
    for (const auto& [round, file] : files)
      if (round != round_max_ && file.live_bytes > 0) by_live_bytes.emplace_back(file.live_bytes, round);
    std::sort(by_live_bytes.begin(), by_live_bytes.end());
    std::map<uint64_t, bool> emptied;
    size_t kept = by_live_bytes.size();
    for (const auto& [live_bytes, round] : by_live_bytes)
      if (live_bytes * 4 + kPageBytes < files[round].snapshot_bytes || kept >= kFilesMax || files[round].mended ||
          files[round].key_number != current_key()) {
        emptied[round] = true;
        kept--;
      }
    if (emptied.empty()) return;
    OpenRound open(disk_);
    Buffer bytes;
    for (auto& [group, place] : index) {
      if (!emptied.count(place.round)) continue;
      string_view payload;
      Place old = place;
      if (!read_snapshot(open, group, old, bytes, payload) && !read_copy(open, group, old, kCopyOf, bytes, payload))
        continue;  // it stays where it is, as it is
      place = put_snapshot(round_, round_max_, round_cipher_.get(), group, old.applied, payload);
      if (!place.copied() && read_copy(open, group, old, kHeadOf, bytes, payload)) heads_[group] = std::string(payload);
    }
  }

  void put_directory(const std::map<uint64_t, Place>& index) {
    while (round_.size() % 8) round_.put8(0);
    uint64_t offset = round_.size();
    for (const auto& [group, place] : index) {
      round_.put64(group);
      round_.put64(place.applied);
      round_.put64(place.round);
      round_.put64(place.offset);
      round_.put64(place.length);
      round_.put64(place.copy);
    }
    uint32_t crc = crc32c(crc32c(0, &round_max_, 8), round_.data() + offset, round_.size() - offset);
    char fields[16];
    store64(fields, offset);
    store64(fields + 8, index.size());
    round_.append(fields, sizeof fields);
    round_.put32(crc32c(crc, fields, sizeof fields));
    round_.put32(kVersion);
    round_.append(kEndMagic, 8);
  }

  void put_end() {
    char* to = round_.data() + kEndAt;
    store64(to, round_.size());
    store32(to + 12, crc32c(0, to, 12));
  }

  // The smallest spare with room, or else the largest; a new file if there is none. Its name is `unfinished` then.
  int open_unfinished(const std::string& unfinished, uint64_t& bytes) {
    auto better = [&](const Spare& a, const Spare& b) {
      bool a_fits = a.bytes >= round_.size(), b_fits = b.bytes >= round_.size();
      return a_fits != b_fits ? a_fits : a_fits ? a.bytes < b.bytes : a.bytes > b.bytes;
    };
    if (from_last_reserve_ && disk_.rename(last_reserve_path(), unfinished) >= 0) {
      from_last_reserve_ = false;
      int handle = disk_.open(unfinished, kOpenWrite);
      bytes = handle < 0 ? 0 : (uint64_t)std::max<int64_t>(disk_.size(handle), 0);
      return handle;
    }
    auto best = spares_.end();
    for (auto it = spares_.begin(); it != spares_.end(); ++it)
      if (it->durable && (best == spares_.end() || better(*it, *best))) best = it;
    if (best == spares_.end()) return disk_.open(unfinished, kOpenWrite | kOpenCreate | kOpenTruncate);
    int r = disk_.rename(best->path, unfinished);
    if (r < 0 && r != -ENOENT) return r;
    uint64_t found = best->bytes;
    spares_.erase(best);
    if (r < 0) return open_unfinished(unfinished, bytes);  // somebody tidied up
    bytes = found;
    return disk_.open(unfinished, kOpenWrite);
  }

  // A file that may have its name, but not durably, does no harm: the next round has a higher number.
  bool write_file(RoundFile& file) {
    std::string path = path_of(round_max_), unfinished = folder_ + "/" + hex16(round_max_) + ".new";
    unfinished_.push_back(unfinished);
    int handle = open_unfinished(unfinished, file.file_bytes), r = 0;
    if (handle < 0) return fail("cannot make " + unfinished, handle);
    for (size_t at = 0, n; at < round_.size() && r >= 0; at += n) {
      n = std::min(pace_.hurried() ? kWriteBytesHurried : kWriteBytes, round_.size() - at);
      r = pace_.run([&] {
        int written = (int)disk_.pwrite(handle, round_.data() + at, n, at);
        return written < 0 ? written : disk_.sync(handle);
      });
    }
    disk_.close(handle);
    if (r < 0) {
      fail("cannot write " + unfinished, r);
      unlink_unfinished();  // on a full disk it would be in the way, and so would spares
      std::erase_if(spares_, [&](const Spare& spare) { return gone(spare.path); });
      return false;
    }
    r = disk_.rename(unfinished, path);
    if (r < 0) return fail("cannot rename " + unfinished, r);
    unfinished_.pop_back();
    file.file_bytes = std::max<uint64_t>(file.file_bytes, round_.size());
    files_[round_max_] = std::move(file);
    r = disk_.sync_folder(folder_);
    if (r < 0) return fail("cannot sync " + folder_, r);
    for (Spare& spare : spares_) spare.durable = true;
    bytes_written_ += round_.size();
    return true;
  }

  // The round is durable, so what cannot be unlinked now is stale for certain, and is tried again in the next
  // round.
  void retire_stale() {
    for (auto it = files_.begin(); it != files_.end();) {
      bool stale = it->second.live_bytes == 0 && it->first != round_max_;
      it = stale && retire(it->first, it->second) ? files_.erase(it) : std::next(it);
    }
    std::erase_if(spares_, [&](const Spare& spare) { return !worth_keeping(spare.bytes) && gone(spare.path); });
    unlink_unfinished();
  }
  bool worth_keeping(uint64_t bytes) const { return bytes <= std::max(kSpareBytesMin, kSpareTimesMax * round_.size()); }
  // What was written with another key, or without one, goes.
  bool retire(uint64_t round, const RoundFile& file) {
    if (spares_.size() == kSparesMax || file.key_number != current_key() || !worth_keeping(file.file_bytes))
      return disk_.unlink(path_of(round)) >= 0;
    std::string spare = folder_ + "/" + hex16(round) + ".spare";
    if (disk_.rename(path_of(round), spare) < 0) return false;
    spares_.push_back({spare, file.file_bytes, false});
    return true;
  }
  void unlink_unfinished() {
    std::erase_if(unfinished_, [&](const std::string& path) { return gone(path); });
  }
  bool gone(const std::string& path) {
    int r = disk_.unlink(path);
    return r >= 0 || r == -ENOENT;
  }

  Disk& disk_;
  const std::string folder_;
  const KeyRing* const keys_;
  CheckpointPace& pace_;
  std::map<uint64_t, Place> index_;      // of the last durable round
  std::map<uint64_t, RoundFile> files_;  // by round
  std::vector<std::string> unfinished_;  // temporaries that are left over, and spares of an earlier run
  std::vector<Spare> spares_;
  uint64_t round_max_ = 0;               // also the round that begin() opened
  Buffer round_;
  std::shared_ptr<FileCipher> round_cipher_;  // of the round that begin() opened
  Buffer opened_;                             // a decrypted snapshot
  Buffer directory_;                          // the one that was read
  std::map<uint64_t, Change> changes_;
  std::map<uint64_t, std::string> heads_;  // of the round's snapshots that are too long to be copied
  bool begun_ = false, writing_ = false, from_last_reserve_ = false;
  uint64_t bytes_written_ = 0;
  std::string error_;
  std::vector<std::string> mended_;  // damage that did no harm, until the next round
  int error_number_ = 0;
};

}  // namespace

std::unique_ptr<Checkpoints> Checkpoints::open(Disk& disk, const std::string& folder, const KeyRing* keys, CheckpointPace& pace,
                                               std::string& error) {
  int r = disk.make_folder(folder);
  size_t slash = folder.rfind('/');
  if (r >= 0) r = disk.sync_folder(slash == std::string::npos ? "" : folder.substr(0, slash));
  if (r < 0) {
    error = "cannot make " + folder + ": " + strerror(-r);
    return nullptr;
  }
  auto checkpoints = std::make_unique<CheckpointsImpl>(disk, folder, keys, pace);
  if (!checkpoints->find_files()) {
    error = checkpoints->error();
    return nullptr;
  }
  return checkpoints;
}

}  // namespace slipstream
