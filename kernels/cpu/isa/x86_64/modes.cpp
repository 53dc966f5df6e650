// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/modes.cpp — PAUSE, and the modes of SSE's control register.
#include "kernels/cpu/isa/modes.h"

#include <immintrin.h>

namespace fovea::kernels::cpu {

void relax() { _mm_pause(); }

unsigned flush_denormals() {
  constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x40;
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | kFlushToZero | kDenormalsAreZero);
  return before;
}
void restore_denormals(unsigned before) { _mm_setcsr(before); }

}  // namespace fovea::kernels::cpu
