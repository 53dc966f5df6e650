// SPDX-License-Identifier: Apache-2.0
// zoo/families/mambaout.cpp — MambaOut: gated blocks with a depthwise convolution on some of the channels, N,H,W,C.
// timm.models.mambaout; https://arxiv.org/abs/2405.07992
#include "nn/layers/channels_last_head.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::mambaout {
namespace {

// with the norm behind the convolution or in front of it
enum class Down : uint8_t { conv, conv_nf };
constexpr std::string_view name_of(Down d) {
  constexpr std::string_view names[] = {"conv", "conv_nf"};
  return static_cast<size_t>(d) < std::size(names) ? names[static_cast<size_t>(d)] : std::string_view();
}
// standard: the hidden layer ends with a norm
enum class HeadFn : uint8_t { standard, norm_mlp };
constexpr std::string_view name_of(HeadFn h) {
  constexpr std::string_view names[] = {"default", "norm_mlp"};
  return static_cast<size_t>(h) < std::size(names) ? names[static_cast<size_t>(h)] : std::string_view();
}

struct Cfg {
  std::array<int, 4> depths{3, 3, 9, 3}, dims{96, 192, 384, 576};
  TokenNorm::Kind norm_layer = TokenNorm::Kind::layer;
  Act act_layer = act::gelu;
  double conv_ratio = 1, expansion_ratio = 8.0 / 3;  // of the block's channels: convolved ones, hidden ones
  int kernel_size = 7;
  bool stem_mid_norm = true;
  double ls_init_value = 0;  // not 0: branches have factors; what they start as is fixed
  Down downsample = Down::conv;
  HeadFn head_fn = HeadFn::standard;
};
FOVEA_SETTINGS(Cfg, depths, dims, norm_layer, act_layer, conv_ratio, expansion_ratio, kernel_size, stem_mid_norm,
               ls_init_value, downsample, head_fn)

Tensor to_last(const Tensor& map) { return permute(map, {0, 2, 3, 1}); }
Tensor to_first(const Tensor& map) { return permute(map, {0, 3, 1, 2}); }
Conv2d halving(int in, int out) { return {in, out, 3, {.stride = 2, .bias = true}}; }
std::unique_ptr<Module> norm(const Cfg& c, int channels) { return token_norm({.kind = c.norm_layer}, channels); }

/// N,C,H,W -> N,H,W,C.
struct Stem final : Module {
  Ref<Module> conv1, act, conv2, norm2;
  Maybe<Module> norm1;
  Stem(const Cfg& c, int in) {
    const int out = c.dims[0];
    conv1 = add("conv1", halving(in, out / 2));
    if (c.stem_mid_norm) norm1 = add("norm1", norm(c, out / 2));
    act = add("act", Activation(c.act_layer));
    conv2 = add("conv2", halving(out / 2, out));
    norm2 = add("norm2", norm(c, out));
  }
  Tensor forward(const Tensor& image) override {
    const Tensor half = to_last(conv1(image));
    return norm2(to_last(conv2(to_first(act(norm1(half))))));
  }
};

struct Downsample final : Module {
  bool norm_first;
  Ref<Module> conv, norm_;
  Downsample(const Cfg& c, int in, int out) : norm_first(c.downsample == Down::conv_nf) {
    if (norm_first) norm_ = add("norm", norm(c, in));
    conv = add("conv", halving(in, out));
    if (!norm_first) norm_ = add("norm", norm(c, out));
  }
  Tensor forward(const Tensor& x) override {
    const auto halved = [&](const Tensor& t) { return to_last(conv(to_first(t))); };
    return norm_first ? halved(norm_(x)) : norm_(halved(x));
  }
};

struct GatedConvBlock final : Module {
  std::vector<int64_t> shares;  // gate, values that pass, values that are convolved
  Ref<Module> norm_, fc1, act, conv, fc2;
  Maybe<Module> ls, drop_path;
  GatedConvBlock(const Cfg& c, int dim, double drop_rate) {
    const int hidden = static_cast<int>(c.expansion_ratio * dim), convolved = static_cast<int>(c.conv_ratio * dim);
    if (convolved > hidden || convolved < 1)
      throw Error(Error::Kind::argument, cat("a block of ", hidden, " hidden channels cannot convolve ", convolved),
                  "conv_ratio is at most expansion_ratio");
    shares = {hidden, hidden - convolved, convolved};
    norm_ = add("norm", norm(c, dim));
    fc1 = add("fc1", Linear(dim, 2 * hidden));
    act = add("act", Activation(c.act_layer));
    conv = add("conv", Conv2d(convolved, convolved, c.kernel_size,
                              {.groups = convolved, .padding = c.kernel_size / 2, .bias = true}));
    fc2 = add("fc2", Linear(hidden, dim));
    if (c.ls_init_value != 0) ls = add("ls", LayerScale(dim));
    if (drop_rate > 0) drop_path = add("drop_path", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const std::vector<Tensor> part = split(fc1(norm_(x)), shares, -1);
    const Tensor convolved = to_last(conv(to_first(part[2])));
    const Tensor values = shares[1] > 0 ? cat({part[1], convolved}, -1) : convolved;
    return drop_path(ls(fc2(act(part[0]) * values))) + x;
  }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, const StagePlace& p, DropPathRamp& drop_path) {
    if (p.stage > 0) downsample = add("downsample", Downsample(c, p.in, p.out));
    Sequential all;
    for (int i = 0; i < p.depth; ++i) all.add(GatedConvBlock(c, p.out, drop_path.next()));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class MambaOut final : public StagedModel {
 public:
  MambaOut(const Cfg& c, const ModelOptions& o) : StagedModel(o) {
    features_nchw_ = false;
    channel_axis_ = 3;
    add("stem", Stem(c, o.in_chans.value_or(3)));
    DropPathRamp drop_path(static_cast<double>(o.drop_path_rate.value_or(0.0f)),
                           c.depths[0] + c.depths[1] + c.depths[2] + c.depths[3]);
    Sequential stages;
    for (const StagePlace& p : stage_places(c.depths, c.dims)) stages.add(Stage(c, p, drop_path));
    add("stages", std::move(stages));
    stem_and_stages();
    const int channels = c.dims[3];
    const ChannelsLastHeadOptions options{.pool = wanted_pool("avg"),
                                          .drop_rate = static_cast<double>(drop_rate_),
                                          .hidden = 4 * channels,
                                          .hidden_norm = c.head_fn == HeadFn::standard,
                                          .norm = {.kind = c.norm_layer}};
    head(channels, std::make_unique<ChannelsLastHead>(channels, num_classes_, options));
    start_weights(*this, init::trunc_normal(0.02));
  }
};

constexpr Rename kOriginal[] = {
    {"^downsample_layers.0.", "stem."},
    {"^downsample_layers.#", "stages.$1.downsample"},
    {"^stages.#.#", "stages.$1.blocks.$2"},
    {"^norm.", "head.norm."},
};
constexpr Rename kOriginalHead[] = {
    {"^head.fc1.", "head.pre_logits.fc."},
    {"^head.norm.", "head.pre_logits.norm."},
    {"^head.fc2.", "head.fc."},
};

StateDict adapt(ImageModel&, StateDict weights) {
  if (weights.contains("stem.conv1.weight")) return weights;
  return rename(rename(weights, kOriginalHead), kOriginal);  // the head's own norm first
}

constexpr Cfg rw(Cfg c) {
  c.stem_mid_norm = false;
  c.downsample = Down::conv_nf;
  c.ls_init_value = 1e-6;
  c.head_fn = HeadFn::norm_mlp;
  return c;
}
constexpr Cfg wide{
    .depths{3, 4, 27, 3}, .dims{128, 256, 512, 768}, .act_layer = act::silu, .conv_ratio = 1.5, .expansion_ratio = 3},
    plus{.depths{3, 4, 30, 3},
         .dims{128, 256, 512, 768},
         .act_layer = act::silu,
         .conv_ratio = 1.5,
         .expansion_ratio = 3};
constexpr Variant<Cfg> variants[] = {
    {"mambaout_base", {.depths{3, 4, 27, 3}, .dims{128, 256, 512, 768}}},
    {"mambaout_base_plus_rw", rw(plus)},
    {"mambaout_base_short_rw",
     rw({.depths{3, 3, 25, 3}, .dims{128, 256, 512, 768}, .conv_ratio = 1.25, .expansion_ratio = 3})},
    {"mambaout_base_tall_rw",
     rw({.depths{3, 4, 30, 3}, .dims{128, 256, 512, 768}, .conv_ratio = 1.25, .expansion_ratio = 2.5})},
    {"mambaout_base_wide_rw", rw(wide)},
    {"mambaout_femto", {.dims{48, 96, 192, 288}}},
    {"mambaout_kobe", {.depths{3, 3, 15, 3}, .dims{48, 96, 192, 288}}},
    {"mambaout_small", {.depths{3, 4, 27, 3}}},
    {"mambaout_small_rw", rw({.depths{3, 4, 27, 3}})},
    {"mambaout_tiny", {}},
    {"test_mambaout", rw({.depths{1, 1, 3, 1}, .dims{16, 32, 48, 64}, .act_layer = act::silu, .expansion_ratio = 3})},
};

}  // namespace

FOVEA_FAMILY(mambaout, MambaOut, variants, .adapt = adapt)

}  // namespace fovea::zoo::mambaout
