// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/threads/parallel.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/threads.h"
#include "engine/core/watch.h"
#include "kernels/cpu/isa/modes.h"

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kMostThreads = 256;
thread_local int thread_number = 0;                // of the pool's threads: 1, 2, ...
// a thread that the system holds up leaves the rest of its share to others
constexpr int64_t kChunksEach = 8;

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

// Threads of the whole machine that run or want to, this one among them; 0 if the system does not say.
int64_t runnable() {
  static const int file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
  char text[128];                                  // three averages, then "3/95": so many of all
  const ssize_t n = file < 0 ? 0 : pread(file, text, sizeof text - 1, 0);
  text[std::max<ssize_t>(n, 0)] = 0;
  int count = 0;
  return std::sscanf(text, "%*s %*s %*s %d", &count) == 1 ? count : 0;
}

// How many of them have a processor; who asks for a team of more than there are wants it nevertheless.
int64_t room(int64_t team) {
  static const int64_t processors = sysconf(_SC_NPROCESSORS_ONLN);
  return std::max(processors, team);
}

// Work is cut into chunks, of which every thread owns a run; who is done with its own takes from the others. The caller
// needs nobody: it waits only for chunks that somebody has begun. A claim is one exchange of a word that names the job,
// so that a thread which comes late finds nothing to take.
class Pool {
 public:
  // Whether others keep the processors so busy that a team is slower than the caller alone: it pays for waking helpers
  // that get no processor, and waits a time slice for one that loses it inside a chunk. Both, once noticed, mean that
  // the caller goes on alone until a look at the machine finds room for the team, or, should there be none to see,
  // until its time is up; that time doubles while going together fails again soon after.
  bool crowded(int64_t team) {
    const auto now = Patience::Clock::now();
    if (now >= look_) {
      look_ = now + kLook;
      if (now >= alone_until_) {
        const bool unaided = mine_ * team * 2 > all_ * (team + 1);   // helpers did not do half of their share
        mine_ = all_ = 0;
        if (unaided && runnable() > room(team)) go_alone(256);
      } else if (const int64_t all = runnable(); all > 0 && all - 1 + team <= room(team)) {
        alone_until_ = now;                        // our helpers sleep: all others have a processor
      }
    }
    return now < alone_until_;
  }

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
    mine_ += work(job, 0, static_cast<int>(team));
    all_ += chunks;
    wait_for_others(team);
    if (!thrown_) return;
    failed_.clear(std::memory_order_relaxed);
    std::rethrow_exception(std::exchange(thrown_, nullptr));
  }
  std::mutex& in_use() { return in_use_; }

 private:
  void wait_for_others(int64_t team) {
    const auto done = [&] { return left_.load(std::memory_order_acquire) == 0; };
    if (patience_.wait(done)) return;
    const auto began = Patience::Clock::now();
    const double worked = cpu_seconds();
    for (int now = left_.load(std::memory_order_acquire); now != 0; now = left_.load(std::memory_order_acquire))
      left_.wait(now, std::memory_order_acquire);
    // Somebody still had work to do: were our threads running meanwhile?
    const std::chrono::duration<double> waited = Patience::Clock::now() - began;
    if (waited > Patience::kInterrupted && cpu_seconds() - worked < 0.7 * waited.count())
      go_alone(runnable() > room(team) ? 256 : 4);
  }

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

  // Both return how many chunks this thread did.
  int64_t work(uint32_t job, int me, int team) {
    int64_t count = 0;
    for (int i = 0; i < team; ++i) count += empty(job, lanes_[static_cast<size_t>((me + i) % team)]);
    return count;
  }

  int64_t empty(uint32_t job, Lane& lane) {
    uint64_t word = lane.word.load(std::memory_order_acquire);
    for (int64_t count = 0;;) {
      const Claim c = Claim::of(word);
      if (c.job != job || c.next >= c.end) return count;
      if (!lane.word.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel)) continue;
      try {
        const WatchedPiece watched(thread_number);
        const FlushDenormals flush;
        body_(context_, items_ * c.next / chunks_, items_ * (c.next + 1) / chunks_);
      } catch (...) {
        if (!failed_.test_and_set(std::memory_order_relaxed)) thrown_ = std::current_exception();
      }
      ++count;
      if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) left_.notify_one();
      word = lane.word.load(std::memory_order_acquire);
    }
  }

  // Threads are made when they are first wanted and sleep when there is nothing to do. Fewer than wanted will do.
  void grow(int64_t wanted) {
    try {
      for (; workers_ < wanted; ++workers_)
        std::thread([this, me = static_cast<int>(workers_) + 1] { serve(me); }).detach();
    } catch (const std::exception&) {
      return;                                      // no thread, or no memory for one
    }
  }

  static double cpu_seconds() {
    timespec t;
    return clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0
               ? static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec)
               : 0;
  }

  void go_alone(int at_least_ms) {
    const auto now = Patience::Clock::now();
    if (now > alone_until_ + alone_) alone_ = {};  // all went well for as long
    alone_ = std::clamp(alone_ * 2, std::chrono::milliseconds(at_least_ms), std::chrono::milliseconds(2000));
    alone_until_ = now + alone_;
    look_ = now + kLook;
  }

  void serve(int me);

  std::mutex in_use_;
  void (*body_)(const void*, int64_t, int64_t) = nullptr;
  const void* context_ = nullptr;
  int64_t items_ = 0, chunks_ = 0, workers_ = 0;
  int64_t mine_ = 0, all_ = 0;                     // chunks done by the caller, and by the team, since the last look
  Patience patience_;                              // the caller's; one at a time
  std::chrono::milliseconds alone_{};              // how long the caller went without help the last time
  Patience::Clock::time_point alone_until_, look_;
  static constexpr auto kLook = std::chrono::milliseconds(2);   // longer than idle helpers spin
  alignas(64) std::atomic<uint32_t> job_{0};
  std::atomic<int> team_{0};
  alignas(64) std::atomic<int> left_{0};
  std::atomic_flag failed_;                        // a body has thrown: what the first one did is left to the caller
  std::exception_ptr thrown_;
  std::array<Lane, kMostThreads> lanes_;
};

