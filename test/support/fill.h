// SPDX-License-Identifier: Apache-2.0
// test/support/fill.h — the formula that fills weights and inputs on both sides of a comparison with timm.
#pragma once
#include <cstdint>
#include <string_view>

#include "nn/module.h"

namespace fovea {

/// FNV-1a, 64 bits.
uint64_t fnv1a(std::string_view text, uint64_t hash = 0xCBF29CE484222325);
/// u(seed, i) in [-1, 1): 24 bits of splitmix64.
float hash_uniform(uint64_t seed, uint64_t i);

/// Gives every parameter and the running statistics their values by name; other buffers keep (or get) their
/// constructor's. `gain` scales the variance of convolutions' weights.
void fill_weights(Module& m, std::string_view salt = {}, double gain = 1);
/// 0.5 u + sin(2 pi ((c + 1) h / H + (b + 2) w / W)) for shape [B, C, H, W].
Tensor golden_input(const Shape& shape, std::string_view salt = {});

}  // namespace fovea
