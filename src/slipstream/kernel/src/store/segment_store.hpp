// The one implementation of MessageStore. message_store.hpp says which file has which part of it.
#pragma once
#include <deque>
#include <string>
#include <vector>

#include "store/message_store.hpp"
#include "store/record.hpp"
#include "store/segment.hpp"
#include "store/subject_table.hpp"

namespace slipstream {

class SegmentStore final : public MessageStore {
 public:
  SegmentStore(Disk* disk, IoPool* io, StoreOptions options);
  ~SegmentStore() override;

  bool append(uint64_t seq, int64_t time_ns, string_view subject, string_view header,
              string_view body) override;
  void skip(uint64_t seq, int64_t time_ns) override;
  void expect(string_view subject) const override { subjects_.expect(subject); }
  bool remove(uint64_t seq) override;
  bool erase(uint64_t seq) override;
  uint64_t remove_below(uint64_t seq) override;
  void set_sequences(uint64_t first_seq, uint64_t last_seq, int64_t last_time_ns) override;

  uint64_t first_seq() const override;
  uint64_t last_seq() const override { return last_seq_; }
  int64_t first_time_ns() override;
  int64_t last_time_ns() const override { return last_time_ns_; }
  uint64_t messages() const override { return messages_; }
  uint64_t bytes() const override { return bytes_; }
  uint64_t subjects() const override { return subjects_.with_messages(); }

  bool live(uint64_t seq) const override;
  uint64_t next_live(uint64_t seq) const override;
  uint64_t previous_live(uint64_t seq) const override;
  uint64_t live_above(uint64_t seq) const override;
  uint32_t subject_of(uint64_t seq) const override;
  uint32_t appended_subject() const override { return appended_subject_; }
  uint64_t size_of(uint64_t seq) const override;
  uint32_t find_subject(string_view subject) const override;
  string_view subject_name(uint32_t id) const override { return subjects_.name(id); }
  uint32_t subject_ids() const override { return subjects_.ids(); }
  SubjectState subject_state(uint32_t id) const override;
  uint64_t next_on_subject(uint32_t id, uint64_t seq) const override;
  void match_subjects(string_view filter, const std::function<void(uint32_t)>& each) const override;

  ReadStatus read(uint64_t seq, StoredMessage& out, ReadBuffer& buffer) override;
  ReadStatus read_blocking(uint64_t seq, StoredMessage& out, ReadBuffer& buffer) override;
  uint64_t first_at_or_after(int64_t time_ns, ReadBuffer& buffer) override;
  ReadStatus seek_time_blocking(int64_t time_ns, uint64_t& seq, ReadBuffer& buffer) override;
  ReadStatus seek_time(int64_t time_ns, uint64_t& seq, ReadBuffer& buffer) override;

  void set_compressed(bool compressed) override { compressed_ = compressed; }
  bool wants_rewrite() const override { return rewrite_wanted_; }
  bool frees_files() const override;
  bool write_tail() override;
  bool snapshot(Buffer& out, CheckpointSyncs& syncs) override;
  bool write_dead(Buffer& out, size_t entries) override;
  void end_dead() override;
  void checkpoint_durable() override;
  void snapshot_abandoned() override;
  bool load(Reader& in) override;
  const std::vector<uint64_t>& damaged() const override { return damaged_; }
  void drop() override;
  std::string error() const override { return error_; }
  bool failed() const override { return failed_; }
  int trouble() const override { return trouble_; }
  void check() const override;
  Memory memory() const override;

 private:
  void want_rewrite(bool wanted) {
    if (options_.rewrites_wanted && wanted != rewrite_wanted_) *options_.rewrites_wanted += wanted ? 1 : -1;
    rewrite_wanted_ = wanted;
  }
  struct Slot {
    uint64_t base;
    std::unique_ptr<Segment> segment;
  };
  struct Place {
    Segment* segment;  // null: no segment holds the sequence
    uint32_t index;
    IndexEntry* operator->() const { return &segment->entry(index); }
    explicit operator bool() const { return segment != nullptr; }
    bool live() const { return segment && segment->entry(index).live(); }
  };
  struct Compaction;

  // Index.
  size_t slot_of(uint64_t seq) const;  // the last slot with base <= seq, or slots_.size() if none
  Place find(uint64_t seq) const;
  Segment* active() const {
    return slots_.empty() || slots_.back().segment->sealed ? nullptr : slots_.back().segment.get();
  }
  using MessageStore::message_bytes;
  uint64_t message_bytes(const IndexEntry& e) const {
    return e.length() - kRecordHead + (options_.memory ? 16 : 30 + (e.has_header() ? 4 : 0));
  }
  Segment* segment_for(uint64_t seq, uint32_t length, int64_t time_ns);
  void open_segment(uint64_t seq);
  void seal(Segment* segment);
  void drop_slot(size_t slot);
  void after_removal(Segment* segment);
  uint64_t remove_all();

  // Subjects.
  void link(uint32_t id, uint64_t seq);
  void unlink(uint32_t id, uint64_t seq);
  uint64_t follow(uint32_t id, uint64_t from, uint64_t last) const;
  uint64_t scan_forward(uint32_t id, uint64_t from, uint64_t last) const;
  void resolve_last(uint32_t id) const;

  // The snapshot under way has the removed messages as they were: to be called before a segment changes in that, or goes.
  void before_change(Segment* segment) {
    if (segment->dead_number) put_dead_now(segment);
  }
  void put_dead_now(Segment* segment);

