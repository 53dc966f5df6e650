// SPDX-License-Identifier: Apache-2.0
// nn/layers/log_sum_exp_pool.h — a smooth maximum with a learned sharpness: timm's LsePlus2d and LsePlus1d.
#pragma once
#include "nn/module.h"

namespace fovea {

/// log(mean(exp(r x))) / r: the mean for small r, the maximum for large ones.
class LogSumExpPool final : public Module {
 public:
  enum class Over : uint8_t { image, tokens };     // N,C,H,W -> [N, C] or [N, C, 1, 1]; [N, L, C] -> [N, C]
  struct Options {
    double sharpness = 10;                         // r at the start
    bool learned = true;                           // false: r is a buffer
    bool flatten = true;                           // of images
  };
  explicit LogSumExpPool(Over over = Over::image) : LogSumExpPool(over, Options{}) {}
  LogSumExpPool(Over over, const Options& o);
  Tensor forward(const Tensor& x) override;
  Param sharpness;                                 // "r", a scalar

 private:
  Over over_;
  bool flatten_;
};

}  // namespace fovea
