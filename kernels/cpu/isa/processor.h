// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/processor.h — what a kind of processor brings to kernels: a record a kind, of which one is chosen at
// start.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "kernels/cpu/isa/bf16.h"
#include "kernels/cpu/isa/caches.h"
#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/isa/u8.h"

namespace fovea::kernels::cpu {

/// What plans are weighed by: speeds of one thread, as measured. A kind has the same plans on all machines, for saved
/// sessions keep what they packed; only how much of the work is done at a time follows the machine's caches.
struct Costs {
  // Winograd's: FLOP/s of direct convolutions and of its own products; bytes/s of transforms, and of weights of more
  // than `near` bytes, which a near cache does not keep
  double direct, products, transforms, far, near;
  // multiplications in f32 below which another thread costs more than it does, and below which finer pieces do not pay
  int64_t work_per_thread, work_per_piece;
};

/// As measured on machines with AVX-512.
constexpr Costs kUsualCosts{.direct = 110e9,
                            .products = 100e9,
                            .transforms = 12e9,
                            .far = 24e9,
                            .near = 1 << 20,
                            .work_per_thread = 150000,
                            .work_per_piece = 700000};

struct Processor {
  const char* name;
  const Loops* f32;
  const HalfDots* halves;
  const Bf16Set* bf16_tiles = nullptr;             // null, as is bf16, where pairs of bf16 are not multiplied
  const Bf16Loops* bf16 = nullptr;
  const QuantSet* u8_tiles;
  const QuantLoops* u8;
  const QuantWinograd* u8_winograd = nullptr;      // null where tiles multiply four bytes at once: less gain
  bool vendor = true;                              // does oneDNN serve it?
  Costs costs;
  Caches caches{};                                 // this machine's
};

/// A kind of processor that was built in.
struct Kind {
  bool (*supported)();                             // is this machine one, and may kernels use it?
  Processor (*record)();                           // all but the caches; only where it is supported
};

/// The best kind that this machine is and FOVEA_ISA allows, or what UseProcessor asks for.
const Processor& processor();
/// All kinds that this machine is and FOVEA_ISA allows, best first.
std::span<const Processor> supported_processors();
/// All kinds that were built in, best first: isa/<family of processors>/kinds.cpp.
std::span<const Kind> known_kinds();

/// For tests: while alive, on this thread, plans are made for this kind.
class UseProcessor {
 public:
  explicit UseProcessor(const Processor& p) : before_(std::exchange(chosen_, &p)) {}
  ~UseProcessor() { chosen_ = before_; }
  UseProcessor(const UseProcessor&) = delete;
  UseProcessor& operator=(const UseProcessor&) = delete;
  static const Processor* chosen() { return chosen_; }   // null: the best one

 private:
  static inline thread_local const Processor* chosen_ = nullptr;
  const Processor* before_;
};

inline const Loops& loops() { return *processor().f32; }

}  // namespace fovea::kernels::cpu
