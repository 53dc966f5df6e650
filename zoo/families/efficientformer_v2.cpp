// SPDX-License-Identifier: Apache-2.0
// zoo/families/efficientformer_v2.cpp — EfficientFormerV2: MLPs with a convolution over neighbours, and in the last two
// stages attention whose heads talk to each other. timm.models.efficientformer_v2; https://arxiv.org/abs/2212.08059
#include <cmath>

#include "zoo/blocks/distance_bias.h"
#include "zoo/blocks/distilled_model.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/map_heads.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::efficientformer_v2 {
namespace {

struct Cfg {
  std::array<int, 4> depths{2, 2, 6, 4}, embed_dims{32, 48, 96, 176};
  std::array<int, 4> downsamples{0, 1, 1, 1};  // 1: the stage begins by halving the map
  // hidden channels in those of the block: one number, or one a stage with ',' between; of a stage's blocks with 'x'
  std::string_view mlp_ratios = "4";
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  double norm_eps = 1e-5;
  Act act_layer = act::gelu;
  double proj_drop_rate = 0;
  float drop_path_rate = 0;
  double layer_scale_init_value = 1e-5;  // 0: there are no factors
  int num_vit = 2;                       // blocks at the end of each of the last two stages that attend
  bool distillation = true;              // two classifiers, whose mean counts
};
FOVEA_SETTINGS(Cfg, depths, embed_dims, downsamples, mlp_ratios, norm_layer, norm_eps, act_layer, proj_drop_rate,
               drop_path_rate, layer_scale_init_value, num_vit, distillation)

// Of each block of a stage.
std::vector<double> mlp_ratios(const Cfg& c, size_t stage) {
  const auto fail = [&] {
    throw Error(Error::Kind::argument, str_cat("mlp_ratios '", c.mlp_ratios, "'"),
                "one number, or one a stage (4,4,3,3), or one a block of it (4,4,4x3x3,3)");
  };
  const std::vector<std::string> stages = split_list(c.mlp_ratios);
  if (stages.size() != 1 && stages.size() != 4) fail();
  std::string_view text = stages[stages.size() == 1 ? 0 : stage];
  std::vector<double> ratios;
  for (;;) {
    const size_t end = text.find('x');
    if (!read_setting(text.substr(0, end), ratios.emplace_back())) fail();
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  const auto depth = static_cast<size_t>(c.depths[stage]);
  if (ratios.size() == 1) ratios.resize(depth, ratios[0]);
  if (ratios.size() != depth) fail();
  return ratios;
}

NormSpec norm_of(const Cfg& c) { return {.kind = c.norm_layer, .eps = c.norm_eps}; }

ConvNormAct conv_norm(int in, int out, int kernel = 1, Conv2dOptions o = {}, const NormSpec& n = {},
                      Act act = act::none) {
  o.bias = true;
  return ConvNormAct(in, out, kernel, {.conv = o, .norm = n, .act = act});
}

/// Attention of maps; with a stride to a smaller map, whose answer becomes as large as before.
struct Attention final : DistanceBiased {
  static constexpr int kHeads = 8, kKey = 32, kValues = 4 * kKey * kHeads;
  Maybe<Module> stride_conv;
  Ref<Module> q, k, v, v_local, talking_head1, talking_head2, act, proj;
  int stride_;
  Attention(const Cfg& c, int dim, Size2 grid, int stride) : stride_(stride) {
    if (stride > 1) grid = {(grid.h + stride - 1) / stride, (grid.w + stride - 1) / stride};
    add_biases(grid, kHeads);
    if (stride > 1) stride_conv = add("stride_conv", conv_norm(dim, dim, 3, {.stride = stride, .groups = dim}));
    q = add("q", conv_norm(dim, kHeads * kKey));
    k = add("k", conv_norm(dim, kHeads * kKey));
    v = add("v", conv_norm(dim, kValues));
    v_local = add("v_local", conv_norm(kValues, kValues, 3, {.groups = kValues}));
    talking_head1 = add("talking_head1", Conv2d(kHeads, kHeads, 1, {.bias = true}));
    talking_head2 = add("talking_head2", Conv2d(kHeads, kHeads, 1, {.bias = true}));
    act = add("act", Activation(c.act_layer));
    proj = add("proj", conv_norm(kValues, dim));
  }
  Tensor forward(const Tensor& image) override {
    const Tensor x = stride_conv(image), values = v(x);
    const Tensor scores = matmul(split_map_heads(q(x), kHeads), split_map_heads(k(x), kHeads),
                                 {.transpose_b = true, .scale = 1 / std::sqrt(static_cast<float>(kKey))});
    const Tensor biased = scores + biases(x.dim(2), x.dim(3));
    const Tensor shares = talking_head2(softmax(talking_head1(biased), 3));
    const Tensor seen = matmul(shares, split_map_heads(values, kHeads));
    Tensor y = merge_map_heads(seen, x.dim(2), x.dim(3)) + v_local(values);
    if (stride_conv) y = interpolate(y, {y.dim(2) * stride_, y.dim(3) * stride_}, {.mode = Interpolation::linear});
    return proj(act(y));
  }
};

/// What every second pixel of every second row asks: itself and its neighbours.
struct LocalGlobalQuery final : Module {
  Ref<Module> local, proj;
  LocalGlobalQuery(int in, int out) {
    local = add("local", Conv2d(in, in, 3, {.stride = 2, .groups = in, .padding = 1, .bias = true}));
    proj = add("proj", conv_norm(in, out));
  }
  Tensor forward(const Tensor& x) override {
    return proj(local(x) + slice(slice(x, 2, 0, x.dim(2), 2), 3, 0, x.dim(3), 2));
  }
};

/// Attention that halves the map.
struct AttentionDownsample final : DistanceBiased {
  static constexpr int kHeads = 8, kKey = 16, kValues = 4 * kKey * kHeads;
  Ref<Module> q, k, v, v_local, act, proj;
  AttentionDownsample(const Cfg& c, int in, int out, Size2 grid) {
    add_biases(grid, kHeads, 2);
    q = add("q", LocalGlobalQuery(in, kHeads * kKey));
    k = add("k", conv_norm(in, kHeads * kKey));
    v = add("v", conv_norm(in, kValues));
    v_local = add("v_local", conv_norm(kValues, kValues, 3, {.stride = 2, .groups = kValues}));
    act = add("act", Activation(c.act_layer));
    proj = add("proj", conv_norm(kValues, out));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor values = v(x), local = v_local(values);
    const Tensor seen = sdpa(split_map_heads(q(x), kHeads), split_map_heads(k(x), kHeads),
                             split_map_heads(values, kHeads), biases(x.dim(2), x.dim(3)));
    return proj(act(merge_map_heads(seen, local.dim(2), local.dim(3)) + local));
  }
};

struct Downsample final : Module {
  Ref<Module> conv;
  Maybe<Module> attn;
  Downsample(const Cfg& c, int in, int out, Size2 grid, bool attends) {
    conv = add("conv", conv_norm(in, out, 3, {.stride = 2, .padding = 1}, norm_of(c)));
    if (attends) attn = add("attn", AttentionDownsample(c, in, out, grid));
  }
  Tensor forward(const Tensor& x) override { return attn ? attn(x) + conv(x) : conv(x); }
};

struct ConvMlpWithNorm final : Module {
  Ref<Module> fc1, mid, drop1, fc2, drop2;
  ConvMlpWithNorm(const Cfg& c, int dim, int hidden) {
    fc1 = add("fc1", conv_norm(dim, hidden, 1, {}, norm_of(c), c.act_layer));
    mid = add("mid", conv_norm(hidden, hidden, 3, {.groups = hidden}, norm_of(c), c.act_layer));
    drop1 = add("drop1", Dropout(c.proj_drop_rate));
    fc2 = add("fc2", conv_norm(hidden, dim, 1, {}, norm_of(c)));
    drop2 = add("drop2", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override { return drop2(fc2(drop1(mid(fc1(x))))); }
};

struct Block final : Module {
  Maybe<Module> token_mixer, ls1, drop_path1, ls2;
  Ref<Module> mlp, drop_path2;
  Block(const Cfg& c, int dim, double mlp_ratio, double drop_rate, std::unique_ptr<Module> mixer) {
    const auto factors = [&](std::string_view name) {
      Maybe<Module> m;
      if (c.layer_scale_init_value != 0) m = add(name, LayerScale(dim, c.layer_scale_init_value, true));
      return m;
    };
    if (mixer) {
      token_mixer = add("token_mixer", std::move(mixer));
      ls1 = factors("ls1");
      drop_path1 = add("drop_path1", DropPath(drop_rate));
    }
    mlp = add("mlp", ConvMlpWithNorm(c, dim, static_cast<int>(dim * mlp_ratio)));
    ls2 = factors("ls2");
    drop_path2 = add("drop_path2", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = token_mixer ? x + drop_path1(ls1(token_mixer(x))) : x;
    return y + drop_path2(ls2(mlp(y)));
  }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  /// The grid is that of what comes in, and of what goes out afterwards.
  Stage(const Cfg& c, size_t s, Size2& grid, DropPathRamp& drop_path) {
    const int dim = c.embed_dims[s];
    if (c.downsamples[s]) {
      downsample = add("downsample", Downsample(c, c.embed_dims[s > 0 ? s - 1 : 0], dim, grid, s >= 3));
      grid = {(grid.h + 1) / 2, (grid.w + 1) / 2};
    }
    const std::vector<double> ratios = mlp_ratios(c, s);
    Sequential all;
    for (int i = 0; i < c.depths[s]; ++i) {
      std::unique_ptr<Module> mixer;
      if (s >= 2 && i >= c.depths[s] - c.num_vit) mixer = std::make_unique<Attention>(c, dim, grid, s == 2 ? 2 : 1);
      all.add(Block(c, dim, ratios[static_cast<size_t>(i)], drop_path.next(), std::move(mixer)));
    }
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class EfficientFormerV2 final : public DistilledModel {
 public:
  EfficientFormerV2(const Cfg& c, const ModelOptions& o) : DistilledModel(o) {
    const int half = c.embed_dims[0] / 2;
    Sequential first;
    const Conv2dOptions halves{.stride = 2, .padding = 1};
    first.add("conv1", conv_norm(o.in_chans.value_or(3), half, 3, halves, norm_of(c), c.act_layer));
    first.add("conv2", conv_norm(half, c.embed_dims[0], 3, halves, norm_of(c), c.act_layer));
    add("stem", std::move(first));
    const auto [height, width] = o.img_size.value_or(std::array{224, 224});
    Size2 grid((height + 3) / 4, (width + 3) / 4);
    DropPathRamp drop_path(o, c.depths, c.drop_path_rate);
    Sequential stages;
    for (size_t s = 0; s < 4; ++s) stages.add(Stage(c, s, grid, drop_path));
    add_stages(std::move(stages), norm2d(norm_of(c), c.embed_dims[3]));
    add_heads(c.embed_dims[3], c.distillation);
    start_linear(*this, init::trunc_normal(0.02));
  }
  std::vector<std::string> no_weight_decay() const override { return {"attention_biases"}; }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^stem"}, {1, "^stages.#"}, {.group = 1, .pattern = "^norm", .joins_previous = true}};
  }
};

constexpr Variant<Cfg> variants[] = {
    {"efficientformerv2_l",
     {.depths{5, 5, 15, 10},
      .embed_dims{40, 80, 192, 384},
      .mlp_ratios = "4,4,4x4x4x4x3x3x3x3x3x3x3x4x4x4x4,4x4x4x3x3x3x3x4x4x4",
      .drop_path_rate = 0.1f,
      .num_vit = 6}},
    {"efficientformerv2_s0", {.mlp_ratios = "4,4,4x3x3x3x4x4,4x3x3x4"}},
    {"efficientformerv2_s1",
     {.depths{3, 3, 9, 6}, .embed_dims{32, 48, 120, 224}, .mlp_ratios = "4,4,4x4x3x3x3x3x4x4x4,4x4x3x3x4x4"}},
    {"efficientformerv2_s2",
     {.depths{4, 4, 12, 8},
      .embed_dims{32, 64, 144, 288},
      .mlp_ratios = "4,4,4x4x3x3x3x3x3x3x4x4x4x4,4x4x3x3x3x3x4x4",
      .drop_path_rate = 0.02f,
      .num_vit = 4}},
};

}  // namespace

FOVEA_FAMILY(efficientformer_v2, EfficientFormerV2, variants, .accepts = {.img_size = true})

}  // namespace fovea::zoo::efficientformer_v2
