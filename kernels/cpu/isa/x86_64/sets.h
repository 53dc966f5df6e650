// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/x86_64/sets.h — what this folder's files compile, for kinds.cpp to choose from.
#pragma once
#include "kernels/cpu/isa/bf16.h"
#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/isa/u8.h"

namespace fovea::kernels::cpu {

namespace sse2 {
void fill_products(Loops& l), fill_depthwise(Loops& l), fill_depthwise_u8(Loops& l), fill_functions(Loops& l),
    fill_reductions(Loops& l);
}
namespace avx2 {
void fill_products(Loops& l), fill_depthwise(Loops& l), fill_depthwise_u8(Loops& l), fill_functions(Loops& l),
    fill_reductions(Loops& l);
}
namespace avx512 {
void fill_products(Loops& l), fill_depthwise(Loops& l), fill_depthwise_u8(Loops& l), fill_functions(Loops& l),
    fill_reductions(Loops& l);
}
namespace avx512_bf16 {                            // products in f32 and bytes convert nothing
void fill_depthwise(Loops& l), fill_functions(Loops& l), fill_reductions(Loops& l);
}
extern const HalfDots halves_avx2, halves_avx512;

extern const Bf16Set bf16_avx512, bf16_amx;
void bf16_stepped_tile(const Bf16Tile& t);
void bf16_depthwise(const Bf16DepthwiseTile& t);
bool bf16_map(const Bf16Map& m);
bool bf16_map_to_bytes(const ByteMap& m);
namespace avx512_bf16_attention {
void pack_keys(const Packing& p, const bfloat16* k, int64_t row_step, int64_t depth, Pair* to);
void pack_values(const Packing& p, const bfloat16* v, int64_t row_step, int64_t keys, Pair* to);
void weights(const Bf16Weights& t);
void share(const Bf16Shared& t);
}  // namespace avx512_bf16_attention

extern const QuantSet quant_avx2, quant_avxvnni, quant_avx512, quant_vnni, quant_amx;
extern const QuantLoops quant_loops_avx2, quant_loops_avx512, quant_loops_vnni;
extern const QuantWinograd quant_winograd_avx2, quant_winograd_avx512;
void vnni_depthwise(const DepthwiseTileOf<uint8_t>& t);
void vnni_depthwise_to_f32(const DepthwiseTileOf<uint8_t, float>& t);

}  // namespace fovea::kernels::cpu
