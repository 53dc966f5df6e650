// SPDX-License-Identifier: Apache-2.0
#include "test/support/simt.h"

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "engine/core/error.h"
#include "kernels/cuda/device/bodies.h"
#include "test/support/fibers.h"

namespace fovea::test {
namespace {

using Body = void (*)(const SimtThread&, const void*);

Fiber& fiber(size_t i) {                           // of this thread: they are used again and again
  thread_local std::vector<std::unique_ptr<Fiber>> all;
  while (all.size() <= i) all.push_back(std::make_unique<Fiber>());
  return *all[i];
}

}  // namespace

// The threads of one block, and where they wait.
class SimtBlock {
 public:
  SimtBlock(Body body, const void* params, const SimtLaunch& l, int64_t block, std::mt19937_64& random)
      : body_(body), params_(params), launch_(l), block_(block), random_(random),
        shared_(std::make_unique<std::byte[]>(std::max<size_t>(l.shared, 1))) {
    std::memset(shared_.get(), 0xFF, l.shared);
  }

  void run() { launch_.meets ? run_fibers() : run_one_by_one(); }

  const SimtLaunch& launch() const { return launch_; }
  int64_t block() const { return block_; }
  std::byte* shared() const { return shared_.get(); }

  void meet(int thread, int whom) {
    if (!launch_.meets) throw Error(Error::Kind::internal, "a kernel whose threads never meet called one that meets");
    Lane& me = lanes_[static_cast<size_t>(thread)];
    me.waits = whom;
    fiber(static_cast<size_t>(thread)).give_way();
    if (stopping_) throw Stopped{};
  }

  // What lane `from` of the thread's warp brought to this meeting. Two sets of places take turns: whoever is at the
  // next meeting but one knows that all have read this one.
  const void* exchange(int thread, const void* mine, size_t bytes, int from) {
    Lane& me = lanes_[static_cast<size_t>(thread)];
    const int turn = me.turn ^= 1, first = thread / cuda::kWarp * cuda::kWarp;
    if (from < 0 || from >= cuda::kWarp) throw Error(Error::Kind::internal, str_cat("a warp has no lane ", from));
    std::memcpy(me.brought[turn].data(), mine, bytes);
    meet(thread, kItsWarp);
    return lanes_[static_cast<size_t>(first + from)].brought[turn].data();
  }

  static constexpr int kNobody = 0, kItsWarp = 1, kItsBlock = 2;

 private:
  struct Stopped {};
  struct Lane {
    SimtBlock* home = nullptr;
    int thread = 0, waits = kNobody, turn = 0;
    bool ended = false;
    std::array<std::array<std::byte, 16>, 2> brought;
  };

  void run_one_by_one() {
    std::vector<int> order(static_cast<size_t>(launch_.threads));
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    for (int i : order) body_(SimtThread(*this, i), params_);
  }

  void run_fibers() {
    lanes_.resize(static_cast<size_t>(launch_.threads));
    std::vector<int> ready(lanes_.size());
    std::iota(ready.begin(), ready.end(), 0);
    for (int i : ready) lanes_[static_cast<size_t>(i)].home = this, lanes_[static_cast<size_t>(i)].thread = i;
    std::vector<bool> begun(lanes_.size());
    while (!ready.empty()) {
      std::swap(ready[random_() % ready.size()], ready.back());
      const auto i = static_cast<size_t>(ready.back());
      ready.pop_back();
      Fiber& f = fiber(i);
      if (begun[i]) f.resume();
      else f.begin(enter, &lanes_[i]);
      begun[i] = true;
      if (f.error()) {
        const std::exception_ptr error = f.error();
        stop();
        std::rethrow_exception(error);
      }
      lanes_[i].ended = f.ended();
      release(static_cast<int>(i), ready);
    }
    const auto left = std::count_if(lanes_.begin(), lanes_.end(), [](const Lane& l) { return !l.ended; });
    if (left == 0) return;
    stop();
    throw Error(Error::Kind::internal, str_cat(left, " of ", launch_.threads, " threads of block ", block_,
                                               " wait for others, which ended or wait elsewhere"));
  }

