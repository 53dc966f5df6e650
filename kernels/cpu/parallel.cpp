// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/parallel.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "engine/core/threads.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kMostThreads = 256;
// a thread that the system holds up leaves the rest of its share to others
constexpr int64_t kChunksEach = 8;

void relax() {
#if defined(__SSE2__)
  _mm_pause();
#endif
}

// Waking a thread takes longer than most kernels, so threads first spin for their next job. A thread that finds itself
// interrupted shares its processor with others, and sleeps at once the next times.
class Patience {
 public:
  template <class F>
  bool wait(const F& done) {
    if (hurried_ > 0) {
      --hurried_;
      return done();
    }
    const auto start = Clock::now();
    for (auto before = start;;) {
      for (int i = 0; i < 64; ++i) {
        if (done()) return true;
        relax();
      }
      const auto now = Clock::now();
      if (now - before > kInterrupted) {
        hurried_ = kHurried;
        return done();
      }
      if (now - start > kSpin) return false;
      before = now;
    }
  }

  using Clock = std::chrono::steady_clock;
  static constexpr auto kSpin = std::chrono::microseconds(1000), kInterrupted = std::chrono::microseconds(300);

 private:
  static constexpr int kHurried = 100;
  int hurried_ = 0;
};

// Work is cut into chunks, of which every thread owns a run; who is done with its own takes from the others. The caller
// needs nobody: it waits only for chunks that somebody has begun. A claim is one exchange of a word that names the job,
// so that a thread which comes late finds nothing to take.
class Pool {
 public:
  // Whether the processors are so busy that helpers would hold the caller up. Asked again ever more rarely.
  bool crowded() const { return alone_.count() > 0 && Patience::Clock::now() < alone_until_; }

  void run(int64_t n, int64_t chunks, int64_t team, void (*body)(const void*, int64_t, int64_t), const void* context) {
    grow(team - 1);
    body_ = body;
    context_ = context;
    items_ = n;
    chunks_ = chunks;
    team_.store(static_cast<int>(team), std::memory_order_relaxed);
    left_.store(static_cast<int>(chunks), std::memory_order_relaxed);
    const uint32_t job = job_.load(std::memory_order_relaxed) + 1;
    for (int64_t i = 0; i < team; ++i)
      lanes_[static_cast<size_t>(i)].word.store(
          Claim{job, static_cast<uint16_t>(chunks * i / team), static_cast<uint16_t>(chunks * (i + 1) / team)}.word(),
          std::memory_order_relaxed);
    job_.store(job, std::memory_order_seq_cst);
    job_.notify_all();
    work(job, 0, static_cast<int>(team));
    const auto done = [&] { return left_.load(std::memory_order_acquire) == 0; };
    if (patience_.wait(done)) return settle(false);
    const auto began = Patience::Clock::now();
    const double worked = cpu_seconds();
    for (int now = left_.load(std::memory_order_acquire); now != 0; now = left_.load(std::memory_order_acquire))
      left_.wait(now, std::memory_order_acquire);
    // Somebody still had work to do: were our threads running meanwhile?
    const std::chrono::duration<double> waited = Patience::Clock::now() - began;
    settle(waited > Patience::kInterrupted && cpu_seconds() - worked < 0.7 * waited.count());
  }
  std::mutex& in_use() { return in_use_; }

 private:
  struct Claim {
    uint32_t job;
    uint16_t next, end;
    uint64_t word() const { return uint64_t{job} << 32 | uint64_t{end} << 16 | next; }
    static Claim of(uint64_t w) {
      return {static_cast<uint32_t>(w >> 32), static_cast<uint16_t>(w), static_cast<uint16_t>(w >> 16)};
    }
  };
  struct alignas(64) Lane {
    std::atomic<uint64_t> word{0};
  };

  void work(uint32_t job, int me, int team) {
    for (int i = 0; i < team; ++i) empty(job, lanes_[static_cast<size_t>((me + i) % team)]);
  }

