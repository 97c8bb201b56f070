// One measured run: connects every role's clients, then starts all threads together and waits for the
// foreground roles.
#pragma once
#include "consume_roles.hpp"
#include "core_roles.hpp"
#include "request_role.hpp"

namespace slipstream::load {

struct LatencySummary {
  uint64_t samples = 0;
  uint64_t p50_ns = 0, p90_ns = 0, p99_ns = 0, p999_ns = 0, max_ns = 0;
  double mean_ns = 0;
};

struct RunResult {
  std::string name;
  bool background = false;
  uint64_t messages = 0, bytes = 0;
  double seconds = 0;
  LatencySummary latency;
};

class LoadRun {
 public:
  LoadRun(ServerAddress server, double stall_seconds);

  void add(std::unique_ptr<Role> role) { roles_.push_back(std::move(role)); }
  std::string connect();  // empty, or why it failed
  std::string execute();  // once, after connect(); blocks; empty, or why it failed
  void stop() { state_.fail("interrupted"); }

  size_t roles() const { return roles_.size(); }
  uint64_t progress(size_t role) const { return roles_[role]->progress(); }
  uint64_t target(size_t role) const { return roles_[role]->target(); }
  RunResult result(size_t role);  // after execute()

 private:
  const ServerAddress server_;
  RunState state_;
  std::vector<std::unique_ptr<Role>> roles_;
  int64_t start_ns_ = 0, end_ns_ = 0;
};

}  // namespace slipstream::load
