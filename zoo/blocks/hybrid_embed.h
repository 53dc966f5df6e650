// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/hybrid_embed.h — HybridEmbed: tokens of the map that a convolutional net makes of an image.
#pragma once
#include "nn/layers/conv.h"
#include "nn/layers/patch_embed.h"

namespace fovea::zoo {

struct HybridEmbedOptions {
  int channels = 3, dim = 768;
  Size2 image = 224;
  Size2 patch = 1;          // of the map
  bool proj = true;         // a convolution over patches; else the map has as many channels as tokens
  bool bias = true;         // of that convolution
  bool strict_size = true;  // images must be of that size
  bool pad = false;         // maps that patches do not divide are padded at the bottom and on the right
  bool flatten = true;      // tokens [N, L, C]; else N,H,W,C
};

class HybridEmbed final : public TokenEmbed {
 public:
  HybridEmbed(std::unique_ptr<Module> backbone, const HybridEmbedOptions& o);
  Tensor forward(const Tensor& image) override;
  Size2 grid() const override { return grid_of(options_.image.h, options_.image.w); }
  Size2 grid_of(int64_t height, int64_t width) const override;
  Size2 patch() const override { return options_.patch; }
  void set_input_size(std::optional<Size2> image, std::optional<Size2> patch = {}) override;

 private:
  void measure();
  HybridEmbedOptions options_;
  Size2 ratio_;  // of image and map
  int map_channels_ = 0;
  Ref<Module> backbone_;
  Maybe<Conv2d> proj_;
};

}  // namespace fovea::zoo
