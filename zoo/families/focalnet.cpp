// SPDX-License-Identifier: Apache-2.0
// zoo/families/focalnet.cpp — FocalNet: depthwise convolutions gather context from wider and wider neighbourhoods, and
// that modulates each pixel. timm.models.focalnet; https://arxiv.org/abs/2203.11926
#include <algorithm>

#include "zoo/blocks/first_values.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::focalnet {
namespace {

constexpr NormSpec kNorm{.kind = NormSpec::Kind::layer, .eps = 1e-5};

struct Cfg {
  int embed_dim = 96;
  std::array<int, 4> depths{2, 2, 6, 2};
  double mlp_ratio = 4;
  // how many convolutions there are, and the side of the first one's kernel
  std::array<int, 4> focal_levels{2, 2, 2, 2}, focal_windows{3, 3, 3, 3};
  bool use_overlap_down = false;
  bool use_post_norm = false;  // norms end the branches of a block
  bool use_post_norm_in_modulation = false;
  bool normalize_modulator = false;  // the mean of the contexts, not their sum
  int head_hidden_size = 0;          // of a layer between pooling and classifier; 0: there is none
  double head_init_scale = 1;
  double layerscale_value = 0;  // what the factors of branches start as; 0: there are none
  double proj_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, embed_dim, depths, mlp_ratio, focal_levels, focal_windows, use_overlap_down, use_post_norm,
               use_post_norm_in_modulation, normalize_modulator, head_hidden_size, head_init_scale, layerscale_value,
               proj_drop_rate)

Conv2d pointwise(int in, int out) { return {in, out, 1, {.bias = true}}; }

class FocalModulation final : public Module {
 public:
  FocalModulation(const Cfg& c, const StagePlace& p)
      : dim_(p.out),
        levels_(c.focal_levels[p.stage]),
        normalizes_(c.normalize_modulator) {
    f_ = add("f", pointwise(dim_, 2 * dim_ + levels_ + 1));
    h_ = add("h", pointwise(dim_, dim_));
    proj_ = add("proj", pointwise(dim_, dim_));
    proj_drop_ = add("proj_drop", Dropout(c.proj_drop_rate));
    Sequential layers;
    for (int k = 0; k < levels_; ++k) {
      Sequential layer;
      const int kernel = c.focal_windows[p.stage] + 2 * k;
      layer.add(Conv2d(dim_, dim_, kernel, {.groups = dim_, .padding = kernel / 2}));
      layer.add(Activation(act::gelu));
      focal_layers_.push_back(layers.add(std::move(layer)));
    }
    add("focal_layers", std::move(layers));
    if (c.use_post_norm_in_modulation) norm_ = add("norm", norm2d(kNorm, dim_));
  }
  Tensor forward(const Tensor& x) override {
    const std::vector<Tensor> part = split(f_(x), {dim_, dim_, levels_ + 1}, 1);
    const auto gated = [&](const Tensor& context, int level) { return context * slice(part[2], 1, level, level + 1); };
    Tensor context = part[1], all;
    for (int k = 0; k < levels_; ++k) {
      const Scope scope("focal_layers");
      context = focal_layers_[static_cast<size_t>(k)](context);
      all = k == 0 ? gated(context, k) : all + gated(context, k);
    }
    const Tensor whole = gated(activate(mean(context, {2, 3}, keep_dims), act::gelu), levels_);
    all = levels_ > 0 ? all + whole : whole;
    if (normalizes_) all = all / (levels_ + 1);
    return proj_drop_(proj_(norm_(part[0] * h_(all))));
  }

