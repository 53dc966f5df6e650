// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/generic/loops.cpp — the inner loops in vectors of four, as the compiler makes them for any processor.
#include <cstdint>

#include "kernels/cpu/isa/generic/sets.h"

namespace fovea::kernels::cpu {

namespace plain {
#define FOVEA_LANES 4
#define FOVEA_MIN(a, b) ((a) < (b) ? (a) : (b))
#define FOVEA_MAX(a, b) ((a) > (b) ? (a) : (b))
#include "kernels/cpu/simd/loops.inc"
}  // namespace plain

constinit const Loops loops_plain = plain::make_table("plain");

}  // namespace fovea::kernels::cpu
