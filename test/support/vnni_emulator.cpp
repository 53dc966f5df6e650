// SPDX-License-Identifier: Apache-2.0
#include "test/support/vnni_emulator.h"

#include <algorithm>
#include <ranges>
#include <span>
#include <string_view>

#if defined(__x86_64__)
#include <signal.h>
#include <ucontext.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "test/support/vex.h"

namespace fovea::test {
namespace {

using Vector = std::array<uint8_t, 32>;
std::atomic<long> count{0};
struct sigaction before;

// A register of 256 bits in what the system saved: its halves lie apart. Upper halves that are all zero may not have
// been saved at all.
class SavedRegister {
 public:
  SavedRegister(ucontext_t& c, int number) {
    auto* const area = reinterpret_cast<uint8_t*>(c.uc_mcontext.fpregs);
    states_ = area + 512;
    low_ = area + 160 + 16 * number;
    high_ = area + 576 + 16 * number;
    uint64_t states;
    std::memcpy(&states, states_, sizeof states);
    if (states & kUpper) return;
    states |= kUpper;
    std::memcpy(states_, &states, sizeof states);
    std::memset(area + 576, 0, 256);
  }
  Vector get() const {
    Vector v;
    std::memcpy(v.data(), low_, 16);
    std::memcpy(v.data() + 16, high_, 16);
    return v;
  }
  void set(const Vector& v) {
    std::memcpy(low_, v.data(), 16);
    std::memcpy(high_, v.data() + 16, 16);
  }

 private:
  static constexpr uint64_t kUpper = 4;
  uint8_t *states_, *low_, *high_;
};

bool carry_out(ucontext_t& c, const VexInstruction& d) {
  if (d.opcode != 0x50 || d.prefix != 1 || !d.wide) return false;
  SavedRegister sums(c, d.reg);
  const Vector a = SavedRegister(c, d.vvvv).get();
  Vector b, result = sums.get();
  if (d.mod == 3) b = SavedRegister(c, d.rm).get();
  else std::memcpy(b.data(), reinterpret_cast<const void*>(d.address + d.stride), b.size());
  for (size_t i = 0; i < 8; ++i) {
    uint32_t sum;
    std::memcpy(&sum, &result[4 * i], sizeof sum);
    for (size_t k = 4 * i; k < 4 * i + 4; ++k) sum += static_cast<uint32_t>(a[k] * static_cast<int8_t>(b[k]));
    std::memcpy(&result[4 * i], &sum, sizeof sum);
  }
  sums.set(result);
  return true;
}

void refused(int, siginfo_t*, void* context) {
  auto& c = *static_cast<ucontext_t*>(context);
  VexInstruction d;
  if (decode(c, d) && carry_out(c, d)) {
    c.uc_mcontext.gregs[REG_RIP] += d.length;
    count.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  ::sigaction(SIGILL, &before, nullptr);           // which then meets the same instruction
}

}  // namespace

VnniEmulator::VnniEmulator() {
  struct sigaction mine {};
  mine.sa_sigaction = refused;
  mine.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigemptyset(&mine.sa_mask);
  ::sigaction(SIGILL, &mine, &before);
}
VnniEmulator::~VnniEmulator() { ::sigaction(SIGILL, &before, nullptr); }
long VnniEmulator::carried_out() { return count.load(std::memory_order_relaxed); }

}  // namespace fovea::test
#else
namespace fovea::test {
VnniEmulator::VnniEmulator() = default;
VnniEmulator::~VnniEmulator() = default;
long VnniEmulator::carried_out() { return 0; }
}  // namespace fovea::test
#endif

namespace fovea::test {

std::optional<kernels::cpu::Processor> emulated_avx2_vnni() {
  using kernels::cpu::Processor;
  const auto named = [](std::string_view name) { return [name](const Processor& p) { return p.name == name; }; };
  const std::span<const Processor> here = kernels::cpu::supported_processors();
  if (std::none_of(here.begin(), here.end(), named("avx2"))) return {};
  // From the least kind on: what makes the records of those above is compiled for them.
  for (const kernels::cpu::Kind& kind : kernels::cpu::known_kinds() | std::views::reverse)
    if (Processor p = kind.record(); p.name == std::string_view("avx2_vnni")) {
      p.caches = kernels::cpu::caches();
      return p;
    }
  return {};
}

}  // namespace fovea::test