  void empty(uint32_t job, Lane& lane) {
    uint64_t word = lane.word.load(std::memory_order_acquire);
    for (;;) {
      const Claim c = Claim::of(word);
      if (c.job != job || c.next >= c.end) return;
      if (!lane.word.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel)) continue;
      {
        const FlushDenormals flush;
        body_(context_, items_ * c.next / chunks_, items_ * (c.next + 1) / chunks_);
      }
      if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) left_.notify_one();
      word = lane.word.load(std::memory_order_acquire);
    }
  }

  // Threads are made when they are first wanted and sleep when there is nothing to do. Fewer than wanted will do.
  void grow(int64_t wanted) {
    try {
      for (; workers_ < wanted; ++workers_)
        std::thread([this, me = static_cast<int>(workers_) + 1] { serve(me); }).detach();
    } catch (const std::system_error&) {
      return;
    }
  }

  static double cpu_seconds() {
    timespec t;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0
               ? static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec)
               : 0;
  }

  // After a region: each time that it was held up, the caller does without help for longer.
  void settle(bool held_up) {
    using namespace std::chrono_literals;
    if (held_up) {
      alone_ = std::clamp<std::chrono::milliseconds>(alone_ * 2, 4ms, 256ms);
      alone_until_ = Patience::Clock::now() + alone_;
      trial_left_ = kTrial;
    } else if (alone_.count() > 0 && --trial_left_ <= 0) {
      alone_ = {};
    }
  }

  void serve(int me);

  std::mutex in_use_;
  void (*body_)(const void*, int64_t, int64_t) = nullptr;
  const void* context_ = nullptr;
  int64_t items_ = 0, chunks_ = 0, workers_ = 0;
  Patience patience_;                              // the caller's; one at a time
  static constexpr int kTrial = 64;                // regions with help that show that all is well
  int trial_left_ = 0;
  std::chrono::milliseconds alone_{};              // how long the caller went without help the last time
  Patience::Clock::time_point alone_until_;
  alignas(64) std::atomic<uint32_t> job_{0};
  std::atomic<int> team_{0};
  alignas(64) std::atomic<int> left_{0};
  std::array<Lane, kMostThreads> lanes_;
};

thread_local bool inside = false;                  // of a parallel region: what begins here runs on this thread alone

void Pool::serve(int me) {
  inside = true;
  uint32_t seen = 0;
  Patience patience;
  for (;;) {
    const auto news = [&] { return job_.load(std::memory_order_acquire) != seen; };
    if (!patience.wait(news)) job_.wait(seen, std::memory_order_acquire);
    seen = job_.load(std::memory_order_acquire);
    const int team = team_.load(std::memory_order_relaxed);
    if (me < team) work(seen, me, team);
  }
}

Pool& pool() {
  static Pool* const one = new Pool;               // its threads may outlive everything else
  return *one;
}

}  // namespace

void parallel_range(int64_t n, int64_t grain, void (*body)(const void*, int64_t, int64_t), const void* context) {
  if (n <= 0) return;
  const int64_t pieces = (n + grain - 1) / std::max<int64_t>(grain, 1);
  const int64_t team = std::min<int64_t>({threads(), pieces, kMostThreads});
  if (team > 1 && !inside) {
    Pool& p = pool();
    // A second caller at the same time works alone: there are never more threads than were asked for.
    if (const std::unique_lock<std::mutex> lock(p.in_use(), std::try_to_lock); lock.owns_lock() && !p.crowded()) {
      inside = true;
      p.run(n, std::min(pieces, team * kChunksEach), team, body, context);
      inside = false;
      return;
    }
  }
  const FlushDenormals flush;
  body(context, 0, n);
}

float* thread_buffer(size_t count) {
  struct Buffer {
    float* data = nullptr;
    size_t count = 0;
    ~Buffer() { std::free(data); }
  };
  thread_local Buffer b;
  if (b.count < count) {
    const size_t bytes = (count * sizeof(float) + 4095) / 4096 * 4096;
    std::free(b.data);
    b.count = 0;
    b.data = static_cast<float*>(std::aligned_alloc(64, bytes));
    if (!b.data) throw std::bad_alloc();
    b.count = bytes / sizeof(float);
  }
  return b.data;
}

#if defined(__SSE2__)
FlushDenormals::FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040u); }   // FTZ and DAZ
FlushDenormals::~FlushDenormals() { _mm_setcsr(before_); }
#else
FlushDenormals::FlushDenormals() : before_(0) {}
FlushDenormals::~FlushDenormals() { (void)before_; }
#endif

}  // namespace fovea::kernels::cpu
