// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/kernels.h — the tables of this folder's rooms, and what their plans share.
#pragma once
#include <span>

#include "engine/core/backend.h"

namespace fovea::kernels::cpu {

std::span<const Kernel> pointwise_kernels();       // pointwise/pointwise.cpp
std::span<const Kernel> bf16_attention_kernels();  // attention/bf16_attention.cpp
std::span<const Kernel> bf16_conv_kernels();       // conv/bf16_conv.cpp
std::span<const Kernel> bf16_linear_kernels();     // product/bf16_linear.cpp
std::span<const Kernel> bf16_norm_kernels();       // norm/bf16_norm.cpp
std::span<const Kernel> bf16_pointwise_kernels();  // pointwise/bf16_pointwise.cpp
std::span<const Kernel> bf16_softmax_kernels();    // reduce/bf16_softmax.cpp
std::span<const Kernel> chain_kernels();           // pointwise/chain.cpp
std::span<const Kernel> conv_kernels();            // conv/conv.cpp
std::span<const Kernel> matmul_kernels();          // product/matmul.cpp
std::span<const Kernel> reduce_kernels();          // reduce/reduce.cpp
std::span<const Kernel> norm_kernels();            // norm/norm.cpp
std::span<const Kernel> norm_gradient_kernels();   // norm/gradients.cpp
std::span<const Kernel> pool_kernels();            // pool/pool.cpp
std::span<const Kernel> arrange_kernels();         // arrange/arrange.cpp
std::span<const Kernel> strided_kernels();         // arrange/strided.cpp
std::span<const Kernel> compare_kernels();         // pointwise/compare.cpp
std::span<const Kernel> slope_kernels();           // pointwise/slopes.cpp
std::span<const Kernel> index_kernels();           // arrange/index.cpp
std::span<const Kernel> column_kernels();          // conv/columns.cpp
std::span<const Kernel> random_kernels();          // random/random.cpp
std::span<const Kernel> scan_kernels();            // reduce/scan.cpp
std::span<const Kernel> topk_kernels();            // reduce/topk.cpp
std::span<const Kernel> attention_kernels();       // attention/attention.cpp
std::span<const Kernel> resize_kernels();          // resize/resize.cpp
std::span<const Kernel> recurrent_kernels();       // recurrent/recurrent.cpp
std::span<const Kernel> scale_shift_kernels();     // norm/scale_shift.cpp
std::span<const Kernel> half_linear_kernels();     // product/half_linear.cpp
std::span<const Kernel> quant_conv_kernels();      // conv/quant_conv.cpp
std::span<const Kernel> quant_depthwise_kernels(); // conv/quant_depthwise.cpp
std::span<const Kernel> quant_max_pool_kernels();  // pool/quant_max_pool.cpp
std::span<const Kernel> quant_mean_kernels();      // reduce/quant_mean.cpp
std::span<const Kernel> quant_pointwise_kernels(); // pointwise/quant_pointwise.cpp

/// Backend::convert                                 // arrange/convert.cpp
void convert(const Meta& from, const std::byte* source, const Meta& to, std::byte* target);

inline const float* floats(const std::byte* p) { return reinterpret_cast<const float*>(p); }
inline float* floats(std::byte* p) { return reinterpret_cast<float*>(p); }
inline const bfloat16* halves(const std::byte* p) { return reinterpret_cast<const bfloat16*>(p); }
inline bfloat16* halves(std::byte* p) { return reinterpret_cast<bfloat16*>(p); }
inline const uint8_t* bytes(const std::byte* p) { return reinterpret_cast<const uint8_t*>(p); }
inline uint8_t* bytes(std::byte* p) { return reinterpret_cast<uint8_t*>(p); }
bool all_f32(const Site& s);                       // every operand and result that is present; as all_bf16()
bool all_bf16(const Site& s);
bool lies_as(const Meta& m, Memory order);         // true for both orders where they do not differ
/// Images of one to three dimensions, channels last; and how many places such an image has.
bool is_last(const Meta& m);
int64_t places_of(const Meta& m);
/// Bytes rounded up so that what follows is 64-byte aligned.
constexpr size_t aligned(size_t bytes) { return (bytes + 63) & ~size_t{63}; }

/// What our own loops do to a result: clamp it on the way out, and map it afterwards when the function is more than a
/// clamp.
struct Finish {
  Finish() = default;
  explicit Finish(const Epilogue& e);
  float lo = 0, hi = 0;
  bool map = false;
  Epilogue act;
};
bool accepts_own(const Site&, const Epilogue& e);

}  // namespace fovea::kernels::cpu
