// SPDX-License-Identifier: Apache-2.0
#include "bench/machine.h"

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>
#include <utility>

#include "bench/loops.h"
#include "engine/core/error.h"
#include "engine/core/threads.h"

namespace fovea::bench {
namespace {

// Many short runs, of which the best one counts: some are not interrupted by others who want the processor too.
constexpr int kRepeats = 40, kTurns = 8, kMostTurns = 60;
constexpr double kSeconds = 0.002;
constexpr double kClose = 0.98;                    // to the best: as good
constexpr int64_t kSmallest = 32 << 10, kLargest = 256 << 20;

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// body(thread) on every thread at once; how long until the last was done.
template <class Body>
double together(int count, const Body& body) {
  std::barrier start(count);
  std::vector<Clock::time_point> began(static_cast<size_t>(count)), ended(began);
  const auto run = [&](int t) {
    start.arrive_and_wait();
    began[static_cast<size_t>(t)] = Clock::now();
    body(t);
    ended[static_cast<size_t>(t)] = Clock::now();
  };
  std::vector<std::thread> others;
  for (int t = 1; t < count; ++t) others.emplace_back(run, t);
  run(0);
  for (std::thread& t : others) t.join();
  return std::chrono::duration<double>(*std::max_element(ended.begin(), ended.end()) -
                                       *std::min_element(began.begin(), began.end()))
      .count();
}

// Keeps results of loops, so that these are not optimised away.
thread_local volatile float float_sink;
thread_local volatile uint64_t word_sink;

// How many rounds of a loop take about kSeconds.
int64_t rounds_of(const Loop& loop) {
  for (int64_t rounds = 1 << 10;; rounds *= 2) {
    const Clock::time_point start = Clock::now();
    float_sink = loop.run(rounds);
    if (seconds_since(start) > kSeconds) return rounds;
  }
}

// All instruction sets by turns, so that nobody else's work falls on one of them alone; again until all have settled.
std::vector<Peak> measure_peaks(int count, Progress& progress) {
  struct Tries {
    const Loop* loop;
    int64_t rounds;
    std::vector<double> flops;
  };
  std::vector<Tries> all;
  for (const Loop* loop : supported_loops()) all.push_back({loop, rounds_of(*loop), {}});
  for (int turn = 0; turn < kMostTurns; ++turn) {
    std::vector<Peak> peaks;
    for (Tries& t : all) {
      for (int i = 0; i < kRepeats / kTurns; ++i) {
        const double seconds = together(count, [&](int) { float_sink = t.loop->run(t.rounds); });
        t.flops.push_back(t.loop->flops * static_cast<double>(t.rounds) * count / seconds);
      }
      peaks.push_back(peak_of(t.loop->name, t.loop->dtype, t.flops));
    }
    progress.show(str_cat("measuring the machine: peaks, turn ", turn + 1));
    order_peaks(peaks);
    const bool settled = std::all_of(peaks.begin(), peaks.end(), [](const Peak& p) { return p.settled; });
    if (turn + 1 >= kTurns && (settled || turn + 1 == kMostTurns)) return peaks;
  }
  return {};
}

struct Free {
  void operator()(std::byte* p) const { std::free(p); }
};

// Every thread has its own part of `total` bytes, and wrote it first.
Bandwidth measure_bandwidth(int64_t total, int count) {
  const size_t part = static_cast<size_t>(total / count) / 512 * 512;
  std::vector<std::unique_ptr<std::byte, Free>> parts;
  for (int t = 0; t < count; ++t) {
    parts.emplace_back(static_cast<std::byte*>(std::aligned_alloc(4096, (part + 4095) / 4096 * 4096)));
    if (!parts.back()) throw std::bad_alloc();
  }
  const auto data = [&](int t) { return parts[static_cast<size_t>(t)].get(); };
  const auto read = [&](int t) { word_sink = read_all(data(t), part); };
  const auto copy = [&](int t) {
    std::memcpy(data(t) + part / 2, data(t), part / 2);
    word_sink = static_cast<uint64_t>(data(t)[part - 1]);
  };
  for (int t = 0; t < count; ++t) std::memset(data(t), 1, part);
  const auto rate = [&](const auto& pass) {
    Clock::time_point start = Clock::now();
    pass(0);
    start = Clock::now();
    pass(0);
    const int passes = std::clamp(static_cast<int>(kSeconds / std::max(seconds_since(start), 1e-9)), 1, 1 << 20);
    const auto all_passes = [&](int t) {
      for (int i = 0; i < passes; ++i) pass(t);
    };
    double best = 0;
    for (int i = 0; i < kRepeats; ++i)
      best = std::max(best, static_cast<double>(part) * count * passes / together(count, all_passes));
    return best;
  };
  return {static_cast<int64_t>(part) * count, rate(read), rate(copy)};
}

std::string trimmed(std::string_view s) {
  const size_t first = s.find_first_not_of(" \t");
  return first == std::string_view::npos ? std::string() : std::string(s.substr(first));
}

bool decides_about_kernels(const std::string& flag) {
  for (const std::string_view start : {"avx", "amx", "fma", "sse2", "f16c"})
    if (flag.starts_with(start)) return true;
  return false;
}

}  // namespace

const Peak* Machine::roof(DType t) const {
  for (const DType wanted : {t == DType::u8 ? DType::i8 : t, DType::f32}) {
    const Peak* widest = nullptr;
    for (const Peak& p : peaks)
      if (p.dtype == wanted) widest = &p;
    if (widest) return widest;
  }
  return nullptr;
}

double Machine::peak(DType t) const {
  const Peak* p = roof(t);
  return p ? p->flops : 0;
}

double Machine::bandwidth(int64_t bytes) const {
  for (const Bandwidth& b : bandwidths)
    if (bytes <= b.bytes) return b.best();
  return bandwidths.empty() ? 0 : bandwidths.back().best();
}

double Machine::least_seconds(const StepInfo& step) const {
  if (!measured()) return 0;
  const DType t = step.in.empty() ? DType::f32 : step.in[0].dtype;
  return std::max(static_cast<double>(step.flops) / peak(t), static_cast<double>(step.bytes) / bandwidth(step.bytes));
}

Machine this_machine() {
  Machine m;
  m.processors = static_cast<int>(std::thread::hardware_concurrency());
  m.threads = threads();
  for (const Loop* loop : supported_loops())
    if (loop->dtype == DType::f32) m.isa = loop->name;
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line) && !line.empty();) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (line.starts_with("model name")) m.cpu = trimmed(std::string_view(line).substr(colon + 1));
    if (!line.starts_with("flags")) continue;
    std::istringstream flags(line.substr(colon + 1));
    for (std::string flag; flags >> flag;)
      if (decides_about_kernels(flag)) m.features.push_back(flag);
  }
  if (m.cpu.empty()) m.cpu = "unknown processor";
  return m;
}

