// SPDX-License-Identifier: Apache-2.0
// nn/layers/gather_excite.h — channels are weighed by their surroundings of some extent:
// https://arxiv.org/abs/1810.12348
#pragma once
#include "nn/layers/channel_attention.h"
#include "nn/layers/conv.h"
#include "nn/module.h"

namespace fovea {

struct GatherExciteOptions {
  SqueezeOptions squeeze{};                        // ratio 1/16, divisor 1
  int extent = 0;                                  // pixels that become one; 0: the whole image
  bool learned = false;                            // gathers by depthwise convolutions instead of a mean
  Size2 feature_size = 0;                          // learned, extent 0: the kernel
  bool mlp = true;                                 // false: what is gathered is the gate's operand
};

/// timm's GatherExcite on N,C,H,W. Throws Error(argument) for an odd extent and for a learned gatherer of the whole
/// image without its size.
class GatherExcite final : public Module {
 public:
  explicit GatherExcite(int channels, const GatherExciteOptions& o = {});
  Tensor forward(const Tensor& x) override;

 private:
  void add_gatherer(int channels, const GatherExciteOptions& o);
  Tensor gathered(const Tensor& x) const;
  Maybe<Module> gather_, mlp_;
  int extent_;
  bool max_pool_;
  Act gate_;
};

}  // namespace fovea
