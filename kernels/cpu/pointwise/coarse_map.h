// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/pointwise/coarse_map.h — functions of sums in f32 whose results are rounded to bf16, or to bytes.
#pragma once
#include "kernels/cpu/isa/processor.h"

namespace fovea::kernels::cpu {

/// As coarsely as results show where the processor has such loops, else as its loops compute in f32.
void map_to_bf16(const Processor& on, const Bf16Map& m);
void map_to_bytes(const Processor& on, const ByteMap& m);

}  // namespace fovea::kernels::cpu
