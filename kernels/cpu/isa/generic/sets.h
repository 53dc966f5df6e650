// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/generic/sets.h — what any processor runs, written without intrinsics.
#pragma once
#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/isa/u8.h"

namespace fovea::kernels::cpu {

namespace plain {                                  // where no other loops are built
void fill_products(Loops& l), fill_depthwise(Loops& l), fill_depthwise_u8(Loops& l), fill_functions(Loops& l),
    fill_reductions(Loops& l);
}
extern const HalfDots halves_plain;
extern const QuantSet quant_plain;
extern const QuantLoops quant_loops_plain;

}  // namespace fovea::kernels::cpu
