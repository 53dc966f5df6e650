// SPDX-License-Identifier: Apache-2.0
// zoo/families/vitamin.cpp — ViTamin: a ViT with gated MLPs over the map of two stages of inverted bottlenecks.
// timm.models.vitamin; https://arxiv.org/abs/2404.02132
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/hybrid_embed.h"
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights.h"

namespace fovea::zoo::vitamin {
namespace {

struct Cfg {
  std::array<int, 2> stem_dims{64, 128}, stem_depths{2, 4};  // of the stages
  int stem_width = 64;
  VitCfg vit;
};
FOVEA_SETTINGS(Cfg, stem_dims, stem_depths, stem_width, vit)

constexpr NormSpec kNorm{.kind = NormSpec::Kind::layer, .eps = 1e-6};
constexpr Act kAct = act::gelu;

struct Stem final : Module {
  Ref<Module> conv1, norm1, conv2;
  Stem(int in, int out) {
    conv1 = add("conv1", Conv2d(in, out, 3, {.stride = 2, .bias = true}));
    norm1 = add("norm1", norm_act2d(kNorm, out, kAct));
    conv2 = add("conv2", Conv2d(out, out, 3, {.bias = true}));
    he_normal_convs(*this, Fan::group_out);
    zero_biases(*this);
  }
  Tensor forward(const Tensor& image) override { return conv2(norm1(conv1(image))); }
};

/// The mean of the neighbours of every other pixel.
struct Downsample2d final : Module {
  Ref<Module> pool;
  Maybe<Module> expand;
  Downsample2d(int in, int out) {
    pool = add("pool", AvgPool2d(3, {.stride = 2, .padding = 1, .count_include_pad = false}));
    if (in != out) expand = add("expand", Conv2d(in, out, 1, {.bias = true}));
  }
  Tensor forward(const Tensor& x) override { return expand(pool(x)); }
};

/// An inverted bottleneck with its norm in front.
struct MbConvLNBlock final : Module {
  Maybe<Module> shortcut;
  std::vector<Ref<Module>> branch;
  MbConvLNBlock(int in, int out, int stride) {
    const int middle = make_divisible(4 * out);
    if (stride == 2) shortcut = add("shortcut", Downsample2d(in, out));
    else if (in != out) shortcut = add("shortcut", Conv2d(in, out, 1, {.bias = true}));
    branch = {add("pre_norm", norm2d(kNorm, in)),
              add("conv1_1x1", Conv2d(in, middle, 1, {.bias = true})),
              add("act1", Activation(kAct)),
              add("conv2_kxk", Conv2d(middle, middle, 3, {.stride = stride, .groups = middle, .bias = true})),
              add("act2", Activation(kAct)),
              add("conv3_1x1", Conv2d(middle, out, 1, {.bias = true}))};
    he_normal_convs(*this, Fan::group_out);
    zero_biases(*this);
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (const Ref<Module>& part : branch) y = part(y);
    return y + shortcut(x);
  }
};

struct StridedConv final : Module {
  Ref<Module> proj, norm;
  StridedConv(int in, int out) {
    proj = add("proj", Conv2d(in, out, 3, {.stride = 2, .padding = 1, .bias = true}));
    norm = add("norm", norm2d(kNorm, in));
  }
  Tensor forward(const Tensor& x) override { return proj(norm(x)); }
};

struct MbConvStages final : Module {
  Ref<Module> stem, stages_, pool;
  MbConvStages(const Cfg& c, int in) {
    stem = add("stem", Stem(in, c.stem_width));
    Sequential stages;
    int channels = c.stem_width;
    for (size_t s = 0; s < 2; ++s) {
      Sequential blocks;
      for (int i = 0; i < c.stem_depths[s]; ++i) {
        blocks.add(MbConvLNBlock(channels, c.stem_dims[s], i == 0 ? 2 : 1));
        channels = c.stem_dims[s];
      }
      stages.add(std::move(blocks));
    }
    stages_ = add("stages", std::move(stages));
    pool = add("pool", StridedConv(channels, c.vit.embed_dim));
  }
  Tensor forward(const Tensor& image) override { return pool(stages_(stem(image))); }
};

std::unique_ptr<TokenEmbed> tokens_of(const Cfg& c, const ModelOptions& o) {
  const std::array<int, 2> size = o.img_size.value_or(std::array{224, 224});
  const int in = o.in_chans.value_or(3);
  const bool any_size = c.vit.tokens.dynamic_img_size;
  return std::make_unique<HybridEmbed>(
      std::make_unique<MbConvStages>(c, in),
      HybridEmbedOptions{.channels = in,
                         .dim = c.vit.embed_dim,
                         .image = {size[0], size[1]},
                         .patch = c.vit.patch_size,
                         .proj = false,
                         .strict_size = c.vit.tokens.pos_embed != VitPositions::none && !any_size,
                         .pad = c.vit.tokens.dynamic_img_pad,
                         .flatten = !any_size});
}

struct Vitamin final : Vit {
  Vitamin(const Cfg& c, const ModelOptions& o) : Vit(c.vit, o, tokens_of(c, o)) {}
};

constexpr Cfg vitamin(std::array<int, 2> dims, int dim, int depth, int heads,
                      VitPositions positions = VitPositions::learned) {
  return {.stem_dims = dims,
          .stem_width = dims[0],
          .vit{.embed_dim = dim,
               .depth = depth,
               .num_heads = heads,
               .patch_size = 1,
               .mlp_ratio = 2,
               .tokens{.class_token = false, .pos_embed = positions},
               .ends{.global_pool = "avg"},
               .block{.mlp = VitMlp::geglu}}};
}
constexpr Cfg small = vitamin({64, 128}, 384, 14, 6), base = vitamin({128, 256}, 768, 14, 12),
              large = vitamin({160, 320}, 1024, 31, 16), xlarge = vitamin({192, 384}, 1152, 32, 16, VitPositions::none);
constexpr Variant<Cfg> variants[] = {
    {"vitamin_base_224", base},     {"vitamin_large2_224", large},  {"vitamin_large2_256", large},
    {"vitamin_large2_336", large},  {"vitamin_large2_384", large},  {"vitamin_large_224", large},
    {"vitamin_large_256", large},   {"vitamin_large_336", large},   {"vitamin_large_384", large},
    {"vitamin_small_224", small},   {"vitamin_xlarge_256", xlarge}, {"vitamin_xlarge_336", xlarge},
    {"vitamin_xlarge_384", xlarge},
};

}  // namespace

FOVEA_FAMILY(vitamin, Vitamin, variants, .accepts = {.img_size = true}, .adapt = adapt_vit)

}  // namespace fovea::zoo::vitamin