thread_local bool inside = false;                  // of a parallel region: what begins here runs on this thread alone
struct Inside {
  Inside() { inside = true; }
  ~Inside() { inside = false; }
};

void Pool::serve(int me) {
  inside = true;
  thread_number = me;
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

int threads_here() { return inside ? 1 : threads(); }

void parallel_range(int64_t n, int64_t grain, void (*body)(const void*, int64_t, int64_t), const void* context) {
  if (n <= 0) return;
  const int64_t pieces = (n + grain - 1) / std::max<int64_t>(grain, 1);
  const int64_t team = std::min<int64_t>({threads_here(), pieces, kMostThreads});
  if (team > 1) {
    Pool& p = pool();
    // A second caller at the same time works alone: there are never more threads than were asked for.
    if (const std::unique_lock<std::mutex> lock(p.in_use(), std::try_to_lock); lock.owns_lock() && !p.crowded(team)) {
      const Inside here;
      return p.run(n, std::min(pieces, team * kChunksEach), team, body, context);
    }
  }
  const FlushDenormals flush;
  if (inside) return body(context, 0, n);          // part of a piece
  const WatchedPiece watched(thread_number);
  body(context, 0, n);
}

namespace {
struct Buffer {
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(data); }
  void grow(size_t wanted) {
    const size_t whole = (wanted + 4095) / 4096 * 4096;
    std::free(std::exchange(data, nullptr));
    bytes = 0;
    data = static_cast<std::byte*>(std::aligned_alloc(64, whole));
    if (!data) throw std::bad_alloc();
    bytes = whole;
  }
  std::byte* data = nullptr;
  size_t bytes = 0;
  bool taken = false;
};

Buffer& free_buffer() {
  constexpr size_t kMost = 16;                     // nested: kernels need three
  thread_local std::array<Buffer, kMost> buffers;
  for (Buffer& b : buffers)
    if (!b.taken) return b;
  throw Error(Error::Kind::internal, str_cat("more than ", kMost, " arrays lent by one thread at a time"));
}
}  // namespace

ThreadMemory::ThreadMemory(size_t bytes) {
  Buffer& b = free_buffer();
  if (bytes > b.bytes) b.grow(bytes);
  data_ = b.data;
  taken_ = &b.taken;
  b.taken = true;
}
ThreadMemory::~ThreadMemory() { *taken_ = false; }

FlushDenormals::FlushDenormals() : before_(flush_denormals()) {}
FlushDenormals::~FlushDenormals() { restore_denormals(before_); }

}  // namespace fovea::kernels::cpu
