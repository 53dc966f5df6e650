// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vision_tower.h — the vision encoder of a language model, by itself or with a classifier.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/layers/drop.h"
#include "zoo/blocks/vit_block.h"
#include "zoo/image_model.h"

namespace fovea::zoo {

struct TowerOptions {
  bool encoder_only = false;
  std::string_view merging = "merge";                   // the pooling that makes tokens for the language model
  std::string_view encoder_pool = "";                   // of an encoder in front of a classifier: merging or none
  int embed_dim = 1024, merged_dim = 1024, depth = 24;  // channels of tokens before and behind merging
  bool rms = false, final_norm = true;                  // of the norm in front of the classifier
  double norm_eps = 1e-6;
  bool flat = false;                                  // features are tokens [N, L, C] rather than N,H,W,C
  std::vector<std::string_view> stem{"patch_embed"};  // parameters in front of the blocks, and behind them
  std::vector<std::string_view> behind{};
  bool head_joins = true;  // the classifier belongs to the last layer for learning rates by depth
};

/// Makes fewer tokens of many, for a language model.
class TokenMerger : public Module {
 public:
  /// N,H,W,C -> [N, L, out]; `hidden_only`: in front of the last projection.
  Tensor operator()(const Tensor& map, bool hidden_only) {
    const Scope scope(name());
    return merge(map, hidden_only);
  }

 private:
  virtual Tensor merge(const Tensor& map, bool hidden_only) = 0;
};

/// By itself the encoder's parts are the model's own; else they are those of its child "encoder".
class VisionTower : public ImageModel, public TokenModel {
 public:
  Tensor forward(const Tensor& image) override;
  /// Tokens; in front of a classifier those that were merged, where they are.
  Tensor forward_features(const Tensor& image) override;
  Tensor forward_head(const Tensor& features, bool pre_logits = false) override;
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override;
  const std::string& global_pool() const override { return pool_; }
  std::vector<LayerGroup> group_matcher(bool coarse) const override;
  bool alone() const { return options_.encoder_only; }
  bool merges() const { return merges_; }
  std::string within(std::string_view name) const { return alone() ? std::string(name) : str_cat("encoder.", name); }

 protected:
  struct Tokens {
    Tensor x;  // [N, L, C]
    Size2 grid;
    AttentionContext context;
  };
  VisionTower(const ModelOptions& o, const TowerOptions& tower);
  template <class M>
  auto place(std::string_view name, M part) {
    return encoder_ ? encoder_->add(name, std::move(part)) : add(name, std::move(part));
  }
  Param place_param(std::string_view name, const Shape& s, const Init& init) {
    return encoder_ ? encoder_->param(name, s, init) : param(name, s, init);
  }
  Param place_buffer(std::string_view name, const Shape& s, const Init& init) {
    return encoder_ ? encoder_->buffer(name, s, init) : buffer(name, s, init);
  }
  template <class M>
  void place_merger(std::string_view name, M merger) {
    merger_ = place(name, std::move(merger));
  }
  void place_blocks(std::vector<std::unique_ptr<VitBlock>> blocks);
  /// Ends the constructor.
  void add_ends(Maybe<Module> norm = {});

  virtual Tokens enter(const Tensor& image) = 0;
  /// Merged tokens [N, L, merged_dim] of N,H,W,C: those of the merger, unless the model makes them itself.
  virtual Tensor merged(const Tensor& map, bool hidden_only);
  Tensor through(Tensor x, const AttentionContext& c);  // the blocks and the norm behind them
  Tensor classified(const Tensor& pooled, bool pre_logits);

  Tensor final_norm(const Tap& tapped) override;
  AfterLevels after_levels() const override;
  void vacate_behind(std::string_view level, std::string_view last_level) override;
  void drop_head() override;

 private:
  struct Encoder final : Module {
    using Module::add, Module::buffer, Module::param;
  };
  Tensor map_of(const Tensor& image);
  int width() const { return merges_ ? options_.merged_dim : options_.embed_dim; }  // of what a head would get
  void measure_width();
  std::unique_ptr<Module> head_norm() const;
  std::string level_name(size_t block) const;
  void check_pool(std::string_view pool) const;

  TowerOptions options_;
  std::string pool_;
  bool merges_;
  Ref<Encoder> encoder_;
  Maybe<TokenMerger> merger_;
  std::vector<VitBlock*> blocks_;
  Maybe<Module> block_norm_, norm_;
  Ref<Dropout> head_drop_;
  Ref<Module> head_;
};

}  // namespace fovea::zoo
