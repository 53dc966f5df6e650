// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/generic/loops.cpp — the inner loops in vectors of four, as the compiler makes them for any processor.
// FOVEA_LOOPS: one of simd/*_part.inc.
#include <cstdint>

#include "kernels/cpu/isa/generic/sets.h"

namespace fovea::kernels::cpu {

namespace plain {
#define FOVEA_LANES 4
#define FOVEA_REGISTERS 16
#define FOVEA_MIN(a, b) ((a) < (b) ? (a) : (b))
#define FOVEA_MAX(a, b) ((a) > (b) ? (a) : (b))
#include FOVEA_LOOPS
}  // namespace plain

}  // namespace fovea::kernels::cpu
