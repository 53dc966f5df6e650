// SPDX-License-Identifier: Apache-2.0
// zoo/families/efficientvit_mit.cpp — EfficientViT of MIT: inverted bottlenecks, and in the last stages attention
// without softmax, which is linear in the pixels. timm.models.efficientvit_mit; https://arxiv.org/abs/2205.14756
#include <utility>

#include "engine/ops/ops.h"
#include "zoo/blocks/hidden_head.h"
#include "zoo/blocks/local_convs.h"
#include "zoo/blocks/map_heads.h"
#include "zoo/blocks/stage_groups.h"
#include "zoo/family.h"

namespace fovea::zoo::efficientvit_mit {
namespace {

struct Cfg {
  std::array<int, 5> widths{8, 16, 32, 64, 128}, depths{1, 2, 2, 2, 2};  // of the stem and of each stage
  int head_dim = 32;
  double expand_ratio = 4;  // not of large ones
  std::array<int, 2> head_widths{1024, 1280};
  Act act_layer = act::hard_swish;
  double norm_eps = 1e-5;
  bool large = false;  // whole convolutions in the first stages, and ratios of their own
};
FOVEA_SETTINGS(Cfg, widths, depths, head_dim, expand_ratio, head_widths, act_layer, norm_eps)

/// Scores are products of what is positive, so that keys and values are summed up first and once for all queries.
struct LinearAttention final : Module {
  int head;
  Ref<Module> qkv, aggreg, proj;
  LinearAttention(const Cfg& c, int dim) : head(c.head_dim) {
    const int heads = dim / head, wide = 3 * heads * head;
    qkv = add("qkv", NamedConv(dim, wide, {.kernel = 1, .norm = false}));
    Sequential scale, scales;  // neighbours of 5x5 pixels
    scale.add(Conv2d(wide, wide, 5, {.groups = wide}));
    scale.add(Conv2d(wide, wide, 1, {.groups = 3 * heads}));
    scales.add(std::move(scale));
    aggreg = add("aggreg", std::move(scales));
    proj = add("proj", NamedConv(2 * heads * head, dim, {.kernel = 1, .eps = c.norm_eps}));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor own = qkv(x), all = cat({own, aggreg(own)}, 1);
    // N, heads of both scales, channels, pixels; sums are of 32 bits at least
    const DType wide = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
    const Tensor each = unflatten(flatten(all, 2), 1, {-1, 3 * head});
    const Tensor q = cast(relu(narrow(each, 2, 0, head)), wide), k = cast(relu(narrow(each, 2, head, head)), wide),
                 v = cast(narrow(each, 2, 2 * head, head), wide);
    const Tensor answers = matmul(matmul(v, k, {.transpose_b = true}), q);
    const Tensor weights = matmul(sum(k, {3}, keep_dims), q, {.transpose_a = true});
    const Tensor y = cast(answers / (weights + 1e-5), x.dtype());
    return proj(reshape(y, {x.dim(0), -1, x.dim(2), x.dim(3)}));
  }
};

struct Block final : Module {
  Ref<Module> context_module, local_module;
  Block(const Cfg& c, int dim) {
    context_module = add("context_module", MainPath(LinearAttention(c, dim), true));
    local_module = add("local_module", MainPath(inverted_convs(dim, dim,
                                                               {.ratio = c.large ? 6 : c.expand_ratio,
                                                                .bias = true,
                                                                .first_norm = false,
                                                                .depth_norm = false,
                                                                .act = c.act_layer,
                                                                .eps = c.norm_eps}),
                                                true));
  }
  Tensor forward(const Tensor& x) override { return local_module(context_module(x)); }
};

// Two convolutions without anything wider between them.
Sequential narrow_convs(const Cfg& c, int in, int out, int stride, bool few_norms) {
  const NamedConvOptions first{.stride = stride,
                               .groups = c.large ? 1 : in,
                               .bias = few_norms,
                               .norm = !few_norms,
                               .act = c.act_layer,
                               .eps = c.norm_eps};
  Sequential s;
  s.add(c.large ? "conv1" : "depth_conv", NamedConv(in, in, first));
  s.add(c.large ? "conv2" : "point_conv", NamedConv(in, out, {.kernel = c.large ? 3 : 1, .eps = c.norm_eps}));
  return s;
}

Sequential stage(const Cfg& c, size_t s) {
  const int out = c.widths[s];
  const bool attends = s >= (c.large ? 4 : 3), few_norms = s >= 3, fused = c.large && !few_norms;
  LocalConvs o{.ratio = c.large ? attends ? 24 : 16 : c.expand_ratio,
               .stride = 2,
               .bias = few_norms,
               .first_norm = !few_norms,
               .depth_norm = !few_norms,
               .act = c.act_layer,
               .eps = c.norm_eps};
  const auto convs = [&](int in) {
    if (o.ratio == 1) return narrow_convs(c, in, out, o.stride, few_norms);
    return fused ? fused_convs(in, out, o) : inverted_convs(in, out, o);
  };
  Sequential blocks, all;
  blocks.add(MainPath(convs(c.widths[s - 1]), false));
  o.stride = 1;
  if (c.large) o.ratio = 4;
  for (int i = c.large || attends ? 0 : 1; i < c.depths[s]; ++i) {
    if (attends) blocks.add(Block(c, out));
    else blocks.add(MainPath(convs(out), true));
  }
  all.add("blocks", std::move(blocks));
  return all;
}

constexpr HiddenHeadNames kHead{.in_conv = "head.in_conv",
                                .global_pool = "head.global_pool",
                                .linear = "head.classifier.0",
                                .norm = "head.classifier.1",
                                .act = "head.classifier.2",
                                .classifier = "head.classifier.4"};

class EfficientVit final : public HiddenHeadModel {
 public:
  EfficientVit(const Cfg& c, const ModelOptions& o) : HiddenHeadModel(o) {
    Sequential first, stages;
    first.add("in_conv",
              NamedConv(o.in_chans.value_or(3), c.widths[0], {.stride = 2, .act = c.act_layer, .eps = c.norm_eps}));
    for (int i = 0, dim = c.widths[0]; i < c.depths[0]; ++i)
      first.add(str_cat("res", i), MainPath(narrow_convs(c, dim, dim, 1, false), true));
    add("stem", std::move(first));
    for (size_t s = 1; s < c.widths.size(); ++s) stages.add(stage(c, s));
    add_stages(std::move(stages));
    add_head(c.widths[4], kHead,
             {.widths = c.head_widths,
              .act = c.large ? c.act_layer : act::hard_swish,
              .norm_eps = c.norm_eps,
              .always_pools = true});
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override { return stage_groups("stages", "", coarse); }
};

constexpr Cfg large(std::array<int, 5> depths, std::array<int, 5> widths = {32, 64, 128, 256, 512},
                    std::array<int, 2> head = {3072, 3200}) {
  return {.widths = widths,
          .depths = depths,
          .head_widths = head,
          .act_layer = act::gelu_tanh,
          .norm_eps = 1e-7,
          .large = true};
}
constexpr Variant<Cfg> variants[] = {
    {"efficientvit_b0", {.head_dim = 16}},
    {"efficientvit_b1",
     {.widths{16, 32, 64, 128, 256}, .depths{1, 2, 3, 3, 4}, .head_dim = 16, .head_widths{1536, 1600}}},
    {"efficientvit_b2", {.widths{24, 48, 96, 192, 384}, .depths{1, 3, 4, 4, 6}, .head_widths{2304, 2560}}},
    {"efficientvit_b3", {.widths{32, 64, 128, 256, 512}, .depths{1, 4, 6, 6, 9}, .head_widths{2304, 2560}}},
    {"efficientvit_l1", large({1, 1, 1, 6, 6})},
    {"efficientvit_l2", large({1, 2, 2, 8, 8})},
    {"efficientvit_l3", large({1, 2, 2, 8, 8}, {64, 128, 256, 512, 1024}, {6144, 6400})},
};

}  // namespace

FOVEA_FAMILY(efficientvit_mit, EfficientVit, variants, .accepts = {.drop_path_rate = false})

}  // namespace fovea::zoo::efficientvit_mit
