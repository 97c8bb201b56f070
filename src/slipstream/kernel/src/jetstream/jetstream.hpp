// JetStream on one node: which groups exist, their log, recovery, checkpoints, and the kernel's side of streams and
// consumers.
//
// `propose` gives an entry its index and appends it to the journal; `apply_committed` applies, in order, what is
// committed (entry_committed is the rule). The meta group has the entries that create and delete streams; each stream
// is a group of its own, and its consumers live in its log.
//
// The room jetstream/:
//   jetstream.cpp           dispatch of what clients send; commit and apply; the work at the end of a turn
//   recovery.cpp            opening a store: the newest snapshots, then every journal entry behind them; a clean stop
//   checkpoint_rounds.cpp   the phases of a checkpoint round (docs/theory.md has what each guarantees)
//   store_room.cpp          a full disk: what is refused, what goes on from a reserve, when publishes are accepted again
//   backups.cpp             backups that are being read, and the proposals of a restore
//   offline.cpp             streams that cannot go on while all others do: which these are, what is kept of their log
//   store_marker.hpp        the files that make a folder a store, and lock it
//   kept_entries.hpp, kept_entries.cpp         files for the journal entries of streams that are offline
//   canonical_state.hpp, canonical_state.cpp   the replicated state of a stream as text, for testing/twin.py
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "consumer/consumer.hpp"
#include "jetstream/kept_entries.hpp"
#include "log/checkpoint.hpp"
#include "log/checkpoint_pace.hpp"
#include "log/groups.hpp"
#include "stream/backup/backup_reader.hpp"
#include "stream/backup/stream_restore.hpp"
#include "stream/snapshot.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"
#include "turn/backend.hpp"
#include "turn/kernel.hpp"

namespace slipstream {

struct OpenOptions {
  std::string path;
  Disk* disk = nullptr;  // a simulated one; owned by the caller
  int64_t sync_interval_ns = 0;  // 0: durable
  bool threads = true;
  uint32_t sync_lag = 0;         // of a simulated journal (journal.hpp)
  bool follows = false;  // answers and sends nothing and has no timers: it applies what follow() gives it, as recovery does
  // Fills the ring of a store that is encrypted, once the folder is locked. False with what is wrong.
  std::function<bool(Disk&, KeyRing&, std::string& error)> unlock;
  uint64_t journal_file_bytes = 16ull << 20, journal_bytes_max = 256ull << 20, segment_bytes_max = 16ull << 20;
};

struct JetStreamStats {
  uint64_t memory_bytes = 0, file_bytes = 0, journal_bytes = 0, syncs = 0, sync_ns_total = 0, sync_ns_max = 0, checkpoints = 0;
  std::string failed, no_room;  // no_room: why publishes are refused at present
  uint64_t bytes_in_flight = 0;
};

class JetStream final : public Backend, public StreamHost {
 public:
  explicit JetStream(Kernel& of_kernel);
  ~JetStream() override;
  // The one of a kernel; null: it has none.
  static JetStream* of(const Kernel& kernel) { return static_cast<JetStream*>(kernel.backend.get()); }

  bool open(const OpenOptions& options, std::string& error);  // locks, recovers
  void stop() override;

  // --- from the kernel
  void on_publish(void* target, string_view subject, string_view reply, string_view header, string_view body) override;
  void on_request(Subscription& s, string_view subject, string_view reply, string_view header, string_view body) override;
  size_t on_ack(Account& account, string_view subject, string_view reply, string_view body) override;
  void interest_changed(Account& account, string_view subject) override;
  void on_timer(Timer& timer) override;
  void end_of_turn() override;
  Intake intake() const override;

  // --- replicas in tests: entries in the order in which they were applied here, and the other end of that
  struct AppliedEntry { uint64_t group, term, index; uint8_t kind; std::string payload; };
  std::unique_ptr<std::vector<AppliedEntry>> applied_log;  // null: not kept
  void follow(const AppliedEntry& entry);  // of a store that was opened to follow

