// SPDX-License-Identifier: Apache-2.0
// nn/layers/fourier_embed.h — coordinates, their sines and cosines become further channels of an image.
#pragma once
#include "nn/module.h"

namespace fovea {

struct FourierEmbedOptions {
  int max_res = 224;                               // pixels; the fastest wave has half as many periods over the image
  int bands = 64;                                  // frequencies, evenly spaced
  bool coordinates = true;                         // these, from -1 to 1, stand in front of the waves
  bool keep_spatial = false;                       // N,C,H,W comes out instead of tokens
};

/// N,C,H,W -> [N, H W, C + 2 (2 bands + 1)], or N,C',H,W: timm's FourierEmbed.
class FourierEmbed final : public Module {
 public:
  explicit FourierEmbed(const FourierEmbedOptions& o = {}) : options_(o) {}
  Tensor forward(const Tensor& x) override;

 private:
  Tensor waves(int64_t h, int64_t w) const;        // [H, W, channels]
  FourierEmbedOptions options_;
};

}  // namespace fovea
