// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/attention/bf16_attention.h — the inner loops of attention in bf16 beside its two products.
#pragma once
#include <cstdint>

#include "kernels/cpu/product/bf16_product.h"

namespace fovea::kernels::cpu {

/// Rows of scores become weights e^(scale score + mask - largest) in bf16; zeros where everything is masked.
struct Bf16Weights {
  float* scores;                                   // are written over, in whole vectors
  bfloat16* weights;                               // in whole vectors, zeros behind the last key
  int64_t step;                                    // from row to row of both
  float* shares;                                   // 1 / the sum of each row's weights
  const bfloat16* added;                           // masks of the first row; null, or ...
  const uint8_t* allowed;                          // ... one of the two
  int64_t mask_step;                               // in bytes
  float scale;
  int64_t rows, keys;
  // keys that the first row sees, and each one more than the one before
  int64_t seen, more;
  int64_t seen_by(int64_t row) const { return seen + row * more < keys ? seen + row * more : keys; }
};

/// Rows of sums, readable in 32s, times their shares, rounded.
struct Bf16Shared {
  const float *sums, *shares;
  bfloat16* y;
  int64_t sums_step, y_step, rows, columns;
};

struct Bf16AttentionLoops {
  /// B of q k^T, and of weights v: keys or values lie in rows, row_step apart.
  void (*pack_keys)(const Packing& p, const bfloat16* k, int64_t row_step, int64_t depth, Pair* to);
  void (*pack_values)(const Packing& p, const bfloat16* v, int64_t row_step, int64_t keys, Pair* to);
  void (*weights)(const Bf16Weights& t);
  void (*share)(const Bf16Shared& t);
};
/// Where bf16_avx512 is supported.
extern const Bf16AttentionLoops bf16_attention_avx512;

}  // namespace fovea::kernels::cpu
