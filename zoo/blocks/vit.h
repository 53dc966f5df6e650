// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit.h — the Vision Transformer that several families are variants of: https://arxiv.org/abs/2010.11929.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nn/layers/patch_embed.h"
#include "nn/layers/pos_embed.h"
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

struct VitCfg {
  int dim = 768, depth = 12, heads = 12, patch = 16;
  double mlp_ratio = 4;
  std::string_view global_pool = "token";      // token, avg, max, avgmax, map, prr
  bool class_token = true, distilled = false;  // distilled: a second token with a classifier of its own
  int reg_tokens = 0;
  bool pos_embed = true, no_embed_class = false;  // no_embed_class: positions for the patches only
  bool pre_norm = false, final_norm = true;
  FcNorm fc_norm = FcNorm::automatic;
  bool pool_include_prefix = false;
  bool qkv_bias = true, proj_bias = true, qk_norm = false, scale_attn_norm = false, scale_mlp_norm = false;
  double init_values = 0;  // of layer scale; 0: none
  TokenNorm::Kind norm = TokenNorm::Kind::layer;
  double norm_eps = 1e-6;
  bool embed_norm = false;  // a norm behind the patch embedding
  Act act_layer = act::gelu;
  VitMlp mlp = VitMlp::mlp;
  bool diff_attention = false;
  VitBlockKind block = VitBlockKind::pre_norm;
  bool dynamic_img_size = false, dynamic_img_pad = false;
  double pos_drop_rate = 0, patch_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;
  VitInit weight_init = VitInit::timm;
  bool fix_init = false;  // the deeper, the smaller the first values of projections
  VitResample resample = VitResample::cubic;
};
FOVEA_SETTINGS(VitCfg, dim, depth, heads, patch, mlp_ratio, global_pool, class_token, distilled, reg_tokens, pos_embed,
               no_embed_class, pre_norm, final_norm, fc_norm, pool_include_prefix, qkv_bias, proj_bias, qk_norm,
               scale_attn_norm, scale_mlp_norm, init_values, norm, norm_eps, embed_norm, act_layer, mlp, diff_attention,
               block, dynamic_img_size, dynamic_img_pad, pos_drop_rate, patch_drop_rate, proj_drop_rate, attn_drop_rate,
               weight_init, fix_init, resample)

class Vit : public ImageModel {
 public:
  Vit(const VitCfg& c, const ModelOptions& o);
  Tensor forward_features(const Tensor& image) override { return forward_features(image, {}); }
  Tensor forward_features(const Tensor& image, const AttentionMask& m);
  Tensor forward_head(const Tensor& tokens, bool pre_logits = false) override;
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override;
  const std::string& global_pool() const override { return pool_; }
  int default_levels() const override { return 3; }
  int prefix_tokens() const override { return prefix_tokens_; }
  std::vector<std::string> no_weight_decay() const override;
  std::vector<LayerGroup> group_matcher(bool coarse) const override;

  const VitCfg& cfg() const { return cfg_; }
  const PatchEmbed& patches() const { return *patch_embed_; }
  ResampleOptions resample() const;
  Param cls_token, reg_token, pos_embed, dist_token;

 protected:
  Tensor untoken(const Tensor& tokens, int64_t height, int64_t width) const override;
  Tensor final_norm(const Tap& tapped) override { return norm_(tapped.value); }
  Tensor forward_masked(const Tensor& image, const AttentionMask& m) override { return forward_features(image, m); }
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = true}; }
  void drop_head() override;
  void resize_input(std::array<int, 2> image, std::optional<int> patch) override;
  Tensor pool(const Tensor& tokens);
  void start_values();  // after the last child was added
  Ref<Module> head_;
  Ref<Dropout> head_drop_;

 private:
  void add_tokens(int channels, Size2 image);
  void add_blocks(double drop_path_rate);
  void add_head();
  Tensor embed(const Tensor& image);
  int embedded_prefix() const { return cfg_.no_embed_class ? 0 : prefix_tokens_; }
  TokenNorm norm() const { return {.kind = cfg_.norm, .eps = cfg_.norm_eps}; }

  VitCfg cfg_;
  std::string pool_;
  int prefix_tokens_ = 0;
  Ref<PatchEmbed> patch_embed_;
  Ref<Dropout> pos_drop_;
  Maybe<PatchDropout> patch_drop_;
  Maybe<Module> norm_pre_, norm_, attn_pool_, fc_norm_;
  std::vector<VitBlock*> blocks_;
};

}  // namespace fovea::zoo
