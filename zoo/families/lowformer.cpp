// SPDX-License-Identifier: Apache-2.0
// zoo/families/lowformer.cpp — LowFormer: convolutions, and in the last stages attention of smaller maps.
// timm.models.lowformer; https://arxiv.org/abs/2409.03460
#include <utility>

#include "zoo/blocks/first_values.h"
#include "zoo/blocks/hidden_head.h"
#include "zoo/blocks/local_convs.h"
#include "zoo/family.h"

namespace fovea::zoo::lowformer {
namespace {

struct Cfg {
  std::array<int, 5> width_list{16, 32, 64, 128, 256}, depth_list{0, 1, 1, 3, 4};  // of the stem and of each stage
  std::array<int, 2> head_widths{1536, 1600};
  double proj_drop_rate = 0, expand_ratio = 4;
  Act act_layer = act::hard_swish;
  bool fused_conv = true;  // the first two convolutions of a block are one
  bool attn = true, attn_mlp = true;
  int attn_mlp_ratio = 4;
  double stem_expand_ratio = 2;
  std::array<int, 4> downsample_expand_ratios{};  // of what halves the map; 0: expand_ratio
  int expand_groups = 1;
};
FOVEA_SETTINGS(Cfg, width_list, depth_list, head_widths, proj_drop_rate, expand_ratio, act_layer, fused_conv, attn,
               attn_mlp, attn_mlp_ratio, stem_expand_ratio, downsample_expand_ratios, expand_groups)

LocalConvs local(const Cfg& c, double ratio, int stride = 1) {
  return {.ratio = ratio,
          .stride = stride,
          .groups = c.expand_groups,
          .last_groups = c.fused_conv ? 1 : c.expand_groups,
          .first_norm = c.fused_conv,
          .depth_norm = false,
          .act = c.act_layer};
}

struct Block final : Module {
  Maybe<Module> attn, mlp;
  Ref<Module> local_;
  Block(const Cfg& c, int dim, int stride, double drop_rate) {
    if (c.attn) {
      ShrunkAttention attention(dim, {.stride = stride, .kernel = stride > 1 ? 5 : 3, .fused = c.fused_conv});
      if (c.attn_mlp) {
        Sequential normed;
        normed.add(GroupNorm(dim, 1));
        normed.add(std::move(attention));
        attn = add("attn", MainPath(std::move(normed), true, drop_rate));
      } else {
        attn = add("attn", MainPath(std::move(attention), true, drop_rate));
      }
    }
    if (c.attn_mlp)
      mlp = add("mlp", MainPath(normed_conv_mlp(dim, c.attn_mlp_ratio, c.proj_drop_rate), true, drop_rate));
    LocalConvs o = local(c, c.expand_ratio);
    const bool fused = c.fused_conv && dim < 256;
    o.bias = true;
    o.first_norm = fused;
    o.last_groups = fused ? 1 : c.expand_groups;
    local_ = add("local", MainPath(fused ? fused_convs(dim, dim, o) : inverted_convs(dim, dim, o), true, drop_rate));
  }
  Tensor forward(const Tensor& x) override { return local_(mlp(attn(x))); }
};

constexpr HiddenHeadNames kHead{.in_conv = "in_conv",
                                .global_pool = "global_pool",
                                .linear = "pre_classifier.0",
                                .norm = "pre_classifier.1",
                                .act = "pre_classifier.2",
                                .classifier = "classifier"};

struct Parts {
  const Cfg& c;
  Sequential convs(size_t s, int in, int out, bool halves) const {
    const int given = halves ? c.downsample_expand_ratios[s - 1] : 0;
    const LocalConvs o = local(c, s == 0 ? c.stem_expand_ratio : given ? given : c.expand_ratio, halves ? 2 : 1);
    return c.fused_conv ? fused_convs(in, out, o) : inverted_convs(in, out, o);
  }
  Block block(size_t s, int dim, double drop_rate) const { return {c, dim, s == 3 ? 2 : 1, drop_rate}; }
};

class LowFormer final : public HiddenHeadModel {
 public:
  LowFormer(const Cfg& c, const ModelOptions& o) : HiddenHeadModel(o) {
    StagedConvs staged(Parts{c}, c.width_list, c.depth_list,
                       {o.in_chans.value_or(3), c.act_layer, static_cast<double>(o.drop_path_rate.value_or(0.0f))});
    add("stem", std::move(staged.stem));
    add_stages(std::move(staged.stages));
    add_head(staged.channels, kHead, {.widths = c.head_widths, .act = c.act_layer});
    start_linear(*this, init::trunc_normal(0.02));
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return {{0, "^stem"}, {1, coarse ? "^stages.#" : "^stages.#.#"}};
  }
};

constexpr Rename kOriginal[] = {
    {"^backbone.input_stem.", "stem."},
    {"^backbone.stages.", "stages."},
    {"head.opseq.", "head."},
    {"head.op_list.0.", "in_conv."},
    {"head.op_list.2.linear.", "pre_classifier.0."},
    {"head.op_list.2.norm.", "pre_classifier.1."},
    {"head.op_list.3.linear.", "classifier."},
    {"op_list.", ""},
    {"op_list.", ""},
    {"total.0.0.", "attn."},
    {"total.0.1.", "mlp."},
    {"total.0.", "attn."},
    {"total.1.", "local."},
    {"conv_proj.0.", "conv_proj.conv."},
    {"conv_proj.1.", "conv_proj.norm."},
    {"pwise.0.", "pwise."},
};

StateDict adapt(ImageModel&, StateDict weights) {
  return weights.contains("stem.0.conv.weight") ? weights : rename(weights, kOriginal);
}

constexpr std::array<int, 4> kWide{6, 6, 6, 6};
constexpr std::array<int, 5> kB15{20, 40, 80, 160, 320}, kB3{32, 64, 128, 256, 512};
constexpr std::array<int, 2> kLargeHead{2304, 2560};
constexpr Cfg large(std::array<int, 5> depths, bool attn, bool attn_mlp) {
  return {.width_list = kB3,
          .depth_list = depths,
          .attn = attn,
          .attn_mlp = attn_mlp,
          .stem_expand_ratio = 4,
          .downsample_expand_ratios = kWide};
}
constexpr Variant<Cfg> variants[] = {
    {"lowformer_b0", {}},
    {"lowformer_b1", {.depth_list{0, 1, 1, 5, 5}, .downsample_expand_ratios = kWide}},
    {"lowformer_b15",
     {.width_list = kB15, .depth_list{0, 1, 1, 6, 6}, .head_widths = kLargeHead, .downsample_expand_ratios = kWide}},
    {"lowformer_b2",
     {.width_list{24, 48, 96, 192, 384},
      .depth_list{0, 1, 1, 6, 6},
      .head_widths = kLargeHead,
      .downsample_expand_ratios = kWide}},
    {"lowformer_b3", large({1, 2, 3, 6, 6}, true, true)},
    {"lowformer_e1",
     {.width_list = kB15,
      .depth_list{0, 1, 1, 4, 4},
      .head_widths = kLargeHead,
      .attn = false,
      .attn_mlp = false,
      .downsample_expand_ratios = kWide}},
    {"lowformer_e2", large({1, 2, 3, 4, 4}, false, false)},
    {"lowformer_e3", large({1, 2, 3, 6, 6}, true, false)},
};

}  // namespace

FOVEA_FAMILY(lowformer, LowFormer, variants, .adapt = adapt)

}  // namespace fovea::zoo::lowformer