Peak peak_of(std::string name, DType t, std::vector<double> tries) {
  std::sort(tries.rbegin(), tries.rend());
  const bool settled = tries.size() > 2 && tries[2] > kClose * tries[0];
  return {std::move(name), t, tries.empty() ? 0 : tries[0], settled};
}

void order_peaks(std::vector<Peak>& peaks) {
  for (size_t i = 0; i < peaks.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (peaks[j].dtype == peaks[i].dtype && peaks[i].flops < peaks[j].flops) {
        peaks[i].settled = peaks[i].settled && peaks[i].flops > kClose * peaks[j].flops;
        peaks[i].flops = peaks[j].flops;
      }
}

void measure(Machine& m, Progress& progress) {
  m.threads = threads();
  m.bandwidths.clear();
  m.peaks = measure_peaks(m.threads, progress);
  for (int64_t bytes = kSmallest * m.threads; bytes <= std::max(kLargest, kSmallest * m.threads); bytes *= 4) {
    progress.show(str_cat("measuring the machine: ", bytes >> 10, " KiB"));
    m.bandwidths.push_back(measure_bandwidth(bytes, m.threads));
  }
  // A larger set is never faster: noise that says so would make a small step look better than it can be.
  for (size_t i = m.bandwidths.size(); i-- > 1;) {
    Bandwidth &smaller = m.bandwidths[i - 1], &larger = m.bandwidths[i];
    smaller.read = std::max(smaller.read, larger.read);
    smaller.copy = std::max(smaller.copy, larger.copy);
  }
}

}  // namespace fovea::bench
