// SPDX-License-Identifier: Apache-2.0
// data/mix.h — Mixup and CutMix: images of a batch become mixtures of two of them, and so do their targets.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "engine/core/tensor.h"

namespace fovea::data {

class Chance;

struct MixConfig {
  // Who shares what is drawn; `half`: as elem, of the first half of a batch, which is all that is left of it.
  enum class Mode : uint8_t { batch, pair, elem, half };
  double mixup = 0, cutmix = 0;                    // alphas of the Beta distributions; 0: not this one
  std::optional<std::array<double, 2>> cutmix_minmax{};     // sides of the cut, as shares of the image's
  double prob = 1, switch_prob = 0.5;              // of mixing at all; of CutMix where there are both
  Mode mode = Mode::batch;
  double smoothing = 0.1;
  int64_t classes = 0;
  int64_t off_epoch = 0;                           // from this epoch on nothing is mixed; 0: always
};
MixConfig::Mode parse_mix_mode(std::string_view name);

/// f32[N, classes] before mixing, of what mix() takes.
Tensor smoothed_targets(const Tensor& targets, const MixConfig& config);

/// Images f32[N, C, H, W] are mixed in place, each with the one as far from the other end; N is even. Targets i64[N],
/// or f32[N, classes] of several labels an image, become f32[N, classes], smoothed: of classes towards all alike, of
/// labels towards 1/2. `on` false: without mixing. Drawn and added up as timm's mixup.py does,
/// https://arxiv.org/abs/1710.09412 and https://arxiv.org/abs/1905.04899. Throws Error for configurations and batches
/// that cannot be mixed.
Tensor mix(Tensor& images, const Tensor& targets, const MixConfig& config, Chance& chance, bool on = true);

}  // namespace fovea::data
