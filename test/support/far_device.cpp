// SPDX-License-Identifier: Apache-2.0
#include "test/support/far_device.h"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include "engine/core/backend.h"
#include "engine/core/strided_copy.h"
#include "engine/ops/ops.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace fovea::test {
namespace {

constexpr int kDevices = 3, kStreams = 4;
constexpr size_t kReserved = size_t{32} << 30;  // addresses of a device; memory is used where bytes are written only
constexpr auto kPoison = std::byte{0xFF};

struct Counters {
  std::atomic<int64_t> kernels{0}, uploads{0}, downloads{0}, copies{0}, fills{0}, allocations{0}, events{0}, packed{0},
      waits{0}, live_bytes{0};
};
Counters& counters() {
  static Counters one;
  return one;
}

// One piece of work after the other, on a thread of its own. Up to `ahead_` pieces lie there until somebody wants what
// is behind them; that number is drawn anew again and again.
class Queue {
 public:
  explicit Queue(uint64_t seed) : random_(seed) {
    std::thread([this] { work(); }).detach();  // as long as the process: Storages may outlive everything else
  }

  uint64_t add(std::function<void()> f) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(f));
    changed_.notify_all();
    return ++added_;
  }

  uint64_t added() {
    const std::lock_guard lock(mutex_);
    return added_;
  }

  // Returns when the first `count` pieces are done; what went wrong in them is the caller's now if it wants errors.
  void wait(uint64_t count, bool wants_errors) {
    std::unique_lock lock(mutex_);
    wanted_ = std::max(wanted_, count);
    changed_.notify_all();
    changed_.wait(lock, [&] { return done_ >= count; });
    if (wants_errors && error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return !waiting_.empty() && (wanted_ > done_ || waiting_.size() > ahead_); });
      const std::function<void()> f = std::move(waiting_.front());
      waiting_.pop_front();
      ahead_ = random_() % 24;
      const bool slow = random_() % 64 == 0;
      lock.unlock();
      if (slow) std::this_thread::sleep_for(std::chrono::microseconds(100));
      std::exception_ptr error;
      try {
        f();
      } catch (...) { error = std::current_exception(); }
      lock.lock();
      ++done_;
      if (error && !error_) error_ = error;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> waiting_;
  uint64_t added_ = 0, done_ = 0, wanted_ = 0;
  size_t ahead_ = 4;
  std::mt19937_64 random_;
  std::exception_ptr error_;
};

struct FarStream {
  Device device;
  Queue queue;
  std::map<size_t, std::vector<std::byte*>> free;  // by size: given back in this stream's order, so for it alone
  FarStream(Device d, uint64_t seed) : device(d), queue(seed) {}
};

FarStream& stream_of(const Stream& s) { return *static_cast<FarStream*>(s.handle); }

struct FarEvent {
  FarStream* stream;
  uint64_t count;
};

class FarMemory {
 public:
  explicit FarMemory(int device) {
    for (int n = 0; n < kStreams; ++n)
      streams_[static_cast<size_t>(n)] =
          new FarStream({Device::Kind::far, static_cast<int8_t>(device)}, static_cast<uint64_t>(device * kStreams + n));
    reserved_ = map(PROT_NONE);
    bytes_ = map(PROT_READ | PROT_WRITE);
  }
  FarStream& stream(int n) const { return *streams_[static_cast<size_t>(n)]; }
  bool holds(const std::byte* p) const { return p >= reserved_ && p < reserved_ + kReserved; }
  std::byte* seen(const std::byte* p) const { return bytes_ + (p - reserved_); }

  std::byte* take(size_t size, FarStream& s) {
    const std::lock_guard lock(mutex_);
    if (std::vector<std::byte*>& known = s.free[size]; !known.empty()) {
      std::byte* const p = known.back();
      known.pop_back();
      return p;
    }
    if (size > kReserved - used_)
      throw Error(Error::Kind::unsupported, str_cat("no memory for ", size, " bytes on ", s.device));
    std::byte* const p = reserved_ + used_;
    used_ += size;
    return p;
  }
  void give_back(std::byte* p, size_t size, FarStream& s) {
    const std::lock_guard lock(mutex_);
    s.free[size].push_back(p);
  }

