// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/naflex_embed.h — tokens of images of any size and aspect ratio, or of sequences of patches:
// https://arxiv.org/abs/2307.06304, https://arxiv.org/abs/2502.14786.
#pragma once
#include "nn/layers/drop.h"
#include "nn/layers/patch_embed.h"
#include "zoo/blocks/vit_cfg.h"
#include "zoo/sequence_model.h"

namespace fovea::zoo {

/// Class token, registers, and patches, which alone have positions.
class NaflexEmbed final : public TokenEmbed {
 public:
  NaflexEmbed(const VitCfg& c, int channels, Size2 image);
  Tensor forward(const Tensor& image) override;
  Tensor of(const PatchSequence& s);
  Size2 grid() const override { return grid_; }
  Size2 grid_of(int64_t height, int64_t width) const override;
  Size2 patch() const override { return patch_; }
  void set_input_size(std::optional<Size2> image, std::optional<Size2> patch = {}) override;
  Ref<Module> proj;
  Param cls_token, reg_token, pos_embed, pos_embed_y, pos_embed_x;

 private:
  Tensor kernel() const;  // [O, C, h, w]
  Tensor weight_for(const Tensor& patches) const;
  Tensor of_grid(Size2 grid) const;
  Tensor of_places(const Tensor& coords) const;
  Tensor with_tokens(const Tensor& patches);

  VitNaflex how_;
  int channels_;
  Size2 patch_, grid_;
  bool pad_;
  Maybe<Module> norm_;
  Ref<Dropout> pos_drop_;
};

}  // namespace fovea::zoo
