// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/aarch64/sets.h — what this folder's files compile, for kinds.cpp to choose from.
#pragma once
#include "kernels/cpu/isa/bf16.h"
#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/isa/u8.h"

namespace fovea::kernels::cpu {

namespace neon {
void fill_products(Loops& l), fill_depthwise(Loops& l), fill_depthwise_u8(Loops& l), fill_functions(Loops& l),
    fill_reductions(Loops& l);
}
namespace neon_bf16 {                              // products in f32 and bytes convert nothing
void fill_depthwise(Loops& l), fill_functions(Loops& l), fill_reductions(Loops& l);
}
extern const HalfDots halves_neon;

extern const Bf16Set bf16_neon;
void bf16_stepped_tile(const Bf16Tile& t);
namespace neon_bf16_attention {
void pack_keys(const Packing& p, const bfloat16* k, int64_t row_step, int64_t depth, Pair* to);
void pack_values(const Packing& p, const bfloat16* v, int64_t row_step, int64_t keys, Pair* to);
void weights(const Bf16Weights& t);
void share(const Bf16Shared& t);
}  // namespace neon_bf16_attention

extern const QuantSet quant_neon, quant_dot, quant_i8mm;
extern const QuantLoops quant_loops_neon;

}  // namespace fovea::kernels::cpu