 private:
  static std::byte* map(int rights) {
    void* p = ::mmap(nullptr, kReserved, rights, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw Error(Error::Kind::unsupported, "no addresses for a far device");
    return static_cast<std::byte*>(p);
  }
  std::array<FarStream*, kStreams> streams_{};
  std::byte *reserved_ = nullptr, *bytes_ = nullptr;
  size_t used_ = 0;
  std::mutex mutex_;
};

FarMemory& memory_of(int device) {
  static FarMemory* const all[kDevices] = {new FarMemory(0), new FarMemory(1), new FarMemory(2)};
  return *all[device];
}
FarMemory& memory_of(Device d) { return memory_of(d.index); }

// Where queued work finds what the engine names by an address of a far device.
template <class Byte>
Byte* seen(Byte* p) {
  if (!p) return nullptr;
  for (int d = 0; d < kDevices; ++d)
    if (memory_of(d).holds(p)) return memory_of(d).seen(p);
  throw Error(Error::Kind::internal, "a far device was given an address of the host");
}

class FarRuntime final : public Runtime {
 public:
  int devices() const override { return kDevices; }

  Stream stream(Device d, int number) const override {
    if (number < 0 || number >= kStreams)
      throw Error(Error::Kind::argument, str_cat("stream ", number, " of ", d, ", which has ", kStreams));
    return {d, &memory_of(d).stream(number)};
  }

  std::shared_ptr<Storage> allocate(size_t bytes, const Stream& s) const override {
    FarStream& home = stream_of(s);
    FarMemory& memory = memory_of(s.device);
    const size_t size = (std::max<size_t>(bytes, 1) + 255) / 256 * 256;
    auto storage = std::make_shared<Storage>();
    storage->data = memory.take(size, home);
    storage->bytes = bytes;
    storage->device = s.device;
    storage->stream = s.handle;
    poison(storage->data, size, bytes, home);
    ++counters().allocations;
    counters().live_bytes += static_cast<int64_t>(size);
    storage->keep = std::shared_ptr<void>(storage->data, [size, &home, &memory](void* p) {
      counters().live_bytes -= static_cast<int64_t>(size);
      poison(static_cast<std::byte*>(p), size, 0, home);
      memory.give_back(static_cast<std::byte*>(p), size, home);
    });
    return storage;
  }

  void upload(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const override {
    ++counters().uploads;
    std::byte* const target = seen(to);
    stream_of(s).queue.add([target, copy = std::vector<std::byte>(from, from + bytes)] {
      if (!copy.empty()) std::memcpy(target, copy.data(), copy.size());
    });
  }
  void download(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const override {
    ++counters().downloads;
    const std::byte* const source = seen(from);
    std::memset(to, static_cast<int>(kPoison), bytes);
    stream_of(s).queue.add([=] { std::memcpy(to, source, bytes); });
  }
  void copy(std::byte* to, const std::byte* from, size_t bytes, const Stream& s) const override {
    ++counters().copies;
    std::byte* const target = seen(to);
    const std::byte* const source = seen(from);
    stream_of(s).queue.add([=] { std::memmove(target, source, bytes); });
  }
  void fill(std::byte* to, const void* element, size_t size, int64_t count, const Stream& s) const override {
    ++counters().fills;
    std::array<std::byte, 8> value{};
    std::memcpy(value.data(), element, size);
    std::byte* const target = seen(to);
    stream_of(s).queue.add([=] {
      for (int64_t i = 0; i < count; ++i) std::memcpy(target + i * static_cast<int64_t>(size), value.data(), size);
    });
  }

  Event record(const Stream& s) const override {
    ++counters().events;
    FarStream& stream = stream_of(s);
    return std::make_shared<FarEvent>(FarEvent{&stream, stream.queue.added()});
  }
  void wait(const Stream& s, const Event& e) const override {
    if (!e) return;
    stream_of(s).queue.add(
        [event = *static_cast<const FarEvent*>(e.get())] { event.stream->queue.wait(event.count, false); });
  }
  void wait(const Event& e) const override {
    if (!e) return;
    ++counters().waits;
    const auto& event = *static_cast<const FarEvent*>(e.get());
    event.stream->queue.wait(event.count, true);
  }

 private:
  // Of `size` bytes the first `usable` may be touched; AddressSanitizer tells of the others.
  static void poison(std::byte* p, size_t size, size_t usable, FarStream& s) {
    std::byte* const target = seen(p);
    s.queue.add([=] {
      allow(target, size);
      std::memset(target, static_cast<int>(kPoison), size);
      forbid(target + usable, size - usable);
    });
  }
  static void allow(std::byte* p, size_t size) {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(p, size);
#else
    (void)p, (void)size;
#endif
  }
  static void forbid(std::byte* p, size_t size) {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_POISON_MEMORY_REGION(p, size);
#else
    (void)p, (void)size;
#endif
  }
};
const FarRuntime runtime;

FarKernels& kernels_of(Device d) {
  static FarKernels all[kDevices];
  return all[d.index];
}

const Backend& ref() {
  for (const Backend* b : backends())
    if (std::string_view(b->name) == "ref") return *b;
  throw Error(Error::Kind::internal, "there is no backend 'ref'");
}

// Weights of convolutions and products are kept with every bit turned, so that whoever forgets to pack them, or takes
// those of another plan, sees it.
void turn(const std::byte* from, std::byte* to, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) to[i] = ~from[i];
}

class FarPlan final : public Plan {
 public:
  FarPlan(PlanPtr inner, const Site& s, void* queue)
      : inner_(std::move(inner)), inputs_(s.in.size()), outputs_(s.out.size()), queue_(queue) {
    name = "far:" + inner_->name;
    scratch = inner_->scratch;
    if (&s.op == &ops::copy) {                     // reads through scratch, so that there is a copy that wants some
      through_ = static_cast<size_t>(span_of(s.operand(0))) * size_of(s.operand(0).dtype);
      scratch += through_;
    }
    if (s.op.takes_weights() && s.is_constant(1) && s.operand(1).is_contiguous())
      weights_ = static_cast<size_t>(s.operand(1).bytes());
  }
  size_t packed_bytes(int operand) const override { return operand == 1 ? weights_ : 0; }
  void pack(int, const std::byte* in, std::byte* out) const override {
    ++counters().packed;
    turn(in, out, weights_);
  }

