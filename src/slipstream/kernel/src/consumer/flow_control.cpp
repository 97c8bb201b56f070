// Flow control of push consumers: a window of bytes that are under way, and requests that the receiver answers when it has
// taken what came before them (C-103, C-104). With the flow_control ack policy such an answer also says how far the receiver
// has stored what it got (C-117).
#include "consumer/consumer.hpp"
#include "message/header_block.hpp"
#include "message/message_headers.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr int64_t kWindowFirst = 2 << 20, kWindowMax = 32 << 20;

}  // namespace

void Consumer::open_window() { window_bytes_ = kWindowFirst; }

// What is under way no more counts, and a late answer is not taken for one to what comes next.
void Consumer::forget_flow() {
  window_used_ = window_asked_ = 0;
  flow_id_.clear();
}

void Consumer::flow_control(size_t bytes) {
  window_used_ += (int64_t)bytes;
  bool must_acknowledge = spec.ack_policy == AckPolicy::flow_control && stalled_by_ack_pending();
  if (flow_id_.empty()) {
    if (window_used_ > window_bytes_ / 2 || must_acknowledge) ask_flow();
  } else if (window_used_ - window_asked_ >= window_bytes_) {
    window_asked_ += (int64_t)bytes;
  }
}

void Consumer::ask_flow() {
  flow_id_ = (kernel().long_ack_subjects ? long_flow_prefix_ : short_flow_prefix_) + kernel().random_text(4);
  window_asked_ = window_used_;
  status(spec.deliver_subject, "100 FlowControl Request", nullptr, flow_id_);
}

void Consumer::on_flow_reply(string_view subject, string_view header) {
  if (subject != flow_id_) return;
  window_bytes_ = std::min(window_bytes_ * 2, kWindowMax);
  window_used_ = std::max<int64_t>(0, window_used_ - window_asked_);
  window_asked_ = 0;
  flow_id_.clear();
  if (spec.ack_policy == AckPolicy::flow_control) propose_ack_flow(header);
  wake();
}

void Consumer::propose_ack_flow(string_view header) {
  int64_t consumer_seq = parse_number(find_header(header, "Nats-Last-Consumer").value);
  int64_t stream_seq = parse_number(find_header(header, "Nats-Last-Stream").value);
  if (stream_seq <= 0 || (uint64_t)stream_seq > store().last_seq()) return;
  if (!log_deliveries()) return;
  Buffer payload = host_.buffer();
  payload.put32(id);
  payload.put64((uint64_t)stream_seq);
  payload.put64((uint64_t)std::max<int64_t>(consumer_seq, 0));
  payload.put64((uint64_t)kernel().now.wall_ns);
  host_.propose(stream_.group, EntryKind::ack_flow, std::move(payload), false, 0, {}, true);
}

Work Consumer::apply_ack_flow(Reader in, const Proposal* mine) {
  uint64_t stream_seq = in.get64(), consumer_seq = in.get64();
  co_await acknowledge_up_to(stream_seq, consumer_seq, (int64_t)in.get64());
  stream_.finish(mine, 0);
}

}  // namespace slipstream
