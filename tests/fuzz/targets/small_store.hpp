// A kernel with streams and consumers of all kinds over a simulated disk, without threads, sockets or a clock.
#pragma once
#include <memory>
#include <string>

#include "bytes_of.hpp"
#include "disk/sim_disk.hpp"
#include "binding/kernel_calls.hpp"

struct SmallStore {
  std::unique_ptr<slipstream::Kernel> kernel;
  slipstream::Time now{1'900'000'000'000'000'000, 1'000'000'000};
  uint32_t account = 0;
  std::string error;

  explicit SmallStore(slipstream::Disk& disk) : kernel(std::make_unique<slipstream::Kernel>(slipstream::KernelLimits{}, 1)) {
    using namespace slipstream;
    kernel->now = now;
    account = KernelCalls::account(*kernel, "$G", "hash");
    KernelCalls::serve(*kernel, account, "_SIM.>", 9);
    OpenOptions options;
    options.disk = &disk;
    options.threads = false;
    options.journal_file_bytes = 64 << 10;
    options.journal_bytes_max = 1 << 20;
    options.segment_bytes_max = 16 << 10;
    error = KernelCalls::open_store(*kernel, options);
  }

  ~SmallStore() {
    if (kernel->backend) kernel->backend->stop();
  }

  void turn(int64_t ns = 1'000'000) {
    now.wall_ns += ns;
    now.monotonic_ns += ns;
    kernel->turn(now, 0);
    std::vector<slipstream::EventRecord> taken;
    kernel->wait_events(0, SIZE_MAX, taken);
  }

  void create(const char* name, const char* subject, const std::function<void(slipstream::StreamSpec&)>& configure) {
    using namespace slipstream;
    StreamSpec spec;
    spec.subjects = {subject};
    spec.allow_direct = spec.allow_rollup = spec.allow_msg_ttl = true;
    spec.duplicate_window_ns = 60'000'000'000;
    configure(spec);
    uint64_t id = KernelCalls::create_stream(*kernel, 1, account, name, "{}", spec);
    turn();
    for (const char* consumer : {"c", "all"}) {
      ConsumerSpec made;
      made.durable = true;
      made.ack_wait_ns = 2'000'000'000;
      made.max_ack_pending = 100;
      if (consumer[0] == 'a') made.ack_policy = AckPolicy::all;
      KernelCalls::create_consumer(*kernel, 2, id, consumer, "{}", made);
      turn();
      if (spec.retention == Retention::work_queue) break;
    }
  }

  void create_all() {
    using slipstream::StreamSpec;
    create("S", "s.>", [](StreamSpec&) {});
    create("Q", "q.>", [](StreamSpec& spec) { spec.retention = slipstream::Retention::work_queue; });
    create("T", "t.>", [](StreamSpec& spec) { spec.allow_schedules = spec.allow_atomic = spec.allow_batched = true; });
    create("N", "n.>", [](StreamSpec& spec) { spec.counter = true, spec.allow_rollup = spec.allow_msg_ttl = false; });
    create("M", "m.>", [](StreamSpec& spec) { spec.memory = true, spec.max_msgs = 10; });
    for (int i = 0; i < 3; i++)
      for (const char* subject : {"s.a", "s.b.c", "q.a", "t.a", "m.a"}) publish(subject, "_SIM.p", "", "body");
    turn();
  }

  void publish(std::string_view subject, std::string_view reply, std::string_view header, std::string_view body) {
    slipstream::KernelCalls::publish(*kernel, account, subject, reply, header, body);
  }

  void check() {
    for (auto& [id, stream] : slipstream::JetStream::of(*kernel)->streams()) stream->store->check();
  }
};