 private:
  int dim_, levels_;
  bool normalizes_;
  Ref<Conv2d> f_, h_, proj_;
  Ref<Dropout> proj_drop_;
  std::vector<Ref<Module>> focal_layers_;
  Maybe<Module> norm_;
};

struct ConvolvedMlp final : Module {
  Ref<Module> fc1, act_, drop, fc2;
  ConvolvedMlp(const Cfg& c, int dim) {
    const int hidden = static_cast<int>(dim * c.mlp_ratio);
    fc1 = add("fc1", pointwise(dim, hidden));
    act_ = add("act", Activation(act::gelu));
    drop = add("drop1", Dropout(c.proj_drop_rate));
    fc2 = add("fc2", pointwise(hidden, dim));
  }
  Tensor forward(const Tensor& x) override { return drop(fc2(drop(act_(fc1(x))))); }
};

struct Block final : Module {
  Maybe<Module> norm1, norm1_post, ls1, norm2, norm2_post, ls2;
  Ref<Module> modulation, drop1, mlp, drop2;
  Block(const Cfg& c, const StagePlace& p, double drop_path) {
    const auto norm = [&](const char* called, bool there) {
      return there ? Maybe<Module>(add(called, norm2d(kNorm, p.out))) : Maybe<Module>();
    };
    const auto factors = [&](const char* called) {
      if (c.layerscale_value == 0) return Maybe<Module>();
      return Maybe<Module>(add(called, LayerScale(p.out, c.layerscale_value, true)));
    };
    norm1 = norm("norm1", !c.use_post_norm);
    modulation = add("modulation", FocalModulation(c, p));
    norm1_post = norm("norm1_post", c.use_post_norm);
    ls1 = factors("ls1");
    drop1 = add("drop_path1", DropPath(drop_path));
    norm2 = norm("norm2", !c.use_post_norm);
    mlp = add("mlp", ConvolvedMlp(c, p.out));
    norm2_post = norm("norm2_post", c.use_post_norm);
    ls2 = factors("ls2");
    drop2 = add("drop_path2", DropPath(drop_path));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop1(ls1(norm1_post(modulation(norm1(x)))));
    return y + drop2(ls2(norm2_post(mlp(norm2(y)))));
  }
};

/// Patches, which may overlap.
struct Downsample final : Module {
  Ref<Module> proj, norm;
  Downsample(const Cfg& c, int in, int out, int stride) {
    const bool stem = stride == 4;
    const Conv2dOptions options{.stride = stride, .padding = !c.use_overlap_down ? 0 : stem ? 2 : 1, .bias = true};
    proj = add("proj", Conv2d(in, out, !c.use_overlap_down ? stride : stem ? 7 : 3, options));
    norm = add("norm", norm2d(kNorm, out));
  }
  Tensor forward(const Tensor& x) override { return norm(proj(x)); }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, const StagePlace& p, DropPathRamp& drop_path) {
    if (p.stage > 0) downsample = add("downsample", Downsample(c, p.in, p.out, 2));
    Sequential all;
    for (int i = 0; i < p.depth; ++i) all.add(Block(c, p, drop_path.next()));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class FocalNet final : public StagedModel {
 public:
  FocalNet(const Cfg& c, const ModelOptions& o) : StagedModel(o) {
    const int d = c.embed_dim;
    add("stem", Downsample(c, o.in_chans.value_or(3), d, 4));
    DropPathRamp drop_path(static_cast<double>(o.drop_path_rate.value_or(0.1f)),
                           c.depths[0] + c.depths[1] + c.depths[2] + c.depths[3]);
    Sequential stages;
    for (const StagePlace& p : stage_places(c.depths, std::array{d, 2 * d, 4 * d, 8 * d}))
      stages.add(Stage(c, p, drop_path));
    add("layers", std::move(stages));
    stem_and_stages("layers");
    staged_head(
        8 * d,
        {.norm = kNorm, .norm_first = c.head_hidden_size == 0, .norm_name = "norm", .hidden = c.head_hidden_size});
    start_weights(*this, init::trunc_normal(0.02));
    if (dynamic_cast<Linear*>(find("head.fc"))) scale_first_values(find("head.fc"), c.head_init_scale);
  }
};

constexpr Rename kOriginal[] = {
    {"gamma_1", "ls1.gamma"},
    {"gamma_2", "ls2.gamma"},
    {"^patch_embed", "stem"},
    {"^layers.2.downsample", "layers.3.downsample"},  // at the ends of the stages there
    {"^layers.1.downsample", "layers.2.downsample"},
    {"^layers.0.downsample", "layers.1.downsample"},
    {"modulation.ln", "modulation.norm"},
    {"^head", "head.fc"},
};

// Norms bear one name, whether they begin a branch or end it.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("stem.proj.weight")) return weights;
  constexpr Rename kPost[] = {{"norm1", "norm1_post"}, {"norm2", "norm2_post"}};
  const StateDict own = model.state_dict();
  StateDict w;
  for (const auto& [theirs, t] : weights) {
    std::string name = rename(theirs, kOriginal);
    if (!own.contains(name)) name = rename(name, kPost);
    const Tensor* ours = own.find(name);
    w.set(name, ours && ours->shape() != t.shape() && ours->numel() == t.numel() ? reshape(t, ours->shape()) : t);
  }
  return w;
}

constexpr std::array<int, 4> kDeep{2, 2, 18, 2};
constexpr Cfg lrf(Cfg c) {
  c.focal_levels = {3, 3, 3, 3};
  return c;
}
constexpr Cfg large(int dim, int levels, int window) {
  return {.embed_dim = dim,
          .depths = kDeep,
          .focal_levels{levels, levels, levels, levels},
          .focal_windows{window, window, window, window},
          .use_overlap_down = true,
          .use_post_norm = true,
          .layerscale_value = 1e-4};
}
constexpr Cfg huge(int levels) {
  Cfg c = large(352, levels, 3);
  c.use_post_norm_in_modulation = true;
  return c;
}
constexpr Cfg tiny{}, small{.depths = kDeep}, base{.embed_dim = 128, .depths = kDeep};
constexpr Variant<Cfg> variants[] = {
    {"focalnet_base_lrf", lrf(base)},
    {"focalnet_base_srf", base},
    {"focalnet_huge_fl3", huge(3)},
    {"focalnet_huge_fl4", huge(4)},
    {"focalnet_large_fl3", large(192, 3, 5)},
    {"focalnet_large_fl4", large(192, 4, 3)},
    {"focalnet_small_lrf", lrf(small)},
    {"focalnet_small_srf", small},
    {"focalnet_tiny_lrf", lrf(tiny)},
    {"focalnet_tiny_srf", tiny},
    {"focalnet_xlarge_fl3", large(256, 3, 5)},
    {"focalnet_xlarge_fl4", large(256, 4, 3)},
};

}  // namespace

FOVEA_FAMILY(focalnet, FocalNet, variants, .adapt = adapt)

}  // namespace fovea::zoo::focalnet
