// SPDX-License-Identifier: Apache-2.0
// zoo/families/cspnet.cpp — Cross Stage Partial nets and DarkNets: half of the channels pass a stage by;
// timm.models.cspnet
#include <cmath>

#include "zoo/blocks/chained.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::cspnet {
namespace {

// two transitions behind the blocks; one; no channels that pass by
enum class StageKind : uint8_t { csp, cs3, dark };
constexpr std::string_view name_of(StageKind k) {
  constexpr std::string_view names[] = {"csp", "cs3", "dark"};
  return static_cast<size_t>(k) < std::size(names) ? names[static_cast<size_t>(k)] : std::string_view();
}
// 1x1, 3x3, 1x1; 1x1, 3x3; 3x3, 1x1
enum class BlockKind : uint8_t { bottle, dark, edge };
constexpr std::string_view name_of(BlockKind k) {
  constexpr std::string_view names[] = {"bottle", "dark", "edge"};
  return static_cast<size_t>(k) < std::size(names) ? names[static_cast<size_t>(k)] : std::string_view();
}

struct Cfg {
  std::array<int, 3> stem_chs{32};       // of its convolutions; 0: there are fewer
  int stem_kernel = 3, stem_stride = 2;  // of the first; symmetric padding, but of the focus stem
  bool stem_pool = false;
  std::array<int, 5> depth{}, out_chs{}, groups{1, 1, 1, 1, 1};  // of the stages; depth 0: there are fewer
  bool first_stride = true;                                      // the first stage shrinks, too
  // channels in the middle of a stage, those of its blocks, and in the middle of those, each in what holds it; the
  // first stage may have its own
  double expand_ratio = 1, block_ratio = 1, bottle_ratio = 1;
  double first_expand_ratio = 0, first_block_ratio = 0, first_bottle_ratio = 0;
  bool cross_linear = false;  // no activation in front of the split
  bool down_growth = false;   // the convolution that shrinks the map gives the stage's channels
  bool avg_down = false;
  StageKind stage_type = StageKind::csp;
  BlockKind block_type = BlockKind::bottle;
  std::string_view attn_layer{};
  double attn_ratio = 0;  // 0: its default
  Act act_layer = act::leaky_relu;
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  std::string_view aa_layer{};
  bool zero_init_last = true;
  int default_levels = 0;     // as ImageModel::default_levels()
};
FOVEA_SETTINGS(Cfg, stem_chs, stem_kernel, stem_stride, stem_pool, depth, out_chs, groups, first_stride, expand_ratio,
               block_ratio, bottle_ratio, first_expand_ratio, first_block_ratio, first_bottle_ratio, cross_linear,
               down_growth, avg_down, stage_type, block_type, attn_layer, attn_ratio, act_layer, norm_layer, aa_layer,
               zero_init_last)

struct StageOptions {
  size_t stage;
  int in, out, groups;
  int stride, first_dilation, dilation;
  double expand_ratio, block_ratio, bottle_ratio;
};

int portion(int channels, double ratio) { return static_cast<int>(std::nearbyint(channels * ratio)); }

struct ConvOf {
  int stride = 1, dilation = 1, groups = 1;
  bool act = true, blurs = false;
};
ConvNormAct conv(const Cfg& c, int in, int out, int kernel, const ConvOf& o = {}) {
  return {in,
          out,
          kernel,
          {.conv{.stride = o.stride, .dilation = o.dilation, .groups = o.groups},
           .norm{.kind = c.norm_layer},
           .act = o.act ? c.act_layer : act::none,
           .anti_alias = o.blurs ? c.aa_layer : std::string_view()}};
}

struct Block : Module {
  Maybe<Module> drop_path;
  void close(const Cfg& c, const ConvNormAct& last, double drop_rate) {
    if (c.zero_init_last) zero_norm_weight(*last.bn);
    if (drop_rate > 0) drop_path = add("drop_path", DropPath(drop_rate));
  }
  static std::unique_ptr<Module> attention(const Cfg& c, int channels) {
    return channel_attention(c.attn_layer, channels, {.ratio = c.attn_ratio, .act = c.act_layer});
  }
};

struct BottleneckBlock final : Block {
  Ref<Module> conv1, conv2, act3;
  Ref<ConvNormAct> conv3;
  Maybe<Module> attn2;
  BottleneckBlock(const Cfg& c, const StageOptions& p, int in, int out, double drop_rate) {
    const int mid = portion(out, p.bottle_ratio);
    conv1 = add("conv1", conv(c, in, mid, 1));
    conv2 = add("conv2", conv(c, mid, mid, 3, {.dilation = p.dilation, .groups = p.groups}));
    attn2 = add("attn2", attention(c, mid));
    conv3 = add("conv3", conv(c, mid, out, 1, {.act = false}));
    close(c, *conv3, drop_rate);
    act3 = add("act3", Activation(c.act_layer));
  }
  Tensor forward(const Tensor& x) override { return act3(drop_path(conv3(attn2(conv2(conv1(x))))) + x); }
};

// DarkNet's, or, with the larger kernel first, an edge block.
struct TwoConvBlock final : Block {
  Ref<Module> conv1;
  Ref<ConvNormAct> conv2;
  Maybe<Module> attn;
  TwoConvBlock(const Cfg& c, const StageOptions& p, int in, int out, double drop_rate) {
    const int mid = portion(out, p.bottle_ratio);
    const ConvOf large{.dilation = p.dilation, .groups = p.groups};
    const bool dark = c.block_type == BlockKind::dark;
    conv1 = add("conv1", dark ? conv(c, in, mid, 1) : conv(c, in, mid, 3, large));
    attn = add("attn", attention(c, mid));
    conv2 = add("conv2", dark ? conv(c, mid, out, 3, large) : conv(c, mid, out, 1));
    close(c, *conv2, drop_rate);
  }
  Tensor forward(const Tensor& x) override { return drop_path(conv2(attn(conv1(x)))) + x; }
};

struct Stage final : Module {
  Maybe<Module> conv_down, conv_exp, conv_transition_b, conv_transition;
  Ref<Module> blocks;
  StageKind kind;
  Stage(const Cfg& c, const StageOptions& p, DropPathRamp& drop_path) : kind(c.stage_type) {
    int channels = p.in;
    if (kind == StageKind::dark || p.stride != 1 || p.first_dilation != p.dilation) {
      channels = c.down_growth || kind == StageKind::dark ? p.out : p.in;
      conv_down = add("conv_down", shrinking(c, p, channels));
    }
    const int expanded = portion(p.out, p.expand_ratio), width = portion(p.out, p.block_ratio);
    if (kind != StageKind::dark) {
      conv_exp = add("conv_exp", conv(c, channels, expanded, 1, {.act = !c.cross_linear}));
      channels = expanded / 2;
    }
    Sequential all;
    for (int i = 0; i < c.depth[p.stage]; ++i) {
      if (c.block_type == BlockKind::bottle) all.add(BottleneckBlock(c, p, channels, width, drop_path.next()));
      else all.add(TwoConvBlock(c, p, channels, width, drop_path.next()));
      channels = width;
    }
    blocks = add("blocks", std::move(all));
    if (kind == StageKind::csp) conv_transition_b = add("conv_transition_b", conv(c, channels, expanded / 2, 1));
    if (kind != StageKind::dark) conv_transition = add("conv_transition", conv(c, expanded, p.out, 1));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv_exp(conv_down(x));
    if (kind == StageKind::dark) return blocks(y);
    const Tensors half = chunk(y, 2, 1);
    if (kind == StageKind::cs3) return conv_transition(cat({blocks(half[0]), half[1]}, 1));
    return conv_transition(cat({half[0], conv_transition_b(blocks(half[1]))}, 1));
  }
  static std::unique_ptr<Module> shrinking(const Cfg& c, const StageOptions& p, int out) {
    if (!c.avg_down)
      return std::make_unique<ConvNormAct>(
          conv(c, p.in, out, 3, {.stride = p.stride, .dilation = p.first_dilation, .groups = p.groups, .blurs = true}));
    auto both = std::make_unique<Sequential>();
    if (p.stride == 2) both->add(AvgPool2d(2));
    else both->add(Identity());
    both->add(conv(c, p.in, p.out, 1, {.groups = p.groups}));
    return both;
  }
};

class CspNet final : public Chained<HeadedModel> {
 public:
  CspNet(const Cfg& c, const ModelOptions& o) : Chained(o) {
    default_levels_ = c.default_levels;
    const int channels = add_stem(c, o.in_chans.value_or(3));
    head(add_stages(c, o, channels));
    he_normal_convs(*this, Fan::out);
    zero_biases(*this);
    if (auto* fc = dynamic_cast<Linear*>(find("head.fc"))) fc->weight.slot().init = init::normal(0.01);
  }
  // Of DarkNets timm gives the level at full size, too, but not of the one with attention.
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^stem"}, {1, "^stages.#"}};
    return {{0, "^stem"},
            {1, "^stages.#.blocks.#"},
            {.group = 1, .pattern = "^stages.#.conv_transition", .joins_previous = true},
            {.group = 1, .pattern = "^stages.#.conv_transition_b", .joins_previous = true},
            {.group = 1, .pattern = "^stages.#", .number = 0}};
  }

