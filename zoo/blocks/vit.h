// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit.h — the Vision Transformer that several families are variants of: https://arxiv.org/abs/2010.11929.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nn/layers/patch_embed.h"
#include "nn/layers/pos_embed.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/vit_block.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo {

/// Whether the last norm stands behind the pooling: automatic means for avg, max and avgmax pooling.
enum class FcNorm : uint8_t { automatic, no, yes };
std::string_view name_of(FcNorm v);
/// How position embeddings and patch kernels of published weights are resized.
enum class VitResample : uint8_t { cubic, linear, linear_corners };
std::string_view name_of(VitResample v);

/// Which tokens there are beside the patches, and where they have positions.
struct VitTokens {
  bool class_token = true, distilled = false;  // distilled: a second token with a classifier of its own
  int reg_tokens = 0;
  bool pos_embed = true, no_embed_class = false;  // no_embed_class: positions for the patches only
  bool dynamic_img_size = false, dynamic_img_pad = false;
  VitResample resample = VitResample::cubic;
};
FOVEA_SETTINGS(VitTokens, class_token, distilled, reg_tokens, pos_embed, no_embed_class, dynamic_img_size,
               dynamic_img_pad, resample)

/// What lies around the blocks: norms and pooling.
struct VitEnds {
  std::string_view global_pool = "token";  // token, avg, max, avgmax, map, prr
  bool pool_include_prefix = false;
  bool embed_norm = false, pre_norm = false,
       final_norm = true;  // behind the patches; in front of and behind the blocks
  FcNorm fc_norm = FcNorm::automatic;
};
FOVEA_SETTINGS(VitEnds, global_pool, pool_include_prefix, embed_norm, pre_norm, final_norm, fc_norm)

/// How each block is made.
struct VitBlockCfg {
  VitBlockKind block_fn = VitBlockKind::pre_norm;
  bool qkv_bias = true, proj_bias = true, qk_norm = false, scale_attn_norm = false, scale_mlp_norm = false;
  bool diff_attention = false;
  double init_values = 0;  // of layer scale; 0: none
  TokenNorm::Kind norm = TokenNorm::Kind::layer;
  double norm_eps = 1e-6;
  Act act_layer = act::gelu;
  VitMlp mlp = VitMlp::mlp;
};
FOVEA_SETTINGS(VitBlockCfg, block_fn, qkv_bias, proj_bias, qk_norm, scale_attn_norm, scale_mlp_norm, diff_attention,
               init_values, norm, norm_eps, act_layer, mlp)

/// What training draws.
struct VitTraining {
  double pos_drop_rate = 0, patch_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;
  VitInit weight_init = VitInit::timm;
  bool fix_init = false;  // the deeper, the smaller the first values of projections
};
FOVEA_SETTINGS(VitTraining, pos_drop_rate, patch_drop_rate, proj_drop_rate, attn_drop_rate, weight_init, fix_init)

struct VitCfg {
  int embed_dim = 768, depth = 12, num_heads = 12, patch_size = 16;
  double mlp_ratio = 4;
  VitTokens tokens;
  VitEnds ends;
  VitBlockCfg block;
  VitTraining training;
};
FOVEA_SETTINGS(VitCfg, embed_dim, depth, num_heads, patch_size, mlp_ratio, tokens, ends, block, training)

class Vit : public TokenHeadModel, public TokenModel, public MaskedModel, public SizedModel {
 public:
  Vit(const VitCfg& c, const ModelOptions& o);
  Tensor forward_features(const Tensor& image) override { return forward_features(image, {}); }
  Tensor forward_features(const Tensor& image, const AttentionMask& m);
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override;
  int prefix_tokens() const override { return pools_.prefix; }
  Size2 token_grid(int64_t height, int64_t width) const override { return patch_embed_->grid_of(height, width); }
  std::vector<std::string> no_weight_decay() const override;
  std::vector<LayerGroup> group_matcher(bool coarse) const override;

  const VitCfg& cfg() const { return cfg_; }
  const PatchEmbed& patches() const { return *patch_embed_; }
  ResampleOptions resample() const;
  Param cls_token, reg_token, pos_embed, dist_token;

 protected:
  Tensor final_norm(const Tap& tapped) override { return norm_(tapped.value); }
  Tensor forward_masked(const Tensor& image, const AttentionMask& m) override { return forward_features(image, m); }
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = true}; }
  void resize_input(std::array<int, 2> image, std::optional<int> patch) override;
  Tensor pool(const Tensor& tokens) override;

 private:
  void add_tokens(int channels, Size2 image);
  void add_blocks(double drop_path_rate);
  void add_ends();
  void start_values();
  Tensor embed(const Tensor& image);
  int embedded_prefix() const { return cfg_.tokens.no_embed_class ? 0 : prefix_tokens(); }
  TokenNorm norm() const { return {.kind = cfg_.block.norm, .eps = cfg_.block.norm_eps}; }

  VitCfg cfg_;
  Ref<PatchEmbed> patch_embed_;
  Ref<Dropout> pos_drop_;
  Maybe<PatchDropout> patch_drop_;
  Maybe<Module> norm_pre_, norm_, attn_pool_;
  std::vector<VitBlock*> blocks_;
};

}  // namespace fovea::zoo
