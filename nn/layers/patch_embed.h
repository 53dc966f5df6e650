// SPDX-License-Identifier: Apache-2.0
// nn/layers/patch_embed.h — an image cut into patches, each a token; and leaving out some of them while training.
#pragma once
#include <optional>

#include "nn/layers/conv.h"
#include "nn/layers/token_norm.h"
#include "nn/module.h"

namespace fovea {

struct PatchEmbedOptions {
  Size2 image = 224, patch = 16;  // image 0: any size
  bool bias = true;
  TokenNorm norm{.kind = TokenNorm::Kind::none};
  bool strict_size = true;  // images must be of that size; else a multiple of the patch
  bool pad = false;         // images of other sizes are padded at the bottom and on the right
  bool flatten = true;      // tokens [N, L, C]; else N,H,W,C
};

/// What makes tokens of an image: [N, L, C], or N,H,W,C.
class TokenEmbed : public Module {
 public:
  virtual Size2 grid() const = 0;                                  // of the image size that it is for
  virtual Size2 grid_of(int64_t height, int64_t width) const = 0;  // of an image of another size
  virtual Size2 patch() const = 0;                                 // the kernel of "proj"
  virtual void set_input_size(std::optional<Size2> image, std::optional<Size2> patch = {}) = 0;
  int patches() const { return grid().h * grid().w; }
};

/// One convolution whose stride is its kernel.
class PatchEmbed final : public TokenEmbed {
 public:
  PatchEmbed(int channels, int dim, const PatchEmbedOptions& o = {});
  Tensor forward(const Tensor& image) override;
  Size2 image() const { return options_.image; }
  Size2 patch() const override { return options_.patch; }
  Size2 grid() const override { return {options_.image.h / options_.patch.h, options_.image.w / options_.patch.w}; }
  Size2 grid_of(int64_t height, int64_t width) const override;
  /// For another image size, and, by resampling the kernel, another patch size.
  void set_input_size(std::optional<Size2> image, std::optional<Size2> patch = {}) override;
  Ref<Conv2d> proj;

 private:
  void check(int64_t height, int64_t width) const;
  PatchEmbedOptions options_;
  Maybe<Module> norm_;
};

/// While training, keeps a random share of the tokens behind the prefix: https://arxiv.org/abs/2212.00794.
class PatchDropout final : public Module {
 public:
  PatchDropout(double rate, int prefix_tokens = 1, bool ordered = false);
  Tensor forward(const Tensor& x) override { return keep(x).tokens; }
  struct Kept {
    Tensor tokens, index;  // index [N, kept]: which tokens behind the prefix; absent for all
  };
  Kept keep(const Tensor& x);

 private:
  double rate_;
  int prefix_tokens_;
  bool ordered_;
};

}  // namespace fovea
