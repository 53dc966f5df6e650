// SPDX-License-Identifier: Apache-2.0
// zoo/families/fastvit.cpp — FastViT: mixers and embeddings whose branches are single convolutions after training, and
// the image encoders of MobileCLIP. timm.models.fastvit; https://arxiv.org/abs/2303.14189,
// https://arxiv.org/abs/2311.17049
#include <algorithm>
#include <charconv>
#include <set>

#include "zoo/blocks/branched_conv.h"
#include "zoo/blocks/channel_factors.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/family.h"

namespace fovea::zoo::fastvit {
namespace {

/// A number for each of four or five stages.
struct PerStage {
  std::array<int, 5> values{};
  size_t count = 0;
  constexpr PerStage(std::initializer_list<int> all) {
    for (const int v : all) values[count++] = v;
  }
  constexpr int operator[](size_t stage) const { return values[stage]; }
};
bool read_setting(std::string_view text, PerStage& v) {
  const std::vector<std::string> parts = split_list(text);
  if (parts.empty() || parts.size() > v.values.size()) return false;
  v = {};
  for (const std::string& part : parts)
    if (!zoo::read_setting(part, v.values[v.count++])) return false;
  return true;
}
std::string write_setting(const PerStage& v) {
  return zoo::write_setting(std::span<const int>(v.values.data(), v.count));
}

struct Cfg {
  PerStage layers{2, 2, 6, 2}, embed_dims{64, 128, 256, 512}, mlp_ratios{4, 4, 4, 4};
  std::string_view token_mixers = "repmixer,repmixer,repmixer,repmixer";  // or "attention"
  PerStage downsamples{0, 1, 1, 1}, se_downsamples{0, 0, 0, 0};           // 1: yes
  int repmixer_kernel_size = 3;
  PerStage pos_embs{0, 0, 0, 0};  // kernels of positional encodings in front of the blocks; 0: none
  int down_patch_size = 7, down_stride = 2;
  double proj_drop_rate = 0;
  double layer_scale_init_value = 1e-5;  // 0: there are no factors
  bool lkc_use_act = false;              // an activation behind the large convolutions of embeddings
  bool stem_use_scale_branch = true;
  double cls_ratio = 2;                               // channels of the last convolution in those of the last stage
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;  // of attention
  Act act_layer = act::gelu;
  bool inference_mode = false;  // fused from the start
};
FOVEA_SETTINGS(Cfg, layers, embed_dims, mlp_ratios, token_mixers, downsamples, se_downsamples, repmixer_kernel_size,
               pos_embs, down_patch_size, down_stride, proj_drop_rate, layer_scale_init_value, lkc_use_act,
               stem_use_scale_branch, cls_ratio, norm_layer, act_layer, inference_mode)

struct MobileOneOptions {
  int kernel = 1, stride = 1;
  bool depthwise = false, squeezes = false, scale_branch = true;
  Act act = act::none;
};
struct MobileOne final : BranchedConv {
  Maybe<Module> se, act;
  MobileOne(int in, int out, const MobileOneOptions& o) {
    if (o.squeezes) se = add("se", SEModule(out, {.divisor = 1}));
    const bool scaled = o.kernel > 1 && o.scale_branch;
    add_branches(in, out,
                 {.kernel = o.kernel,
                  .stride = o.stride,
                  .groups = o.depthwise ? in : 1,
                  .branches = 1,
                  .pointwise = scaled ? "conv_scale" : ""});
    if (!o.act.identity()) act = add("act", Activation(o.act));
  }
  Tensor forward(const Tensor& x) override { return act(se(convolved(x))); }
};

ConvNormAct depthwise(int in, int out, int kernel, int stride = 1) {
  return ConvNormAct(in, out, kernel, {.conv = {.stride = stride, .groups = in}, .act = act::none});
}

/// A large kernel and a small one.
struct LargeKernelConv final : Reparameterized {
  Ref<ConvNormAct> large_conv, small_conv;
  Maybe<Module> se, act;
  LargeKernelConv(const Cfg& c, int in, int out, bool squeezes) {
    large_conv = add("large_conv", depthwise(in, out, c.down_patch_size, c.down_stride));
    small_conv = add("small_conv", depthwise(in, out, 3, c.down_stride));
    if (squeezes) se = add("se", SEModule(out, {.ratio = 0.25}));
    if (c.lkc_use_act) act = add("act", Activation(c.act_layer));
  }
  Tensor forward(const Tensor& x) override { return act(se(convolved(x))); }
  Tensor branches(const Tensor& x) override { return large_conv(x) + small_conv(x); }
  const Conv2d& largest() const override { return *large_conv->conv; }
  std::vector<Module*> replaced() const override { return {large_conv.get(), small_conv.get()}; }
};

struct PatchEmbed final : Module {
  Ref<Module> proj;
  PatchEmbed(const Cfg& c, int in, int out, bool squeezes) {
    Sequential both;
    both.add(LargeKernelConv(c, in, out, squeezes));
    both.add(MobileOne(out, out, {.act = c.act_layer}));
    proj = add("proj", std::move(both));
  }
  Tensor forward(const Tensor& x) override { return proj(x); }
};

/// A depthwise convolution adds to each pixel what its neighbours say that it is not.
struct RepMixer final : Reparameterized {
  /// A norm under the name that branches have.
  struct Norm final : Module {
    Ref<Module> identity;
    explicit Norm(int dim) { identity = add("identity", BatchNorm2d(dim)); }
    Tensor forward(const Tensor& x) override { return identity(x); }
  };
  Ref<Module> norm;
  Ref<MobileOne> mixer;
  Maybe<Module> layer_scale;
  RepMixer(const Cfg& c, int dim) {
    norm = add("norm", Norm(dim));
    mixer = add("mixer", MobileOne(dim, dim, {.kernel = c.repmixer_kernel_size, .depthwise = true}));
    if (c.layer_scale_init_value != 0) layer_scale = add("layer_scale", ChannelFactors(dim, c.layer_scale_init_value));
  }
  Tensor forward(const Tensor& x) override { return convolved(x); }
  Tensor branches(const Tensor& x) override { return x + layer_scale(mixer(x) - norm(x)); }
  const Conv2d& largest() const override { return mixer->largest(); }
  std::vector<Module*> replaced() const override { return {norm.get(), mixer.get(), layer_scale.get()}; }
};

/// https://arxiv.org/abs/2102.10882
struct PositionalEncoding final : Reparameterized {
  Ref<Conv2d> pos_enc;
  PositionalEncoding(int dim, int kernel) {
    pos_enc = add("pos_enc", Conv2d(dim, dim, kernel, {.groups = dim, .padding = kernel / 2, .bias = true}));
  }
  Tensor forward(const Tensor& x) override { return convolved(x); }
  Tensor branches(const Tensor& x) override { return pos_enc(x) + x; }
  const Conv2d& largest() const override { return *pos_enc; }
  std::vector<Module*> replaced() const override { return {pos_enc.get()}; }
};

struct ConvMlp final : Module {
  Ref<Module> conv, fc1, act, fc2, drop;
  ConvMlp(const Cfg& c, int dim, int hidden) {
    conv = add("conv", depthwise(dim, dim, 7));
    fc1 = add("fc1", Conv2d(dim, hidden, 1, {.bias = true}));
    act = add("act", Activation(c.act_layer));
    fc2 = add("fc2", Conv2d(hidden, dim, 1, {.bias = true}));
    drop = add("drop", Dropout(c.proj_drop_rate));
    start_weights(*this, init::trunc_normal(0.02));
  }
  Tensor forward(const Tensor& x) override { return drop(fc2(drop(act(fc1(conv(x)))))); }
};

struct MixerBlock final : Module {
  Ref<Module> token_mixer, mlp, drop_path;
  Maybe<Module> layer_scale;
  MixerBlock(const Cfg& c, int dim, int hidden, double drop_rate) {
    token_mixer = add("token_mixer", RepMixer(c, dim));
    mlp = add("mlp", ConvMlp(c, dim, hidden));
    if (c.layer_scale_init_value != 0) layer_scale = add("layer_scale", ChannelFactors(dim, c.layer_scale_init_value));
    drop_path = add("drop_path", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = token_mixer(x);
    return y + drop_path(layer_scale(mlp(y)));
  }
};

struct AttentionBlock final : Module {
  Ref<Module> norm, token_mixer, drop_path1, mlp, drop_path2;
  Maybe<Module> layer_scale_1, layer_scale_2;
  AttentionBlock(const Cfg& c, int dim, int hidden, double drop_rate) {
    norm = add("norm", norm2d({.kind = c.norm_layer}, dim));
    token_mixer = add("token_mixer", Attention(dim, {.heads = head_channels(dim, kHead)}));
    if (c.layer_scale_init_value != 0)
      layer_scale_1 = add("layer_scale_1", ChannelFactors(dim, c.layer_scale_init_value));
    drop_path1 = add("drop_path1", DropPath(drop_rate));
    mlp = add("mlp", ConvMlp(c, dim, hidden));
    if (c.layer_scale_init_value != 0)
      layer_scale_2 = add("layer_scale_2", ChannelFactors(dim, c.layer_scale_init_value));
    drop_path2 = add("drop_path2", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor tokens = token_mixer(flatten(permute(norm(x), {0, 2, 3, 1}), 1, 2));
    const Tensor seen = permute(unflatten(tokens, 1, {x.dim(2), x.dim(3)}), {0, 3, 1, 2});
    const Tensor y = x + drop_path1(layer_scale_1(seen));
    return y + drop_path2(layer_scale_2(mlp(y)));
  }
  static constexpr int kHead = 32;  // channels of a head
};

struct Stage final : Module {
  Maybe<Module> downsample, pos_emb;
  Ref<Module> blocks;
  Stage(const Cfg& c, const StagePlace& p, DropPathRamp& drop_path) {
    const std::vector<std::string> mixers = split_list(c.token_mixers);
    const std::string mixer = p.stage < mixers.size() ? mixers[p.stage] : "";
    if (mixer != "repmixer" && mixer != "attention")
      throw Error(Error::Kind::argument, str_cat("token_mixers is '", c.token_mixers, "'"),
                  "it says repmixer or attention for each stage");
    if (c.downsamples[p.stage] || p.in != p.out)
      downsample = add("downsample", PatchEmbed(c, p.in, p.out, c.se_downsamples[p.stage] != 0));
    if (c.pos_embs[p.stage]) pos_emb = add("pos_emb", PositionalEncoding(p.out, c.pos_embs[p.stage]));
    const int hidden = p.out * c.mlp_ratios[p.stage];
    Sequential all;
    for (int i = 0; i < p.depth; ++i) {
      if (mixer == "repmixer") all.add(MixerBlock(c, p.out, hidden, drop_path.next()));
      else all.add(AttentionBlock(c, p.out, hidden, drop_path.next()));
    }
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(pos_emb(downsample(x))); }
};

class FastVit final : public StagedModel {
 public:
  FastVit(const Cfg& c, const ModelOptions& o) : StagedModel(o) {
    const size_t stages = c.layers.count;
    for (const PerStage* each : {&c.embed_dims, &c.mlp_ratios, &c.downsamples, &c.se_downsamples, &c.pos_embs})
      if (each->count != stages)
        throw Error(Error::Kind::argument, str_cat("one setting has ", each->count, " stages, another ", stages));
    default_levels_ = stages > 4 ? -4 : 0;
    const int dim = c.embed_dims[0], last = c.embed_dims[stages - 1];
    const MobileOneOptions first{.kernel = 3, .stride = 2, .scale_branch = c.stem_use_scale_branch, .act = c.act_layer};
    MobileOneOptions second = first;
    second.depthwise = true;
    Sequential stem_parts;
    stem_parts.add(MobileOne(o.in_chans.value_or(3), dim, first));
    stem_parts.add(MobileOne(dim, dim, second));
    stem_parts.add(MobileOne(dim, dim, {.act = c.act_layer}));
    add("stem", std::move(stem_parts));
    std::vector<StagePlace> places;
    for (size_t s = 0; s < stages; ++s)
      places.push_back(
          {.stage = s, .in = c.embed_dims[s > 0 ? s - 1 : 0], .out = c.embed_dims[s], .depth = c.layers[s]});
    add_stages<Stage>(c, places, o);
    const int features = static_cast<int>(last * c.cls_ratio);
    add("final_conv",
        MobileOne(last, features, {.kernel = 3, .depthwise = true, .squeezes = true, .act = c.act_layer}));
    stem("final_conv");
    head(features);
    start_linear(*this, init::trunc_normal(0.02));
    if (c.inference_mode) fuse(*this);
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^stem"}, {1, "^stages.#"}};
    return {{0, "^stem"},
            {.group = 1, .pattern = "^stages.#.downsample", .number = 0},
            {.group = 1, .pattern = "^stages.#.pos_emb", .number = 0},
            {1, "^stages.#.blocks.#"}};
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {}, .convs = {"final_conv"}}; }
};

constexpr Rename kOriginal[] = {
    {"patch_embed", "stem"},
    {"rbr_conv", "conv_kxk"},
    {"rbr_scale", "conv_scale"},
    {"rbr_skip", "identity"},
    {"conv_exp", "final_conv"},
    {"lkb_origin", "large_conv"},
    {"convffn", "mlp"},
    {"se.reduce", "se.fc1"},
    {"se.expand", "se.fc2"},
    {"layer_scale", "layer_scale.gamma"},
    {"layer_scale_#", "layer_scale_$1.gamma"},
    {"^head.proj", "head.fc.projection"},
    {"^head.weight", "head.fc.weight"},
    {"^head.bias", "head.fc.bias"},
};

// The number behind "network.", and what follows it.
std::optional<std::pair<int, std::string_view>> place_of(std::string_view name) {
  constexpr std::string_view kList = "network.";
  int place = -1;
  if (!name.starts_with(kList)) return {};
  const char* rest = std::from_chars(name.data() + kList.size(), name.data() + name.size(), place).ptr;
  if (place < 0) return {};
  return std::pair(place, name.substr(static_cast<size_t>(rest - name.data())));
}

// The authors' stages, embeddings and positional encodings are one list: an embedding begins the next stage.
StateDict staged(const StateDict& weights) {
  std::set<int> ends;
  for (const auto& [name, t] : weights)
    if (const auto at = place_of(name); at && at->second.starts_with(".proj.")) ends.insert(at->first);
  StateDict out;
  for (const auto& [name, t] : weights) {
    const auto at = place_of(name);
    if (!at) {
      out.set(name, t);
      continue;
    }
    const auto stage = std::distance(ends.begin(), ends.upper_bound(at->first));
    const std::string_view rest = at->second;
    if (rest.starts_with(".proj.")) out.set(str_cat("stages.", stage, ".downsample", rest), t);
    else if (rest.starts_with(".pe.")) out.set(str_cat("stages.", stage, ".pos_emb.pos_enc", rest.substr(3)), t);
    else out.set(str_cat("stages.", stage, ".blocks", rest), t);
  }
  return out;
}

StateDict adapt(ImageModel& model, StateDict weights) {
  for (const char* tower : {"module.visual.trunk.", "visual.trunk."})
    if (weights.contains(str_cat(tower, "stem.0.conv_kxk.0.conv.weight"))) return below(weights, tower);
  if (weights.contains("stem.0.conv_kxk.0.conv.weight")) return weights;
  if (weights.contains("stem.0.reparam_conv.weight")) {  // those of a fused net fit a fused one
    fuse(model);
    return weights;
  }
  constexpr std::string_view kClip = "image_encoder.model.";
  const bool clip = weights.contains(str_cat(kClip, "patch_embed.0.rbr_conv.0.conv.weight"));
  StateDict w = rename(staged(clip ? below(weights, kClip) : weights), kOriginal);
  if (const Tensor* projection = w.find("head.fc.projection")) {  // of CLIP, without a bias
    const Tensor fc = contiguous(transpose(*projection, 0, 1));
    w.erase("head.fc.projection");
    w.set("head.fc.weight", fc);
    w.set("head.fc.bias", zeros({fc.dim(0)}, fc.dtype()));
  }
  return w;
}

constexpr std::string_view kAttends = "repmixer,repmixer,repmixer,attention";
constexpr Cfg t12{.mlp_ratios{3, 3, 3, 3}},
    t8{.layers{2, 2, 4, 2}, .embed_dims{48, 96, 192, 384}, .mlp_ratios{3, 3, 3, 3}},
    sa12{.token_mixers = kAttends, .pos_embs{0, 0, 0, 7}};
constexpr Cfg deep(PerStage layers) {
  Cfg c = sa12;
  c.layers = layers;
  return c;
}
constexpr Cfg wide(Cfg c, PerStage dims) {
  c.embed_dims = dims;
  return c;
}
constexpr Cfg mci(Cfg c) {
  c.mlp_ratios = {3, 3, 3, 3};
  c.se_downsamples = {0, 0, 1, 1};
  c.lkc_use_act = true;
  return c;
}
// MobileCLIP2's, of five stages.
constexpr Cfg large(PerStage layers, PerStage dims) {
  return {.layers = layers,
          .embed_dims = dims,
          .mlp_ratios{4, 4, 4, 4, 4},
          .token_mixers = "repmixer,repmixer,repmixer,attention,attention",
          .downsamples{0, 1, 1, 1, 1},
          .se_downsamples{0, 0, 0, 0, 0},
          .pos_embs{0, 0, 0, 7, 7},
          .lkc_use_act = true,
          .stem_use_scale_branch = false,
          .norm_layer = NormSpec::Kind::layer};
}
constexpr Variant<Cfg> variants[] = {
    {"fastvit_ma36", wide(deep({6, 6, 18, 6}), {76, 152, 304, 608})},
    {"fastvit_mci0", mci(deep({2, 6, 10, 2}))},
    {"fastvit_mci1", mci(deep({4, 12, 20, 4}))},
    {"fastvit_mci2", mci(wide(deep({4, 12, 24, 4}), {80, 160, 320, 640}))},
    {"fastvit_mci3", large({2, 12, 24, 4, 2}, {96, 192, 384, 768, 1536})},
    {"fastvit_mci4", large({2, 12, 24, 4, 4}, {128, 256, 512, 1024, 2048})},
    {"fastvit_s12", {}},
    {"fastvit_sa12", sa12},
    {"fastvit_sa24", deep({4, 4, 12, 4})},
    {"fastvit_sa36", deep({6, 6, 18, 6})},
    {"fastvit_t12", t12},
    {"fastvit_t8", t8},
};

}  // namespace

FOVEA_FAMILY(fastvit, FastVit, variants, .adapt = adapt)

}  // namespace fovea::zoo::fastvit
