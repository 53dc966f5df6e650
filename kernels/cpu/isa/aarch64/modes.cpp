// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/aarch64/modes.cpp — YIELD, and the modes of the floating-point control register.
#include "kernels/cpu/isa/modes.h"

#include <cstdint>

namespace fovea::kernels::cpu {

void relax() { asm volatile("yield" ::: "memory"); }

unsigned flush_denormals() {
  constexpr uint64_t kFlushToZero = 1 << 24;       // of operands and results
  uint64_t before = 0;
  asm volatile("mrs %0, fpcr" : "=r"(before));
  asm volatile("msr fpcr, %0" ::"r"(before | kFlushToZero));
  return static_cast<unsigned>(before);
}
void restore_denormals(unsigned before) { asm volatile("msr fpcr, %0" ::"r"(uint64_t{before})); }

}  // namespace fovea::kernels::cpu
