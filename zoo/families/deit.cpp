// SPDX-License-Identifier: Apache-2.0
// zoo/families/deit.cpp — DeiT with and without a distillation token, DeiT III; timm.models.deit
#include "engine/ops/ops.h"
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights.h"

namespace fovea::zoo::deit {
namespace {

/// A Vit whose distilled variants average two classifiers: of the class token and of the distillation token.
class Deit final : public Vit {
 public:
  Deit(const VitCfg& c, const ModelOptions& o) : Vit(c, o) {
    if (!c.distilled) return;
    check(global_pool());
    head_dist_ = add("head_dist", classifier_layer(c.dim, num_classes_));
    start_values();
  }

  Tensor forward_head(const Tensor& tokens, bool pre_logits) override {
    if (!head_dist_) return Vit::forward_head(tokens, pre_logits);
    const auto [a, b] = heads(tokens, pre_logits);
    return (a + b) * 0.5;
  }

  /// What the two classifiers say each: training by distillation compares them with different labels.
  std::pair<Tensor, Tensor> heads(const Tensor& tokens, bool pre_logits = false) {
    const Tensor a = head_drop_(select(tokens, 1, 0)), b = head_drop_(select(tokens, 1, 1));
    if (pre_logits) return {a, b};
    return {head_(a), head_dist_(b)};
  }

  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool) override {
    if (!head_dist_) return Vit::reset_classifier(num_classes, global_pool);
    if (global_pool) check(*global_pool);
    Vit::reset_classifier(num_classes);
    head_dist_ = replace("head_dist", classifier_layer(num_features(), num_classes));
  }

 private:
  static void check(std::string_view pool) {
    if (pool != "token" && !pool.empty())
      throw Error(Error::Kind::argument, cat("a distilled model has no pooling '", pool, "'"),
                  "its classifiers read the class and the distillation token");
  }
  Ref<Module> head_dist_;
};

constexpr VitCfg plain(int dim, int heads) {
  VitCfg c;
  c.dim = dim;
  c.heads = heads;
  return c;
}
constexpr VitCfg distilled(VitCfg c) {
  c.distilled = true;
  return c;
}
constexpr VitCfg deit3(int dim, int heads, int depth = 12, int patch = 16) {
  VitCfg c = plain(dim, heads);
  c.depth = depth;
  c.patch = patch;
  c.no_embed_class = true;
  c.init_values = 1e-6;
  return c;
}

constexpr Variant<VitCfg> variants[] = {
    {"deit_tiny_patch16_224", plain(192, 3)},
    {"deit_small_patch16_224", plain(384, 6)},
    {"deit_base_patch16_224", plain(768, 12)},
    {"deit_base_patch16_384", plain(768, 12)},
    {"deit_tiny_distilled_patch16_224", distilled(plain(192, 3))},
    {"deit_small_distilled_patch16_224", distilled(plain(384, 6))},
    {"deit_base_distilled_patch16_224", distilled(plain(768, 12))},
    {"deit_base_distilled_patch16_384", distilled(plain(768, 12))},
    {"deit3_small_patch16_224", deit3(384, 6)},
    {"deit3_small_patch16_384", deit3(384, 6)},
    {"deit3_medium_patch16_224", deit3(512, 8)},
    {"deit3_base_patch16_224", deit3(768, 12)},
    {"deit3_base_patch16_384", deit3(768, 12)},
    {"deit3_large_patch16_224", deit3(1024, 16, 24)},
    {"deit3_large_patch16_384", deit3(1024, 16, 24)},
    {"deit3_huge_patch14_224", deit3(1280, 16, 32, 14)},
};

// DeiT III calls the factors of its branches gamma_1 and gamma_2.
constexpr Rename kScales[] = {{"gamma_1", "ls1.gamma"}, {"gamma_2", "ls2.gamma"}};

}  // namespace

FOVEA_FAMILY(deit, Deit, variants, .accepts = {.img_size = true}, .renames = kScales,
             .adapt = adapt_vit)

}  // namespace fovea::zoo::deit