  static void enter(void* lane) {
    auto* l = static_cast<Lane*>(lane);
    l->home->body_(SimtThread(*l->home, l->thread), l->home->params_);
  }

  // Lets those go on whom thread i made complete.
  void release(int i, std::vector<int>& ready) {
    const int whom = lanes_[static_cast<size_t>(i)].waits;
    if (whom == kNobody) return;
    const int first = whom == kItsWarp ? i / cuda::kWarp * cuda::kWarp : 0;
    const int end = whom == kItsWarp ? std::min(first + cuda::kWarp, launch_.threads) : launch_.threads;
    for (int k = first; k < end; ++k)
      if (lanes_[static_cast<size_t>(k)].waits != whom) return;
    for (int k = first; k < end; ++k) {
      lanes_[static_cast<size_t>(k)].waits = kNobody;
      ready.push_back(k);
    }
  }

  // Those that stand in their middle are ended by what their meetings throw.
  void stop() {
    stopping_ = true;
    for (size_t i = 0; i < lanes_.size(); ++i)
      while (!fiber(i).ended()) fiber(i).resume();
  }

  Body body_;
  const void* params_;
  const SimtLaunch& launch_;
  int64_t block_;
  std::mt19937_64& random_;
  std::unique_ptr<std::byte[]> shared_;
  std::vector<Lane> lanes_;
  bool stopping_ = false;
};

namespace {

struct Kernel {
  Body run;
  bool meets;
};
constexpr Kernel kKernels[] = {
#define FOVEA_KERNEL_MEETS(meets, params, ...)                                 \
  {[](const SimtThread& t, const void* p) {                                    \
     using namespace cuda;                                                     \
     __VA_ARGS__(t, *static_cast<const cuda::params*>(p));                     \
   },                                                                          \
   meets},
#define FOVEA_KERNEL(name, params, ...) FOVEA_KERNEL_MEETS(false, params, __VA_ARGS__)
#define FOVEA_BLOCK_KERNEL(name, params, ...) FOVEA_KERNEL_MEETS(true, params, __VA_ARGS__)
#include "kernels/cuda/device/kernels.inc"
#undef FOVEA_BLOCK_KERNEL
#undef FOVEA_KERNEL
#undef FOVEA_KERNEL_MEETS
};

}  // namespace

int64_t SimtThread::block() const { return home_.block(); }
int64_t SimtThread::blocks() const { return home_.launch().blocks; }
int64_t SimtThread::threads() const { return home_.launch().threads; }
void SimtThread::sync() const { home_.meet(thread_, SimtBlock::kItsBlock); }
const void* SimtThread::exchange(const void* mine, size_t bytes, int lane) const {
  return home_.exchange(thread_, mine, bytes, lane);
}
std::byte* SimtThread::lent() const { return home_.shared(); }
void SimtThread::fail(cuda::Failure f) const {
  throw Error(Error::Kind::argument, f == cuda::Failure::division_by_zero
                                         ? "an integer is divided by zero"
                                         : "an index is outside the dimension that it chooses from");
}

void run_simt(Body body, const void* params, const SimtLaunch& l) {
  if (l.threads < 1 || l.threads > 1024 || (l.meets && l.threads % cuda::kWarp != 0))
    throw Error(Error::Kind::internal, str_cat("a block of ", l.threads, " threads"));
  std::mt19937_64 random(l.seed);
  std::vector<int64_t> order(static_cast<size_t>(l.blocks));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::shuffle(order.begin(), order.end(), random);
  for (int64_t block : order) SimtBlock(body, params, l, block, random).run();
}

void run_simt(const cuda::Launch& l, const void* params, uint64_t seed) {
  const Kernel& k = kKernels[static_cast<size_t>(l.kernel)];
  run_simt(k.run, params, {l.blocks, static_cast<int>(l.threads), l.shared, k.meets, seed});
}

}  // namespace fovea::test