 private:
  int add_stem(const Cfg& c, int channels) {
    Sequential stem;
    size_t count = 1;
    while (count < c.stem_chs.size() && c.stem_chs[count] > 0) ++count;
    for (size_t i = 0; i < count; ++i) {
      const bool strides = i == 0 && c.stem_stride > 1;
      ConvNormActOptions options{.conv{.stride = strides ? 2 : 1}, .norm{.kind = c.norm_layer}, .act = c.act_layer};
      if (i == 0 && c.stem_kernel == 6) options.conv.padding = 2;  // the focus stem: patches that overlap
      stem.add(str_cat("conv", i + 1), ConvNormAct(channels, c.stem_chs[i], c.stem_kernel, options));
      channels = c.stem_chs[i];
    }
    if (c.stem_pool && c.aa_layer.empty()) {
      stem.add("pool", MaxPool2d(3, {.stride = 2, .padding = 1}));
    } else if (c.stem_pool) {
      stem.add("pool", MaxPool2d(3, {.stride = 1, .padding = 1}));
      stem.add("aa", anti_alias(c.aa_layer, channels, 2));
    }
    add("stem", std::move(stem));
    parts("stem", {static_cast<int>(count) - 1});
    return channels;
  }

  int add_stages(const Cfg& c, const ModelOptions& o, int channels) {
    DropPathRamp drop_path(o, c.depth);
    Dilator strides{.reached = c.stem_stride, .limit = o.output_stride.value_or(32)};
    const auto ratio = [](double first, double rest, size_t s) { return s == 0 && first > 0 ? first : rest; };
    Sequential stages;
    std::vector<int> levels;
    for (size_t s = 0; s < c.depth.size() && c.depth[s] > 0; ++s) {
      const Dilator::Step step = strides.next(s > 0 || c.first_stride ? 2 : 1);
      const StageOptions p{.stage = s,
                    .in = channels,
                    .out = c.out_chs[s],
                    .groups = c.groups[s],
                    .stride = step.stride,
                    .first_dilation = step.dilation > 2 ? 2 : 1,
                    .dilation = step.dilation,
                    .expand_ratio = ratio(c.first_expand_ratio, c.expand_ratio, s),
                    .block_ratio = ratio(c.first_block_ratio, c.block_ratio, s),
                    .bottle_ratio = ratio(c.first_bottle_ratio, c.bottle_ratio, s)};
      stages.add(Stage(c, p, drop_path));
      levels.push_back(static_cast<int>(s));
      channels = p.out;
    }
    add("stages", std::move(stages));
    parts("stages", levels);
    return channels;
  }
};

#include "zoo/families/cspnet_variants.inc"

}  // namespace

FOVEA_FAMILY(cspnet, CspNet, variants, .accepts = {.output_stride = true, .least_output_stride = 8})
}  // namespace fovea::zoo::cspnet
