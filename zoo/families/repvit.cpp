// SPDX-License-Identifier: Apache-2.0
// zoo/families/repvit.cpp — RepViT, whose branches and norms are single convolutions after training:
// https://arxiv.org/abs/2307.09283; timm.models.repvit
#include "zoo/blocks/distilled_model.h"
#include "zoo/blocks/normed_layers.h"
#include "zoo/family.h"

namespace fovea::zoo::repvit {
namespace {

struct Cfg {
  std::array<int, 4> embed_dim{48, 96, 192, 384}, depth{2, 2, 14, 2};
  double mlp_ratio = 2;
  int kernel_size = 3;
  Act act_layer = act::gelu;
  bool distillation = true;  // two classifiers, whose mean counts
  bool legacy = false;       // norms in the branches instead of behind their sum
};
FOVEA_SETTINGS(Cfg, embed_dim, depth, mlp_ratio, kernel_size, act_layer, distillation, legacy)

struct ConvNorm final : zoo::ConvNorm {
  ConvNorm(int in, int out, int kernel = 1, const Conv2dOptions& o = {}, double gain = 1)
      : zoo::ConvNorm("c", in, out, kernel, o, gain) {}
};

// A depthwise convolution, one of single pixels and the map itself.
struct RepVggDw final : FusibleLayer {
  Ref<ConvNorm> conv;
  Ref<Module> conv1;
  Maybe<Module> bn;
  RepVggDw(const Cfg& c, int channels) {
    conv = add("conv", ConvNorm(channels, channels, c.kernel_size, {.groups = channels}));
    if (c.legacy) {
      conv1 = add("conv1", ConvNorm(channels, channels, 1, {.groups = channels}));
    } else {
      conv1 = add("conv1", Conv2d(channels, channels, 1, {.groups = channels, .bias = true}));
      bn = add("bn", BatchNorm2d(channels));
    }
  }
  Tensor branches(const Tensor& x) override { return bn(conv(x) + conv1(x) + x); }
  std::unique_ptr<Module> layer() override {
    return fused_conv(*this, *conv->conv, Branches([this](const Tensor& x) { return branches(x); }));
  }
};

struct RepVitMlp final : Module {
  Ref<Module> conv1, conv2;
  Act act;
  RepVitMlp(const Cfg& c, int channels) : act(c.act_layer) {
    const int hidden = static_cast<int>(channels * c.mlp_ratio);
    conv1 = add("conv1", ConvNorm(channels, hidden));
    conv2 = add("conv2", ConvNorm(hidden, channels, 1, {}, 0));
  }
  Tensor forward(const Tensor& x) override { return conv2(activate(conv1(x), act)); }
};

struct Block final : Module {
  Ref<Module> token_mixer, channel_mixer;
  Maybe<Module> se;
  Block(const Cfg& c, int channels, bool squeezes) {
    token_mixer = add("token_mixer", RepVggDw(c, channels));
    if (squeezes) se = add("se", SEModule(channels, {.ratio = 0.25}));
    channel_mixer = add("channel_mixer", RepVitMlp(c, channels));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = se(token_mixer(x));
    return y + channel_mixer(y);
  }
};

struct Stem final : Module {
  Ref<Module> conv1, conv2;
  Act act;
  Stem(const Cfg& c, int in, int out) : act(c.act_layer) {
    conv1 = add("conv1", ConvNorm(in, out / 2, 3, {.stride = 2, .padding = 1}));
    conv2 = add("conv2", ConvNorm(out / 2, out, 3, {.stride = 2, .padding = 1}));
  }
  Tensor forward(const Tensor& x) override { return conv2(activate(conv1(x), act)); }
};

struct Downsample final : Module {
  Ref<Module> pre_block, spatial, channel, ffn;
  Downsample(const Cfg& c, int in, int out) {
    pre_block = add("pre_block", Block(c, in, false));
    const Conv2dOptions half{.stride = 2, .groups = in, .padding = (c.kernel_size - 1) / 2};
    spatial = add("spatial_downsample", ConvNorm(in, in, c.kernel_size, half));
    channel = add("channel_downsample", ConvNorm(in, out));
    ffn = add("ffn", RepVitMlp(c, out));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = channel(spatial(pre_block(x)));
    return y + ffn(y);
  }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, size_t s) {
    const int channels = c.embed_dim[s];
    if (s > 0) downsample = add("downsample", Downsample(c, c.embed_dim[s - 1], channels));
    Sequential all;
    for (int i = 0; i < c.depth[s]; ++i) all.add(Block(c, channels, i % 2 == 0));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class RepVit final : public DistilledModel {
 public:
  RepVit(const Cfg& c, const ModelOptions& o) : DistilledModel(o), distilled_(c.distillation) {
    add("stem", Stem(c, o.in_chans.value_or(3), c.embed_dim[0]));
    Sequential all;
    for (size_t s = 0; s < 4; ++s) all.add(Stage(c, s));
    add_stages(std::move(all));
    add_heads(c.embed_dim[3], false);
    distilled_ = false;  // a new classifier is one
  }

 private:
  std::unique_ptr<Module> classifier_of(int classes) const override {
    return std::make_unique<NormLinears>(num_features_, classes, distilled_);
  }
  bool distilled_;
};

// Weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("stem.conv1.weight")) fuse(model);
  return weights;
}

constexpr Variant<Cfg> variants[] = {
    {"repvit_m0_9", {}},
    {"repvit_m1", {.legacy = true}},
    {"repvit_m1_0", {.embed_dim{56, 112, 224, 448}}},
    {"repvit_m1_1", {.embed_dim{64, 128, 256, 512}, .depth{2, 2, 12, 2}}},
    {"repvit_m1_5", {.embed_dim{64, 128, 256, 512}, .depth{4, 4, 24, 4}}},
    {"repvit_m2", {.embed_dim{64, 128, 256, 512}, .depth{2, 2, 12, 2}, .legacy = true}},
    {"repvit_m2_3", {.embed_dim{80, 160, 320, 640}, .depth{6, 6, 34, 2}}},
    {"repvit_m3", {.embed_dim{64, 128, 256, 512}, .depth{4, 4, 18, 2}, .legacy = true}},
};

}  // namespace

FOVEA_FAMILY(repvit, RepVit, variants, .accepts = {.img_size = true, .drop_path_rate = false}, .adapt = adapt)
}  // namespace fovea::zoo::repvit
