// SPDX-License-Identifier: Apache-2.0
// zoo/families/metaformer.cpp — PoolFormer, ConvFormer and CAFormer: blocks that differ in what mixes the tokens.
// timm.models.metaformer; https://arxiv.org/abs/2111.11418, https://arxiv.org/abs/2210.13452
#include <algorithm>

#include "nn/layers/attention.h"
#include "nn/layers/one_width_pool.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/family.h"

namespace fovea::zoo::metaformer {
namespace {

enum class Mixer : uint8_t { pooling, sep_conv, attention };
constexpr std::string_view name_of(Mixer m) {
  constexpr std::string_view names[] = {"pooling", "sep_conv", "attention"};
  return static_cast<size_t>(m) < std::size(names) ? names[static_cast<size_t>(m)] : std::string_view();
}
using Mixers = std::array<Mixer, 4>;
bool read_setting(std::string_view text, Mixers& v) {  // one a stage, with commas between
  const std::vector<std::string> words = split_list(text);
  if (words.size() != v.size()) return false;
  for (size_t i = 0; i < v.size(); ++i)
    if (!zoo::read_setting(words[i], v[i])) return false;
  return true;
}
std::string write_setting(const Mixers& v) {
  return str_cat(name_of(v[0]), ',', name_of(v[1]), ',', name_of(v[2]), ',', name_of(v[3]));
}
enum class NormLayer : uint8_t {
  none,
  group1,  // over all channels and pixels
  group1_no_bias,
  layer_no_bias,  // over the channels of a pixel
};
constexpr std::string_view name_of(NormLayer n) {
  constexpr std::string_view names[] = {"none", "group1", "group1_no_bias", "layer_no_bias"};
  return static_cast<size_t>(n) < std::size(names) ? names[static_cast<size_t>(n)] : std::string_view();
}

struct Cfg {
  std::array<int, 4> depths{2, 2, 6, 2}, dims{64, 128, 320, 512};
  Mixers token_mixers{};
  bool star_relu = true, mlp_bias = false;  // of the MLPs; else GELU
  double layer_scale_init_values = 0;       // what the factors of branches start as; 0: there are none
  bool res_scale = true;  // the last two stages have factors for what passes a block, which start as 1
  bool downsample_norm = true;
  NormLayer norm_layers = NormLayer::layer_no_bias;
  bool use_mlp_head = true;
  double proj_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, depths, dims, token_mixers, star_relu, mlp_bias, layer_scale_init_values, res_scale,
               downsample_norm, norm_layers, use_mlp_head, proj_drop_rate)

struct Norm final : Module {
  bool group, channels_first;
  double eps;
  Param weight, bias;
  Norm(NormLayer kind, int channels, bool first)
      : group(kind != NormLayer::layer_no_bias),
        channels_first(first),
        eps(kind == NormLayer::group1 ? 1e-5 : 1e-6) {
    weight = param("weight", {channels}, init::ones());
    if (kind == NormLayer::group1) bias = param("bias", {channels}, init::zeros());
  }
  Tensor forward(const Tensor& x) override {
    const Tensor b = bias ? *bias : Tensor();
    if (group) return group_norm(x, weight, b, 1, eps);
    if (!channels_first) return layer_norm(x, weight, b, eps);
    return permute(layer_norm(permute(x, {0, 2, 3, 1}), weight, b, eps), {0, 3, 1, 2});
  }
};
std::unique_ptr<Module> norm(NormLayer kind, int channels, bool channels_first = true) {
  if (kind == NormLayer::none) return nullptr;
  return std::make_unique<Norm>(kind, channels, channels_first);
}
NormLayer downsample_norm(const Cfg& c) { return c.downsample_norm ? NormLayer::layer_no_bias : NormLayer::none; }

/// scale relu(x)^2 + bias, both learned.
struct StarReLU final : Module {
  Param scale, bias;
  StarReLU() {
    scale = param("scale", {1}, init::ones());
    bias = param("bias", {1}, init::zeros());
  }
  Tensor forward(const Tensor& x) override { return square(relu(x)) * *scale + *bias; }
};

/// A factor for each channel.
struct Scale final : Module {
  bool channels_first;
  Param scale;
  Scale(int channels, double start, bool first) : channels_first(first) {
    scale = param("scale", {channels}, init::constant(start));
  }
  Tensor forward(const Tensor& x) override { return channels_first ? x * reshape(scale, {-1, 1, 1}) : x * *scale; }
};

/// The mean of the neighbours; the pixel itself goes, since the block adds it again.
struct Pooling final : Module {
  Ref<Module> pool;
  Pooling() { pool = add("pool", AvgPool2d(3, {.stride = 1, .padding = 1, .count_include_pad = false})); }
  Tensor forward(const Tensor& x) override { return pool(x) - x; }
};

/// An inverted separable convolution.
struct SepConv final : Module {
  Ref<Module> pwconv1, act1, dwconv, pwconv2;
  explicit SepConv(int dim) {
    const int inner = 2 * dim;
    pwconv1 = add("pwconv1", Conv2d(dim, inner, 1));
    act1 = add("act1", StarReLU());
    dwconv = add("dwconv", Conv2d(inner, inner, 7, {.groups = inner}));
    pwconv2 = add("pwconv2", Conv2d(inner, dim, 1));
  }
  Tensor forward(const Tensor& x) override { return pwconv2(dwconv(act1(pwconv1(x)))); }
};

std::unique_ptr<Module> mixer(const Cfg& c, Mixer kind, int dim) {
  constexpr int kHead = 32;
  switch (kind) {
    case Mixer::sep_conv: return std::make_unique<SepConv>(dim);
    case Mixer::attention:
      return std::make_unique<Attention>(
          dim,
          SelfAttentionOptions{
              .heads = std::max(1, dim / kHead), .head_dim = kHead, .proj_bias = false, .proj_drop = c.proj_drop_rate});
    case Mixer::pooling: break;
  }
  return std::make_unique<Pooling>();
}

struct MixedMlp final : Module {
  Ref<Module> fc1, act_, drop, fc2;
  MixedMlp(const Cfg& c, int dim, bool channels_first) {
    fc1 = add("fc1", channel_linear(dim, 4 * dim, channels_first, c.mlp_bias));
    if (c.star_relu) act_ = add("act", StarReLU());
    else act_ = add("act", Activation(act::gelu));
    drop = add("drop1", Dropout(c.proj_drop_rate));
    fc2 = add("fc2", channel_linear(4 * dim, dim, channels_first, c.mlp_bias));
  }
  Tensor forward(const Tensor& x) override { return drop(fc2(drop(act_(fc1(x))))); }
};

struct Block final : Module {
  /// A branch and the factors of its sum.
  struct Half {
    Ref<Module> norm, body, drop_path;
    Maybe<Module> layer_scale, res_scale;
    Tensor operator()(const Tensor& x) const { return res_scale(x) + layer_scale(drop_path(body(norm(x)))); }
  };
  std::array<Half, 2> halves;
  Block(const Cfg& c, const StagePlace& p, double drop_path) {
    const Mixer kind = c.token_mixers[p.stage];
    const bool first = kind != Mixer::attention;
    for (int i = 0; i < 2; ++i) {
      Half& h = halves[static_cast<size_t>(i)];
      h.norm = add(str_cat("norm", i + 1), norm(c.norm_layers, p.out, first));
      if (i == 0) h.body = add("token_mixer", mixer(c, kind, p.out));
      else h.body = add("mlp", MixedMlp(c, p.out, first));
      h.drop_path = add(str_cat("drop_path", i + 1), DropPath(drop_path));
      if (c.layer_scale_init_values != 0)
        h.layer_scale = add(str_cat("layer_scale", i + 1), Scale(p.out, c.layer_scale_init_values, first));
      if (c.res_scale && p.stage >= 2) h.res_scale = add(str_cat("res_scale", i + 1), Scale(p.out, 1, first));
    }
  }
  Tensor forward(const Tensor& x) override { return halves[1](halves[0](x)); }
};

/// A convolution whose norm stands in front of it, or behind it.
struct Patches final : Module {
  bool norm_first;
  Ref<Module> conv;
  Maybe<Module> norm_;
  Patches(const Cfg& c, int in, int out, bool first) : norm_first(first) {
    if (norm_first) norm_ = add("norm", norm(downsample_norm(c), in));
    conv = add("conv", norm_first ? Conv2d(in, out, 3, {.stride = 2, .padding = 1, .bias = true})
                                  : Conv2d(in, out, 7, {.stride = 4, .padding = 2, .bias = true}));
    if (!norm_first) norm_ = add("norm", norm(downsample_norm(c), out));
  }
  Tensor forward(const Tensor& x) override { return norm_first ? conv(norm_(x)) : norm_(conv(x)); }
};

struct Stage final : Module {
  bool tokens;
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, const StagePlace& p, DropPathRamp& drop_path)
      : tokens(c.token_mixers[p.stage] == Mixer::attention) {
    if (p.in != p.out) downsample = add("downsample", Patches(c, p.in, p.out, true));
    Sequential all;
    for (int i = 0; i < p.depth; ++i) all.add(Block(c, p, drop_path.next()));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor map = downsample(x);
    if (!tokens) return blocks(map);
    const Tensor y = blocks(flatten(permute(map, {0, 2, 3, 1}), 1, 2));
    return permute(unflatten(y, 1, {map.dim(2), map.dim(3)}), {0, 3, 1, 2});
  }
};

/// The classifier of the later models.
struct MlpClassifier final : Module {
  Ref<Module> fc1, norm_, fc2;
  MlpClassifier(int features, int classes) {
    const int hidden = 4 * features;
    fc1 = add("fc1", Linear(features, hidden));
    norm_ = add("norm", LayerNorm(hidden));
    fc2 = add("fc2", Linear(hidden, classes));
  }
  Tensor forward(const Tensor& x) override { return fc2(norm_(square(relu(fc1(x))))); }
};

/// Pooling, norm, dropout and a classifier, perhaps of two layers.
class MetaHead final : public Head {
 public:
  MetaHead(int features, int classes, std::string_view pool, double drop_rate, bool mlp)
      : features_(features),
        mlp_(mlp) {
    pool_ = add("global_pool", one_width_pool(pool, false));
    norm_ = add("norm", LayerNorm2d(features));
    drop_ = add("drop", Dropout(drop_rate));
    fc_ = add("fc", classifier(classes));
  }
  void reset(int classes, std::optional<std::string_view> pool = {}) override {
    if (pool) pool_ = replace("global_pool", one_width_pool(*pool, false));
    fc_ = replace("fc", classifier(classes));
  }
  void shorten(int features) override {
    norm_->vacate();
    features_ = features;
  }
  int num_features() const override { return features_; }
  const std::string& pool() const override { return pool_->type(); }