  // --- from Python: proposals (results arrive as committed events)
  uint64_t create_stream(uint64_t token, Account& account, string_view name, string_view description, const StreamSpec& spec);
  bool update_stream(uint64_t token, uint64_t stream, string_view description, const StreamSpec& spec);
  bool delete_stream(uint64_t token, uint64_t stream);
  bool purge(uint64_t token, uint64_t stream, string_view filter, uint64_t seq, uint64_t keep);
  bool remove_message(uint64_t token, uint64_t stream, uint64_t seq, bool erase);
  uint32_t create_consumer(uint64_t token, uint64_t stream, string_view name, string_view description, const ConsumerSpec& spec);
  bool update_consumer(uint64_t token, uint64_t stream, uint32_t consumer, string_view description, const ConsumerSpec& spec);
  bool delete_consumer(uint64_t token, uint64_t stream, uint32_t consumer);
  // The result is the sequence that comes next. `seq` 0: back to the ack floor.
  bool reset_consumer(uint64_t token, uint64_t stream, uint32_t consumer, uint64_t seq);
  // --- backup and restore
  uint64_t open_backup(uint64_t stream, uint64_t last_seq);
  BackupReader* backup(uint64_t id);
  void close_backup(uint64_t id) { backups_.erase(id); }
  RestoredBatch restore_messages(uint64_t token, uint64_t stream, string_view records, uint64_t last_seq, const RestoreLimits& limits);
  uint32_t restore_consumer(uint64_t token, uint64_t stream, string_view name, string_view description, const ConsumerSpec& spec,
                            string_view state);
  bool restore_end(uint64_t token, uint64_t stream, uint64_t last_seq, int64_t last_time_ns);

  Stream* stream(uint64_t id);
  const std::unordered_map<uint64_t, std::unique_ptr<Stream>>& streams() const { return streams_; }
  JetStreamStats stats() const;

  // --- from streams and consumers
  void committed(uint64_t token, int64_t result) override;
  void abandoned(uint64_t token, const std::string& reason) override;
  void begin_share() override;
  void register_consumer(Consumer& c, Stream& s) override;
  void unregister_consumer(Consumer& c, Stream& s) override;
  MessageStore* new_store(uint64_t stream, const StreamSpec& spec) override;
  void went_offline(Stream& s) override;
  bool parks_deliveries() const override;  // these two: store_room.cpp
  PublishError refusal() const override;
  WorkShare search_share() const;
  // Of what this server applies: not while it recovers, nor as a follower.
  bool leads_groups() const { return !recovering_ && !options_.follows; }
  bool relaxed() const { return options_.sync_interval_ns > 0; }

 private:
  bool prepare_folder(std::string& error);
  bool recover(std::string& error);
  void recover_record(const JournalRecord& record);
  void apply_meta(EntryKind kind, Reader& in, const Proposal* mine);
  void append_unwritten();
  void release_offline_streams();
  void leave_round();
  bool admitted(EntryKind kind, bool durable, bool reserve) const override;
  void watch_room();
  void get_room(int trouble);
  void keep_reserve();
  void give_up_reserve();
  void begin_refusing();
  void end_refusing();
  void describe_no_room();
  void withdraw_unwritten(const std::set<uint64_t>& only);
  void withdraw_from(Group& group, Stream* s, std::map<std::pair<uint64_t, uint64_t>, uint64_t>& kept);
  bool journal_is_tight() const { return journal_ && journal_->in_use() > options_.journal_bytes_max / 8 * 7; }
  uint64_t reserve_bytes() const { return std::min<uint64_t>(options_.journal_bytes_max / 8, 16 << 20); }
  bool keep_offline_entries();
  void entries_not_kept(const std::string& why, int error);
  bool drop_entries_of_deleted();
  void recover_stream(uint64_t id, uint64_t applied, Reader& in, uint16_t format, const std::string& broken);
  void guess_next_stream();
  void note_damage(uint64_t stream, const std::string& text);
  void recover_kept_entries();
  void erase_when_synced(std::function<void()> erasure);
  void run_erasures();
  void apply_committed();
  bool apply_first(Group& group);
  bool entry_committed(const Entry& e) const;
  void run_consumers();
  void checkpoint_step();
  void begin_checkpoint();
  void begin_round();
  void begin_freeing_round();
  void drop_stores();
  bool frees_files(uint64_t id);
  bool frees_files();
  bool in_checkpoint(uint64_t id) const;
  void note_change(Group& group);
  bool begin_snapshot(Stream& s);
  bool snapshot_groups(bool at_once);
  bool next_at_rest();
  void sync_batch();
  void batch_synced(const std::shared_ptr<CheckpointSyncs::Result>& result);
  void abandon_round(int trouble = 0);
  bool tell_groups(bool at_once);
  void write_round();
  void round_not_written();
  bool drain_io();
  void drop_stream(uint64_t id);

