// SPDX-License-Identifier: Apache-2.0
// nn/layers/median_pool.h — the median of each window: a filter against outliers where the stride is 1.
#pragma once
#include "nn/layers/conv.h"
#include "nn/module.h"

namespace fovea {

struct MedianPoolOptions {
  Size2 kernel = 3, stride = 1;
  Size2 padding = 0;                               // on both sides, by reflection
  bool same = false;                               // instead: ceil(size / stride) windows, the odd pixel at the end
};

/// timm's MedianPool2d on N,C,H,W. Of an even number of values it is the lower one in the middle.
class MedianPool2d final : public Module {
 public:
  explicit MedianPool2d(const MedianPoolOptions& o = {}) : options_(o) {}
  Tensor forward(const Tensor& x) override;

 private:
  MedianPoolOptions options_;
};

}  // namespace fovea