 private:
  std::unique_ptr<Module> classifier(int classes) const {
    if (mlp_ && classes > 0) return std::make_unique<MlpClassifier>(features_, classes);
    return classifier_layer(features_, classes);
  }
  Tensor apply(const Tensor& x, bool pre_logits) override {
    const Tensor y = norm_(pool_(x));
    if (pool_->identity()) {
      if (pre_logits) return drop_(y);
      return permute(fc_(permute(drop_(y), {0, 2, 3, 1})), {0, 3, 1, 2});
    }
    const Tensor pooled = drop_(flatten(y, 1));
    return pre_logits ? pooled : fc_(pooled);
  }
  int features_;
  bool mlp_;
  Ref<GlobalPool> pool_;
  Ref<Module> norm_, fc_;
  Ref<Dropout> drop_;
};

class MetaFormer final : public StagedModel {
 public:
  MetaFormer(const Cfg& c, const ModelOptions& o) : StagedModel(o) {
    add("stem", Patches(c, o.in_chans.value_or(3), c.dims[0], false));
    add_stages<Stage>(c, stage_places(c.depths, c.dims), o);
    const int channels = c.dims[3];
    head(channels, std::make_unique<MetaHead>(channels, num_classes_, wanted_pool("avg"),
                                              static_cast<double>(drop_rate_), c.use_mlp_head));
    if (c.use_mlp_head) classifier_name_ = "head.fc.fc2";
    start_weights(*this, init::trunc_normal(0.02));
  }
  std::vector<LayerGroup> group_matcher(bool) const override { return {}; }
};

// PoolFormer's first code counts what lies between the stages among them.
constexpr Rename kPoolFormer[] = {
    {"layer_scale_1", "layer_scale1.scale"},
    {"layer_scale_2", "layer_scale2.scale"},
    {"^network.1.proj", "stages.1.downsample.conv"},
    {"^network.3.proj", "stages.2.downsample.conv"},
    {"^network.5.proj", "stages.3.downsample.conv"},
    {"^network.0.#", "stages.0.blocks.$1"},
    {"^network.2.#", "stages.1.blocks.$1"},
    {"^network.4.#", "stages.2.blocks.$1"},
    {"^network.6.#", "stages.3.blocks.$1"},
    {"^patch_embed.proj", "stem.conv"},
    {"^norm", "head.norm"},
    {"^head.weight", "head.fc.weight"},
    {"^head.bias", "head.fc.bias"},
};
constexpr Rename kOriginal[] = {
    {"^downsample_layers.0.conv", "stem.conv"},
    {"^downsample_layers.0.post_norm", "stem.norm"},
    {"^downsample_layers.#.pre_norm", "stages.$1.downsample.norm"},
    {"^downsample_layers.#", "stages.$1.downsample"},
    {"^stages.#.#", "stages.$1.blocks.$2"},
    {"^head", "head.fc"},
    {"^norm", "head.norm"},
};

// Layers of each pixel were linear in some, convolutions in others.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("stem.conv.weight")) return weights;
  StateDict w =
      weights.contains("network.0.0.mlp.fc1.weight") ? rename(weights, kPoolFormer) : rename(weights, kOriginal);
  const StateDict own = model.state_dict();
  for (const std::string& name : w.names()) {
    const Tensor t = w.at(name);
    const Tensor* ours = own.find(name);
    if (ours && ours->shape() != t.shape() && ours->numel() == t.numel()) w.set(name, reshape(t, ours->shape()));
  }
  return w;
}

