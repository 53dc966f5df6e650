// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit.h — the Vision Transformer that several families are variants of: https://arxiv.org/abs/2010.11929.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nn/layers/patch_embed.h"
#include "nn/layers/pos_embed.h"
#include "zoo/blocks/naflex_embed.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/vit_cfg.h"
#include "zoo/family.h"
#include "zoo/sequence_model.h"

namespace fovea::zoo {

class Vit : public TokenHeadModel, public TokenModel, public MaskedModel, public SizedModel, public SequenceModel {
 public:
  /// With another way to make tokens of an image than patches, where that is given.
  Vit(const VitCfg& c, const ModelOptions& o, std::unique_ptr<TokenEmbed> embed = nullptr);
  Tensor forward_features(const Tensor& image) override { return forward_features(image, {}); }
  Tensor forward_features(const Tensor& image, const AttentionMask& m);
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override;
  bool takes_sequences() const override { return static_cast<bool>(naflex_); }
  Size2 sequence_patch() const override { return patch_embed_->patch(); }
  bool sequence_channels_last() const override { return cfg_.naflex.patchify_channels_last; }
  bool takes_patches_of(Size2 size) const override {
    return size == sequence_patch() || cfg_.naflex.enable_patch_interpolator;
  }
  SequenceFeatures sequence_features(const PatchSequence& s) override;
  Tensor sequence_head(const SequenceFeatures& f, bool pre_logits = false) override;
  int prefix_tokens() const override { return pools_.prefix; }
  Size2 token_grid(int64_t height, int64_t width) const override { return patch_embed_->grid_of(height, width); }
  std::vector<std::string> no_weight_decay() const override;
  std::vector<LayerGroup> group_matcher(bool coarse) const override;

  const VitCfg& cfg() const { return cfg_; }
  const TokenEmbed& patches() const { return *patch_embed_; }
  ResampleOptions resample() const;
  Param cls_token, reg_token, pos_embed, dist_token;

 protected:
  Tensor final_norm(const Tap& tapped) override { return norm_(tapped.value); }
  Tensor forward_masked(const Tensor& image, const AttentionMask& m) override;
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = true}; }
  void resize_input(std::array<int, 2> image, std::optional<int> patch) override;
  Tensor pool(const Tensor& tokens) override;

 private:
  void add_tokens();
  void add_positions();
  PositionBiasOptions position_bias_options() const;
  void add_blocks(double drop_path_rate);
  void add_ends();
  void start_values();
  Tensor embed(const Tensor& patches);
  PatchDropout::Kept some_of(const Tensor& tokens);  // all, but while training with patch_drop_rate
  template <class Turns>
  Tensor through(const PatchDropout::Kept& some, const AttentionMask& m, Turns turns);
  Tensor run_block(VitBlock& block, const Tensor& x, const AttentionContext& c);
  int embedded_prefix() const { return cfg_.tokens.no_embed_class ? 0 : prefix_tokens(); }
  TokenNorm norm() const { return {.kind = cfg_.block.norm, .eps = cfg_.block.norm_eps}; }

  VitCfg cfg_;
  Ref<TokenEmbed> patch_embed_;
  Maybe<NaflexEmbed> naflex_;
  Ref<Dropout> pos_drop_;
  Maybe<PatchDropout> patch_drop_;
  Ref<PositionBias> rel_pos_;
  Ref<RotaryEmbedding> rope_;
  Maybe<Module> norm_pre_, norm_, attn_pool_;
  std::vector<VitBlock*> blocks_;
};

}  // namespace fovea::zoo
