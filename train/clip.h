// SPDX-License-Identifier: Apache-2.0
// train/clip.h — bounds on gradients before they are followed.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "engine/core/tensor.h"

namespace fovea::train {

enum class Clip : uint8_t {
  none,
  norm,   // of all gradients together
  value,  // of each element
  agc,    // of each unit's gradient in proportion to the unit's weights, https://arxiv.org/abs/2102.06171
};
Clip parse_clip(std::string_view name);            // throws Error

/// f64[], the norm of all gradients together; absent ones count for nothing.
Tensor common_norm(std::span<const Tensor> gradients);
/// `norm`: common_norm(), which only Clip::norm looks at. `spared`: which ones agc passes over; empty: none.
void clip(std::span<Tensor> gradients, std::span<const Tensor> leaves, Clip how, double bound, const Tensor& norm,
          const std::vector<bool>& spared = {});

}  // namespace fovea::train
