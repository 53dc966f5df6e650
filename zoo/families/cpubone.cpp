// SPDX-License-Identifier: Apache-2.0
// zoo/families/cpubone.cpp — CPUBone: LowFormer's stages with grouped convolutions and kernels of 2x2 pixels.
// timm.models.cpubone
#include <memory>
#include <utility>

#include "engine/ops/ops.h"
#include "zoo/blocks/hidden_head.h"
#include "zoo/blocks/local_convs.h"
#include "zoo/family.h"

namespace fovea::zoo::cpubone {
namespace {

// which convolutions of a block that is not fused have norms
enum class Norms : uint8_t { proj, depth_proj, all };
constexpr std::string_view name_of(Norms n) {
  constexpr std::string_view names[] = {"proj", "depth_proj", "all"};
  return static_cast<size_t>(n) < std::size(names) ? names[static_cast<size_t>(n)] : std::string_view();
}
enum class Upsample : uint8_t { transpose, nearest };
constexpr std::string_view name_of(Upsample u) {
  constexpr std::string_view names[] = {"transpose", "nearest"};
  return static_cast<size_t>(u) < std::size(names) ? names[static_cast<size_t>(u)] : std::string_view();
}

struct Cfg {
  std::array<int, 5> width_list{16, 32, 64, 128, 256}, depth_list{0, 1, 1, 5, 5};  // of the stem and of each stage
  std::array<int, 2> head_widths{1536, 1600};
  double proj_drop_rate = 0.1, drop_path_rate = 0, expand_ratio = 4;
  Act act_layer = act::hard_swish;
  bool fused_conv = true, fused_downsample = true;  // the first two convolutions are one
  int attn_mlp_ratio = 4;
  double stem_expand_ratio = 2;
  std::array<int, 4> downsample_expand_ratios{};  // of what halves the map; 0: expand_ratio
  int expand_groups = 2;
  bool small_kernels = true;  // of 2x2 pixels, in the last two stages
  Upsample attn_upsample = Upsample::nearest;
  Norms local_mbconv_norm = Norms::proj;
};
FOVEA_SETTINGS(Cfg, width_list, depth_list, head_widths, proj_drop_rate, drop_path_rate, expand_ratio, act_layer,
               fused_conv, fused_downsample, attn_mlp_ratio, stem_expand_ratio, downsample_expand_ratios, expand_groups,
               small_kernels, attn_upsample, local_mbconv_norm)

/// "total": attention and an MLP, and then convolutions, each on a residual path.
struct Block final : Module {
  Ref<Module> total;
  Block(const Cfg& c, int dim, int stride, double drop_rate) {
    Sequential attention, context, all;
    attention.add(GroupNorm(dim, 1));
    attention.add(ShrunkAttention(dim, {.stride = stride,
                                        .kernel = c.small_kernels ? 2
                                                  : stride > 1    ? 5
                                                                  : 3,
                                        .fused = c.fused_conv,
                                        .nearest = c.attn_upsample == Upsample::nearest}));
    context.add(MainPath(std::move(attention), true, drop_rate));
    context.add(MainPath(normed_conv_mlp(dim, c.attn_mlp_ratio, c.proj_drop_rate), true, drop_rate));
    const bool fused = c.fused_conv && dim < 256;
    const LocalConvs o{.ratio = c.expand_ratio,
                       .kernel = c.small_kernels ? 2 : 3,
                       .groups = c.expand_groups,
                       .bias = true,
                       .first_norm = fused || c.local_mbconv_norm == Norms::all,
                       .depth_norm = c.local_mbconv_norm != Norms::proj,
                       .act = c.act_layer};
    all.add(std::move(context));
    all.add(MainPath(fused ? fused_convs(dim, dim, o) : inverted_convs(dim, dim, o), true, drop_rate));
    total = add("total", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return total(x); }
};

struct Parts {
  const Cfg& c;
  Sequential convs(size_t s, int in, int out, bool halves) const {
    const bool fused = s < 3 ? c.fused_conv : c.fused_downsample;
    double ratio = s == 0 ? c.stem_expand_ratio : c.expand_ratio;
    if (halves && c.downsample_expand_ratios[s - 1] > 0) ratio = c.downsample_expand_ratios[s - 1];
    const LocalConvs o{.ratio = ratio,
                       .stride = halves ? 2 : 1,
                       .groups = c.expand_groups,
                       .first_norm = fused,
                       .depth_norm = false,
                       .act = c.act_layer};
    return fused ? fused_convs(in, out, o) : inverted_convs(in, out, o);
  }
  Block block(size_t s, int dim, double drop_rate) const { return {c, dim, s == 3 ? 2 : 1, drop_rate}; }
};

constexpr HiddenHeadNames kHead{.in_conv = "head.in_conv",
                                .global_pool = "head.global_pool",
                                .linear = "head.pre_classifier.linear",
                                .norm = "head.pre_classifier.norm",
                                .act = "head.pre_classifier.act",
                                .classifier = "head.classifier.linear"};

class CpuBone final : public HiddenHeadModel {
 public:
  CpuBone(const Cfg& c, const ModelOptions& o) : HiddenHeadModel(o) {
    const double drop_path_rate = o.drop_path_rate ? static_cast<double>(*o.drop_path_rate) : c.drop_path_rate;
    StagedConvs staged(Parts{c}, c.width_list, c.depth_list, {o.in_chans.value_or(3), c.act_layer, drop_path_rate});
    add("stem", std::move(staged.stem));
    add_stages(std::move(staged.stages));
    add_head(staged.channels, kHead,
             {.widths = c.head_widths, .act = c.act_layer, .only_pool = "avg", .drop_pre_logits = false});
  }
  std::vector<LayerGroup> group_matcher(bool) const override { return {{0, "^stem"}, {1, "^stages.#"}}; }
};

constexpr Rename kOriginal[] = {
    {"conv_proj.0.", "conv_proj.conv."},
    {"conv_proj.1.", "conv_proj.norm."},
    {"pwise.0.", "pwise."},
    {"head.op_list.0.", "head.in_conv."},
    {"head.op_list.2.", "head.pre_classifier."},
    {"head.op_list.3.", "head.classifier."},
    {"^backbone.input_stem.", "stem."},
    {"^backbone.stages.", "stages."},
    {"op_list.", ""},
    {"op_list.", ""},
};

// Where norms have come behind convolutions with biases, their means take these over.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("stem.0.conv.weight")) return weights;
  StateDict w = rename(weights, kOriginal);
  const StateDict own = model.state_dict();
  for (const std::string& name : w.names()) {
    const size_t conv = name.rfind(".conv.");
    if (conv == std::string::npos || !name.ends_with(".bias") || own.contains(name)) continue;
    const std::string mean = name.substr(0, conv) + ".norm.running_mean";
    if (!own.contains(mean)) continue;
    if (w.contains(mean)) w.set(mean, w.at(mean) - w.at(name));
    w.erase(name);
  }
  return w;
}

constexpr std::array<int, 4> kWide{6, 6, 6, 6};
constexpr std::array<int, 5> kNano{12, 24, 48, 96, 192}, kDeep{0, 1, 1, 6, 6};
constexpr std::array<int, 2> kLargeHead{2304, 2560};
constexpr Cfg b1(Norms norms) { return {.downsample_expand_ratios = kWide, .local_mbconv_norm = norms}; }
constexpr Variant<Cfg> variants[] = {
    {"cpubone_b0_bfrobust", {.depth_list{0, 1, 1, 3, 4}, .local_mbconv_norm = Norms::all}},
    {"cpubone_b1_bfrobust", b1(Norms::all)},
    {"cpubone_b1_dwnorm", b1(Norms::depth_proj)},
    {"cpubone_b2_bfrobust",
     {.width_list{20, 40, 80, 160, 320},
      .depth_list = kDeep,
      .head_widths = kLargeHead,
      .drop_path_rate = 0.1,
      .downsample_expand_ratios = kWide,
      .local_mbconv_norm = Norms::all}},
    {"cpubone_b2pt5_dwnorm",
     {.width_list{24, 48, 96, 192, 384},
      .depth_list = kDeep,
      .head_widths = kLargeHead,
      .downsample_expand_ratios = kWide,
      .local_mbconv_norm = Norms::depth_proj}},
    {"cpubone_b3",
     {.width_list{32, 64, 128, 256, 512},
      .depth_list{1, 2, 3, 6, 6},
      .stem_expand_ratio = 4,
      .downsample_expand_ratios = kWide}},
    {"cpubone_nano", {.width_list = kNano, .depth_list{0, 1, 1, 1, 2}}},
    {"cpubone_s0", {.width_list{14, 28, 56, 112, 224}, .depth_list{0, 1, 1, 2, 3}}},
    {"cpubone_t0", {.width_list = kNano, .depth_list{0, 1, 1, 2, 3}}},
};

}  // namespace

FOVEA_FAMILY(cpubone, CpuBone, variants, .adapt = adapt)

}  // namespace fovea::zoo::cpubone