constexpr Mixers kConvs{Mixer::sep_conv, Mixer::sep_conv, Mixer::sep_conv, Mixer::sep_conv},
    kHalf{Mixer::sep_conv, Mixer::sep_conv, Mixer::attention, Mixer::attention};
constexpr Cfg s12{}, s24{.depths{4, 4, 12, 4}}, s36{.depths{6, 6, 18, 6}},
    m36{.depths{6, 6, 18, 6}, .dims{96, 192, 384, 768}}, m48{.depths{8, 8, 24, 8}, .dims{96, 192, 384, 768}};
constexpr Cfg pool_former(Cfg c, double layer_scale) {
  c.star_relu = c.res_scale = c.downsample_norm = c.use_mlp_head = false;
  c.mlp_bias = true;
  c.layer_scale_init_values = layer_scale;
  c.norm_layers = NormLayer::group1;
  return c;
}
constexpr Cfg pool_former_v2(Cfg c) {
  c.norm_layers = NormLayer::group1_no_bias;
  c.use_mlp_head = false;
  return c;
}
constexpr Cfg small18{.depths{3, 3, 9, 3}}, small36{.depths{3, 12, 18, 3}},
    medium36{.depths{3, 12, 18, 3}, .dims{96, 192, 384, 576}}, base36{.depths{3, 12, 18, 3}, .dims{128, 256, 512, 768}};
