#include "load_run.hpp"

#include <algorithm>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <thread>

namespace slipstream::load {

namespace {

LatencySummary summarize(std::vector<uint64_t> samples) {
  LatencySummary summary;
  if (samples.empty()) return summary;
  std::sort(samples.begin(), samples.end());
  const auto quantile = [&](double q) { return samples[(size_t)(q * (double)(samples.size() - 1) + 0.5)]; };
  summary.samples = samples.size();
  summary.p50_ns = quantile(0.5);
  summary.p90_ns = quantile(0.9);
  summary.p99_ns = quantile(0.99);
  summary.p999_ns = quantile(0.999);
  summary.max_ns = samples.back();
  summary.mean_ns = std::accumulate(samples.begin(), samples.end(), 0.0) / (double)samples.size();
  return summary;
}

}  // namespace

LoadRun::LoadRun(ServerAddress server, double stall_seconds) : server_(std::move(server)) {
  state_.stall_ns = (int64_t)(stall_seconds * 1e9);
}

std::string LoadRun::connect() {
  try {
    for (auto& role : roles_) role->open(server_, state_);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

std::string LoadRun::execute() {
  for (const auto& role : roles_) state_.foreground_left += role->background() ? 0 : 1;
  if (state_.foreground_left == 0) return "a run needs a role that ends";
  start_ns_ = monotonic_ns();
  std::vector<std::thread> threads;
  for (auto& role : roles_)
    threads.emplace_back([this, &role] {
      try {
        role->drive();
      } catch (const std::exception& error) {
        state_.fail(role->name() + ": " + error.what());
      }
    });
  for (std::thread& thread : threads) thread.join();
  end_ns_ = monotonic_ns();
  return state_.failure;
}

RunResult LoadRun::result(size_t number) {
  Role& role = *roles_[number];
  RoleResult taken = role.take_result();
  RunResult result;
  result.name = role.name();
  result.background = role.background();
  result.messages = taken.messages;
  result.bytes = taken.bytes;
  result.seconds = (double)((taken.end_ns ? taken.end_ns : end_ns_) - start_ns_) / 1e9;
  result.latency = summarize(std::move(taken.latencies_ns));
  return result;
}

}  // namespace slipstream::load
