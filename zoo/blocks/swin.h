// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/swin.h — what the generations of Swin share: windows that every other block shifts, stages that merge
// patches, and the model around them. https://arxiv.org/abs/2103.14030, 2111.09883
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "nn/layers/cosine_window_attention.h"
#include "nn/layers/drop.h"
#include "nn/layers/mlp.h"
#include "nn/layers/norm.h"
#include "nn/layers/patch_embed.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stage_windows.h"
#include "zoo/blocks/stages.h"
#include "zoo/settings.h"

namespace fovea::zoo {

constexpr double kSwinEps = 1e-5;  // of all norms

struct SwinCfg {
  int embed_dim = 96, patch_size = 4;
  std::array<int, 4> depths{2, 2, 6, 2}, num_heads{3, 6, 12, 24};
  bool always_partition = false;  // else windows shrink to maps that are smaller, which stay unshifted
  bool strict_img_size = true, dynamic_img_size = false;  // not strict or dynamic: images of any size
  double mlp_ratio = 4;
  double proj_drop_rate = 0, attn_drop_rate = 0;

  bool any_size() const { return dynamic_img_size || !strict_img_size; }
};
FOVEA_SETTINGS(SwinCfg, embed_dim, patch_size, depths, num_heads, always_partition, strict_img_size, dynamic_img_size,
               mlp_ratio, proj_drop_rate, attn_drop_rate)
/// Heads double from stage to stage, and the third is the one that grows.
constexpr SwinCfg swin_of(int dim, int heads, int depth) {
  return {.embed_dim = dim, .depths{2, 2, depth, 2}, .num_heads{heads, 2 * heads, 4 * heads, 8 * heads}};
}

/// What differs from block to block.
struct SwinPlace {
  int stage = 0, block = 0, channels = 0, heads = 1;
  Size2 map{}, window{};
  double drop_path = 0;
  bool shifts() const { return block % 2 == 1; }
};

/// Attention within windows of N,H,W,C and what surrounds it.
class SwinBlock : public Module {
 public:
  void resize(Size2 map, Size2 window, std::optional<bool> always_partition);

 protected:
  SwinBlock(const SwinCfg& c, const SwinPlace& p);
  Size2 window() const { return window_; }
  Tensor attended(const Tensor& x);
  static Mlp mlp(const SwinCfg& c, const SwinPlace& p, const Act& act = act::gelu);

 private:
  /// Tokens [N * windows, area, C]; mask as of WindowAttention.
  virtual Tensor attend(const Tensor& tokens, const Tensor& mask) = 0;
  virtual void set_window(Size2 window) = 0;
  void fit(Size2 map, Size2 wanted);
  bool shifted() const { return shift_.h > 0 || shift_.w > 0; }
  Size2 padded(int64_t height, int64_t width) const;

  bool any_size_, always_, shifts_;
  Size2 window_, shift_;
  Param attn_mask_;  // for the size it was built for; others get theirs as they come
};

struct PostNormOptions {
  Act act = act::gelu;
  double start = 0;     // of the weights of the norms that end the branches: 0 makes the block its shortcut at first
  bool closes = false;  // a norm ends the block
};
/// Norms end the branches, as in the second generation.
class PostNormSwinBlock final : public SwinBlock {
 public:
  /// `attention(window)` makes the attention within windows of this size.
  template <class MakeAttention>
  PostNormSwinBlock(const SwinCfg& c, const SwinPlace& p, const PostNormOptions& o, const MakeAttention& attention)
      : SwinBlock(c, p) {
    build(c, p, o, attention(window()));
  }
  Tensor forward(const Tensor& x) override;

 private:
  void build(const SwinCfg& c, const SwinPlace& p, const PostNormOptions& o,
             std::unique_ptr<CosineWindowAttention> attention);
  Tensor attend(const Tensor& tokens, const Tensor& mask) override { return (*attn_)(tokens, mask); }
  void set_window(Size2 window) override { attn_->set_window(window); }
  Ref<CosineWindowAttention> attn_;
  Ref<LayerNorm> norm1_, norm2_;
  Ref<Mlp> mlp_;
  Ref<DropPath> drop1_, drop2_;
  Maybe<Module> norm3_;
};

/// What a family's blocks are, and how its stages are called.
struct SwinParts {
  virtual ~SwinParts() = default;
  virtual std::unique_ptr<SwinBlock> block(const SwinPlace& p) const = 0;
  virtual std::unique_ptr<Module> downsample(int in, int out) const = 0;

  std::string_view stages = "layers";
  bool norm = true;             // behind the last stage
  bool channels_last = true;    // of the levels and features
  float drop_path_rate = 0.1f;  // unless the caller wants another
};

class SwinModel : public HeadedModel, public WindowedModel {
 public:
  Tensor forward_features(const Tensor& image) override;
  std::vector<LayerGroup> group_matcher(bool coarse) const override;
  Size2 patch() const { return patch_embed_->patch(); }
  /// Of patches, in the image that `o` asks for.
  static Size2 grid(const SwinCfg& c, const ModelOptions& o);

 protected:
  SwinModel(const SwinCfg& c, const StageWindows& windows, const ModelOptions& o, const SwinParts& parts);
  AfterLevels after_levels() const override;
  Tensor final_norm(const Tap& tapped) override;
  void resize_windows(std::array<int, 2> image, std::optional<int> patch, const WindowOptions& o) override;

 private:
  struct Stage;
  Tensor pass(Stage& stage, const Tensor& x);
  Tensor as_level(const Tensor& x) const;

  std::string name_;
  bool channels_last_;
  Ref<PatchEmbed> patch_embed_;
  std::vector<Ref<Stage>> stages_;
  Maybe<LayerNorm> norm_;
  WindowReference windows_;
};

/// Of published weights: without buffers that are computed here, with patches of the model's size, and with the
/// merging at the beginning of a stage that Microsoft's files have at the end of the stage before.
StateDict adapt_swin(ImageModel& model, const StateDict& weights);

}  // namespace fovea::zoo