constexpr Cfg with(Cfg c, const Mixers& mixers) {
  c.token_mixers = mixers;
  return c;
}
constexpr Variant<Cfg> variants[] = {
    {"caformer_b36", with(base36, kHalf)},      {"caformer_m36", with(medium36, kHalf)},
    {"caformer_s18", with(small18, kHalf)},     {"caformer_s36", with(small36, kHalf)},
    {"convformer_b36", with(base36, kConvs)},   {"convformer_m36", with(medium36, kConvs)},
    {"convformer_s18", with(small18, kConvs)},  {"convformer_s36", with(small36, kConvs)},
    {"poolformer_m36", pool_former(m36, 1e-6)}, {"poolformer_m48", pool_former(m48, 1e-6)},
    {"poolformer_s12", pool_former(s12, 1e-5)}, {"poolformer_s24", pool_former(s24, 1e-5)},
    {"poolformer_s36", pool_former(s36, 1e-6)}, {"poolformerv2_m36", pool_former_v2(m36)},
    {"poolformerv2_m48", pool_former_v2(m48)},  {"poolformerv2_s12", pool_former_v2(s12)},
    {"poolformerv2_s24", pool_former_v2(s24)},  {"poolformerv2_s36", pool_former_v2(s36)},
};

}  // namespace

FOVEA_FAMILY(metaformer, MetaFormer, variants, .adapt = adapt)

}  // namespace fovea::zoo::metaformer
