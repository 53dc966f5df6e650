// SPDX-License-Identifier: Apache-2.0
// nn/layers/drop_block.h — DropBlock: drops square regions of all channels at once while training.
#pragma once
#include "nn/module.h"

namespace fovea {

struct DropBlockOptions {
  double rate = 0;                                 // 0: nothing happens
  int size = 7;                                    // side of a region
  double gamma_scale = 1;                          // scales how many regions begin
};

/// https://arxiv.org/abs/1810.12890; what is kept is scaled up so that its sum stays about the same.
class DropBlock2d final : public Module {
 public:
  explicit DropBlock2d(const DropBlockOptions& o);
  Tensor forward(const Tensor& x) override;

 private:
  Tensor kept(int64_t batch, int64_t height, int64_t width, Device d);
  DropBlockOptions options_;
};

}  // namespace fovea