  void run(const Args& a, Stream& s) const override {
    ++counters().kernels;
    std::vector<const std::byte*> in(inputs_);
    std::vector<std::byte*> out(outputs_);
    for (size_t i = 0; i < in.size(); ++i) in[i] = seen(a.in[i]);
    for (size_t i = 0; i < out.size(); ++i) out[i] = seen(a.out[i]);
    stream_of(s).queue.add(
        [plan = inner_, weights = weights_, through = through_, in = std::move(in), out = std::move(out),
         scratch = seen(a.scratch), queue = queue_]() {
          std::vector<const std::byte*> operands = in;
          if (through) {
            std::memcpy(scratch + plan->scratch, in[0], through);
            operands[0] = scratch + plan->scratch;
          }
          std::vector<std::byte> plain(weights);
          if (weights) {
            turn(in[1], plain.data(), weights);
            operands[1] = plain.data();
          }
          Stream at_work{{}, queue};
          plan->run({operands.data(), out.data(), scratch}, at_work);
        });
  }

 private:
  PlanPtr inner_;
  size_t inputs_, outputs_, weights_ = 0, through_ = 0;
  void* queue_;
};

PlanPtr plan(const Site& s) {
  const FarKernels& own = kernels_of(s.result().device);
  if (own.plan)
    if (PlanPtr p = own.plan(s)) return std::make_shared<FarPlan>(std::move(p), s, own.queue);
  for (const std::span<const Kernel>& table : ref().kernels())
    for (const Kernel& k : table)
      if (k.op == &s.op)
        if (PlanPtr p = k.plan(s)) return std::make_shared<FarPlan>(std::move(p), s, nullptr);
  return nullptr;
}

bool accepts(const Site&, const Epilogue&) { return true; }

// A row for each op of ref.
const std::vector<Kernel>& table() {
  static const std::vector<Kernel> rows = [] {
    std::vector<Kernel> all;
    for (const std::span<const Kernel>& part : ref().kernels())
      for (const Kernel& k : part) all.push_back({k.op, plan, k.op->epilogue.at >= 0 ? accepts : nullptr});
    return all;
  }();
  return rows;
}
std::vector<std::span<const Kernel>> kernels() { return {table()}; }

void convert(const Meta& from, const std::byte* source, const Meta& to, std::byte* target, Stream& s) {
  ++counters().kernels;
  stream_of(s).queue.add([=, source = seen(source), target = seen(target), own = kernels_of(s.device)] {
    Stream at_work{{}, own.queue};
    own.convert ? own.convert(from, source, to, target, at_work) : copy_strided(from, source, to, target);
  });
}

constexpr Backend backend_far{
    .name = "far", .device = Device::Kind::far, .runtime = &runtime, .kernels = kernels, .rank = 0, .convert = convert};

}  // namespace

void add_far_devices() {
  static const bool added = [] {
    memory_of(0), memory_of(1), memory_of(2);
    add_backend(backend_far);
    return true;
  }();
  (void)added;
}

void use_kernels(int device, const FarKernels& k) {
  kernels_of({Device::Kind::far, static_cast<int8_t>(device)}) = k;
}

FarWork far_work() {
  const Counters& c = counters();
  return {c.kernels,     c.uploads, c.downloads, c.copies, c.fills,
          c.allocations, c.events,  c.packed,    c.waits,  c.live_bytes};
}

}  // namespace fovea::test