  OpenOptions options_;
  KeyRing keys_;
  std::unique_ptr<Disk> own_disk_;
  Disk* disk_ = nullptr;
  CheckpointPace pace_;
  std::unique_ptr<Checkpoints> checkpoints_;
  std::unique_ptr<IoPool> io_;
  std::unique_ptr<IoPool> checkpoint_io_;  // syncs take long: reads and tails do not wait for them
  std::unique_ptr<KeptEntries> kept_;
  uint64_t kept_upto_ = 0;    // entries of offline streams that end before this position are kept; 0 when another one went offline
  std::string not_kept_;      // why that failed
  // Erasures in files wait until the entries that say so are synced: a power failure must not bring the message back without body.
  std::deque<std::pair<uint64_t, std::function<void()>>> erasures_;
  static constexpr uint64_t kStoreGroup = (1ull << 63) - 1;  // what checkpoints say of the store as a whole
  uint64_t journal_needed_ = 0;  // by the newest checkpoint; 0: unknown
  std::string meta_damage_;      // of the snapshot that says which streams there are
  Group meta_;
  uint64_t next_stream_id_ = 1;
  size_t working_ = 0;          // groups whose first entry needs more turns
  size_t rewrites_wanted_ = 0;  // by how many of the stores
  std::unordered_map<uint64_t, std::unique_ptr<Stream>> streams_;
  std::vector<std::unique_ptr<Stream>> dropped_;     // freed at the end of the turn
  // Streams that a durable checkpoint names, or the round under way, keep their files until a round without them is durable.
  struct DroppedStore { uint64_t id; std::unique_ptr<MessageStore> store; };
  std::vector<DroppedStore> dropped_stores_, leaving_stores_;  // for the next round; in the round under way
  std::vector<StringMap<Consumer*>> by_ack_name_;    // per account: "stream.consumer"
  std::vector<StringMap<std::vector<Consumer*>>> push_consumers_;  // per account: by deliver subject
  std::unordered_map<uint64_t, std::unique_ptr<BackupReader>> backups_;
  uint64_t next_backup_id_ = 1;
  std::vector<uint64_t> going_offline_, offline_;  // streams: still to be released; all that are offline
  bool recovering_ = false, opened_ = false, stopping_ = false, stopped_ = false, reported_ = false;
  int lock_handle_ = -1;  // of the store's LOCK; held from open to stop
  struct NoRoom {
    int error = 0;          // -errno of what found no room
    int64_t full_since_ns = 0, retry_ns = 0, round_ns = 0, told_ns = 0;  // full_since_ns 0: the journal has room
    std::string text, refusal;  // with numbers
  } no_room_;
  int round_trouble_ = 0;         // -errno of the last round; it is tried again
  bool segment_trouble_ = false;  // a segment could not be written, which is tried again
  bool reserve_whole_ = true, reserve_job_ = false;  // the checkpoints' reserved file; a job makes it

  enum class CheckpointPhase : uint8_t { idle, waiting, serializing, writing, finishing };
  CheckpointPhase phase_ = CheckpointPhase::idle;
  bool frees_first_ = false;                         // the round has only what frees room, and the journal stays as it is
  bool round_leaves_ = false;                        // the thread writes the round: nothing can be taken out of it any more
  uint64_t checkpoint_position_ = 0, checkpoints_done_ = 0;
  std::vector<uint64_t> changed_;                    // groups with entries that no snapshot has
  std::vector<uint64_t> checkpoint_groups_;          // of the round under way, still to be serialized
  std::vector<std::pair<uint64_t, uint64_t>> checkpoint_taken_;  // group, applied
  CheckpointSyncs checkpoint_syncs_;                 // the next batch
  std::shared_ptr<CheckpointSyncs::Result> batch_;   // of the one under way
  bool sync_one_by_one_ = false;                     // one sync of all files failed
  std::unique_ptr<StreamSnapshot> snapshot_;         // of the group that is being serialized
  int64_t checkpoint_retry_ns_ = 0;
  void finish_checkpoint();
  void want_checkpoint_later();

};

}  // namespace slipstream