  // Bytes.
  char* place(Segment* segment, uint32_t length);  // null: the device refused to take what must leave memory
  bool make_chunk(Segment* segment, uint32_t length);
  bool make_room(uint32_t capacity);
  uint32_t chunk_capacity(const Segment& segment, uint32_t length) const;
  bool hand_over(Segment* segment, uint32_t end);
  bool write_now(Segment* segment, uint32_t end);
  void give_back(const Segment& segment, Chunk& chunk);
  void release_chunks(Segment* segment);
  bool create_file(Segment* segment);
  std::shared_ptr<FramedFile> new_frames(uint64_t base) const;
  bool encrypts() const { return options_.keys && options_.keys->current(); }
  bool prepare_folder(const std::vector<std::string>& named);
  std::string path_of(const std::string& name) const { return options_.folder + "/" + name; }
  void forget_file(Segment* segment);
  void unlink_files(std::vector<std::string> names);
  bool fail(const std::string& what, int error);
  void not_erased(const std::string& what, int error, uint64_t base, uint64_t id);
  std::string new_file_name(uint64_t base);

  // Reading.
  ReadStatus read_place(uint64_t seq, StoredMessage& out, ReadBuffer& buffer, bool may_block);
  ReadStatus decode(const char* p, uint64_t seq, const IndexEntry& e, bool verify, StoredMessage& out);
  ReadStatus seek_time_from(int64_t time_ns, uint64_t& seq, ReadBuffer& buffer, bool may_block);
  bool read_time(uint64_t seq, int64_t& time_ns, ReadBuffer& buffer);
  ReadStatus fill(Segment* segment, const IndexEntry& e, ReadBuffer& buffer, bool may_block);

  // Loading.
  struct SegmentPlan;
  class HeadReader;
  bool load_failed(const std::string& what);
  bool load_segment(Reader& in, std::vector<SegmentPlan>& plans);
  bool load_dead(Reader& in, SegmentPlan& plan);
  bool load_later_dead(Reader& in, std::vector<SegmentPlan>& plans);
  bool rebuild(Segment* segment, const SegmentPlan& plan);
  bool begins_with_a_record(const OpenFile& file) const;
  static std::vector<uint32_t> lost_records(const Segment& segment, const SegmentPlan& plan, HeadReader& reader, uint64_t at);
  bool pass_damage(Segment* segment, const SegmentPlan& plan, HeadReader& reader, uint64_t& at, std::vector<uint32_t>& lost);
  bool load_record(Segment* segment, const SegmentPlan& plan, const Record& record);

  // Compaction.
  void consider_compaction(Segment* segment);
  void start_compaction();
  void queue_rewrites();
  size_t compaction_run(size_t slot, size_t& last) const;
  std::unique_ptr<Segment> new_compacted(uint64_t base, size_t first, size_t n);
  static void push_copied(Segment& to, uint64_t seq, const IndexEntry& e, int64_t time_ns);
  void replace_slots(size_t first, size_t n, std::unique_ptr<Segment> fresh);
  void compact_memory(size_t slot);
  void release_below(Segment* segment, uint32_t head);
  void finish_compaction(const std::shared_ptr<Compaction>& work);

  Disk* const disk_;
  IoPool* const io_;
  const StoreOptions options_;
  std::shared_ptr<HandleCache> handles_;
  SubjectTable subjects_;
  std::deque<Slot> slots_;  // by base; only the active one (the last, if not sealed) may have no live message
  mutable size_t hot_slot_ = 0;  // where the last search ended
  uint64_t last_seq_ = 0, messages_ = 0, bytes_ = 0;
  uint64_t empty_first_ = 0;  // first_seq() while there are no messages
  int64_t last_time_ns_ = 0;
  uint32_t next_segment_bytes_;
  uint32_t entry_bytes_expected_ = 0;  // mean record of the last sealed segment

  std::deque<Segment*> resident_;             // segments with chunks, oldest first (streams in files)
  uint64_t chunk_bytes_ = 0;                  // capacity of all chunks
  std::shared_ptr<ChunkMemory> spare_chunk_;  // kept warm: its pages are there already
  uint32_t chunk_bytes_max_;
  bool appended_since_snapshot_ = false;
  uint32_t appended_subject_ = kNoSubject;

  bool folder_ready_ = false, folder_dirty_ = false;
  uint32_t generation_ = 0;           // part of new files' names: above that of any file found in the folder
  std::vector<Segment*> unwritten_dead_;  // by number - 1; null: written
  size_t dead_at_ = 0;
  Buffer* dead_out_ = nullptr;
  std::vector<std::string> retired_;  // files that the next snapshot will not name
  std::vector<std::string> unnamed_;  // files that the last snapshot did not name
  std::string error_;
  std::vector<uint64_t> damaged_;  // found by load()
  std::string mended_;             // damaged heads, which did no harm; then in error_, too
  bool failed_ = false;  // the device failed for good; full is not for good
  int trouble_ = 0;

  ReadBuffer times_buffer_;  // for first_time_ns()
  uint64_t first_time_seq_ = 0;
  int64_t first_time_ns_ = 0;

  std::deque<uint64_t> compactable_;  // bases of sealed segments that are mostly dead
  bool compacting_ = false;
  bool compressed_;              // files that are made from now on
  bool rewrite_wanted_ = false;  // by a segment; set by want_rewrite()
  std::shared_ptr<SegmentStore*> self_;  // null inside once the store is gone: completions look here first
};

}  // namespace slipstream
