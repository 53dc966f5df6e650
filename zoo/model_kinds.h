// SPDX-License-Identifier: Apache-2.0
// zoo/model_kinds.h — interfaces of what only some models are: over tokens, for masks, with two classifiers,
// of one image size, with windows.
#pragma once
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "engine/core/tensor.h"
#include "nn/layers/conv.h"

namespace fovea {
struct AttentionMask;
}

namespace fovea::zoo {

/// Models that tap tokens [N, L, C] rather than maps.
class TokenModel {
 public:
  /// Tokens that stand for no part of the image, in front of those that do.
  virtual int prefix_tokens() const { return 0; }
  /// How the others lie in an image of that size, row by row.
  virtual Size2 token_grid(int64_t height, int64_t width) const = 0;

 protected:
  ~TokenModel() = default;
};

/// Models whose tokens need not see all others.
class MaskedModel {
 public:
  virtual Tensor forward_masked(const Tensor& image, const AttentionMask& mask) = 0;

 protected:
  ~MaskedModel() = default;
};

/// Models with two classifiers, whose mean counts.
class TwoHeadedModel {
 public:
  /// What each says: training by distillation compares them with different labels. The second is absent where there is
  /// one.
  virtual std::pair<Tensor, Tensor> heads(const Tensor& features) = 0;

 protected:
  ~TwoHeadedModel() = default;
};

/// Models of one image size that can be made fit for another.
class SizedModel {
 public:
  virtual void resize_input(std::array<int, 2> image, std::optional<int> patch) = 0;

 protected:
  ~SizedModel() = default;
};

/// The windows for an input of another size; default: in the same proportion to the grid of patches.
struct WindowOptions {
  std::vector<std::array<int, 2>> sizes;  // height, width: for all stages or one a stage
  std::vector<int> ratios;                // ... or this part of the grid: for all stages or one a stage
  std::optional<bool> always_partition;   // also maps that are smaller than a window
};

/// The same of models that have windows.
class WindowedModel {
 public:
  virtual void resize_windows(std::array<int, 2> image, std::optional<int> patch, const WindowOptions& windows) = 0;

 protected:
  ~WindowedModel() = default;
};

}  // namespace fovea::zoo
