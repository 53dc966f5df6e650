// SPDX-License-Identifier: Apache-2.0
// zoo/families/convnext.cpp — ConvNeXt and ConvNeXt V2: depthwise 7x7 and an MLP; timm.models.convnext
#include <algorithm>

#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/missing_values.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::convnext {
namespace {

// patches without overlap; two 3x3 with stride 2, of which the first may be narrow or have an activation behind it
enum class Stem : uint8_t { patch, overlap, overlap_tiered, overlap_act };
constexpr std::string_view name_of(Stem s) {
  constexpr std::string_view names[] = {"patch", "overlap", "overlap_tiered", "overlap_act"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}

struct Cfg {
  std::array<int, 4> depths{3, 3, 9, 3};
  std::array<int, 4> dims{96, 192, 384, 768};
  std::array<int, 4> kernel_sizes{7, 7, 7, 7};     // of the depthwise convolutions
  Stem stem = Stem::patch;
  int patch_size = 4;
  bool conv_mlp = false;                           // N,C,H,W and 1x1 convolutions, not N,H,W,C and linear layers
  bool conv_bias = true;
  bool use_grn = false;                            // a GlobalResponseNorm in the MLP
  double ls_init_value = 1e-6;                     // what gamma starts as; 0: there is no gamma
  Act act = act::gelu;
  NormSpec::Kind norm = NormSpec::Kind::layer;
  double norm_eps = 1e-6;
  bool head_norm_first = false;                    // in front of the pooling, not behind it
  int head_hidden_size = 0;                        // of a layer between pooling and classifier; 0: there is none
  double head_init_scale = 1;
};
FOVEA_SETTINGS(Cfg, depths, dims, kernel_sizes, stem, patch_size, conv_mlp, conv_bias, use_grn, ls_init_value, act,
               norm, norm_eps, head_norm_first, head_hidden_size, head_init_scale)

NormSpec norm_of(const Cfg& c) { return {.kind = c.norm, .eps = c.norm_eps}; }

void check(const Cfg& c) {
  const auto positive = [](int v) { return v > 0; };
  if (!std::ranges::all_of(c.depths, positive) || !std::ranges::all_of(c.dims, positive) ||
      !std::ranges::all_of(c.kernel_sizes, positive) || c.patch_size < 1 || c.head_hidden_size < 0 ||
      !(c.head_init_scale > 0) || !(c.norm_eps > 0))
    throw Error(Error::Kind::argument,
                "depths, dims, kernel_sizes, patch_size, head_init_scale and norm_eps are positive");
  if (c.head_norm_first && c.head_hidden_size)
    throw Error(Error::Kind::argument, "a head whose norm comes first has no hidden layer");
}

// The norm of a block on N,H,W,C.
std::unique_ptr<Module> norm_last(const Cfg& c, int channels) {
  TokenNorm norm{.eps = c.norm_eps};
  switch (c.norm) {
    case NormSpec::Kind::layer: break;
    case NormSpec::Kind::rms: norm.kind = TokenNorm::Kind::rms; break;
    case NormSpec::Kind::simple: norm.kind = TokenNorm::Kind::simple; break;
    default:
      throw Error(Error::Kind::argument, str_cat("a norm of kind '", name_of(c.norm), "' wants N,C,H,W"),
                  "set conv_mlp as well");
  }
  return token_norm(norm, channels);
}

std::unique_ptr<Module> mlp_of(const Cfg& c, int channels) {
  const int hidden = 4 * channels;
  if (c.use_grn)
    return std::make_unique<GlobalResponseNormMlp>(
        channels, GlobalResponseNormMlpOptions{.hidden = hidden, .act = c.act, .channels_first = c.conv_mlp});
  if (c.conv_mlp) return std::make_unique<ConvMlp>(channels, ConvMlpOptions{.hidden = hidden, .act = c.act});
  return std::make_unique<Mlp>(channels, MlpOptions{.hidden = hidden, .act = c.act});
}

struct Block final : Module {
  bool conv_mlp;
  Param gamma;
  Ref<Module> conv_dw, norm, mlp;
  Maybe<Module> drop_path;
  Block(const Cfg& c, int channels, int kernel, int dilation, double drop_rate) : conv_mlp(c.conv_mlp) {
    if (c.ls_init_value != 0) gamma = param("gamma", {channels}, init::constant(c.ls_init_value));
    conv_dw = add("conv_dw",
                  Conv2d(channels, channels, kernel, {.dilation = dilation, .groups = channels, .bias = c.conv_bias}));
    norm = add("norm", conv_mlp ? norm2d(norm_of(c), channels) : norm_last(c, channels));
    mlp = add("mlp", mlp_of(c, channels));
    if (drop_rate > 0) drop_path = add("drop_path", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = conv_dw(x);
    if (conv_mlp) y = mlp(norm(y));
    else y = permute(mlp(norm(permute(y, {0, 2, 3, 1}))), {0, 3, 1, 2});
    if (gamma) y = y * reshape(gamma, {1, -1, 1, 1});
    return drop_path(y) + x;
  }
};

struct StageOptions {
  int in = 0, out = 0, kernel = 7, depth = 1;
  int stride = 1, first_dilation = 1, dilation = 1;
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Sequential> blocks;
  Stage(const Cfg& c, const StageOptions& p, DropPathRamp& drop_path) {
    const bool shrinks = p.stride > 1 || p.first_dilation != p.dilation;
    if (shrinks || p.in != p.out) {
      Sequential down;
      down.add(norm2d(norm_of(c), p.in));
      down.add(Conv2d(p.in, p.out, shrinks ? 2 : 1,
                      {.stride = p.stride,
                       .dilation = p.first_dilation,
                       .padding = p.dilation > 1 ? Padding::Kind::same : Padding::Kind::valid,
                       .bias = c.conv_bias}));
      downsample = add("downsample", std::move(down));
    }
    Sequential all;
    for (int i = 0; i < p.depth; ++i) all.add(Block(c, p.out, p.kernel, p.dilation, drop_path.next()));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class ConvNeXt final : public HeadedModel {
 public:
  ConvNeXt(const Cfg& c, const ModelOptions& o) : HeadedModel(o) {
    check(c);
    stem_ = add("stem", stem(c, o.in_chans.value_or(3)));
    stages_ = add("stages", stages(c, o));
    const int channels = c.dims[3];
    if (c.head_norm_first) {
      norm_pre_ = add("norm_pre", norm2d(norm_of(c), channels));
      head(channels);
    } else {
      const NormMlpHeadOptions options{.pool = wanted_pool("avg"),
                                       .drop_rate = static_cast<double>(drop_rate_),
                                       .hidden = c.head_hidden_size,
                                       .act = act::gelu,
                                       .norm = norm_of(c)};
      head(channels, std::make_unique<NormMlpClassifierHead>(channels, num_classes_, options));
    }
    first_values(c.head_init_scale);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor x = stem_(image);
    for (const auto& stage : stages_->children()) {
      {
        const Scope scope("stages");
        x = run(*stage, x);
      }
      if (tap(str_cat("stages.", stage->name()), x)) return x;
    }
    return norm_pre_(x);
  }

  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^stem"}, {1, "^stages.#"}};
    // what shrinks a map belongs to the block behind it
    return {{0, "^stem"},
            {.group = 1, .pattern = "^stages.#.downsample", .number = 0},
            {1, "^stages.#.blocks.#"},
            {.group = 1, .pattern = "^norm_pre", .joins_previous = true}};
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm_pre"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override {
    return tapped.module == "stages.3" ? norm_pre_(tapped.value) : tapped.value;
  }

 private:
  static Sequential stem(const Cfg& c, int in) {
    Sequential s;
    const int out = c.dims[0];
    if (c.stem == Stem::patch) {
      s.add(Conv2d(in, out, c.patch_size,
                   {.stride = c.patch_size, .padding = Padding::Kind::valid, .bias = c.conv_bias}));
    } else {
      const int middle = c.stem == Stem::overlap_tiered ? make_divisible(out / 2) : out;
      s.add(Conv2d(in, middle, 3, {.stride = 2, .bias = c.conv_bias}));
      if (c.stem == Stem::overlap_act) s.add(Activation(c.act));
      s.add(Conv2d(middle, out, 3, {.stride = 2, .bias = c.conv_bias}));
    }
    s.add(norm2d(norm_of(c), out));
    return s;
  }

  static Sequential stages(const Cfg& c, const ModelOptions& o) {
    Sequential all;
    const int stem_stride = c.stem == Stem::patch ? c.patch_size : 4;
    Dilator strides{.reached = stem_stride, .limit = o.output_stride.value_or(32)};
    DropPathRamp drop_path(o, c.depths);
    int channels = c.dims[0];
    for (size_t i = 0; i < 4; ++i) {
      const Dilator::Step step = strides.next(i > 0 || stem_stride == 2 ? 2 : 1);
      const StageOptions p{.in = channels,
                    .out = c.dims[i],
                    .kernel = c.kernel_sizes[i],
                    .depth = c.depths[i],
                    .stride = step.stride,
                    .first_dilation = step.dilation > 2 ? 2 : 1,
                    .dilation = step.dilation};
      all.add(Stage(c, p, drop_path));
      channels = p.out;
    }
    return all;
  }

  void first_values(double head_scale) {
    visit([&](const std::string& path, Module& m) {
      Param weight, bias;
      double scale = 1;
      if (auto* conv = dynamic_cast<Conv2d*>(&m)) weight = conv->weight, bias = conv->bias;
      if (auto* fc = dynamic_cast<Linear*>(&m)) {
        weight = fc->weight, bias = fc->bias;
        if (path.starts_with("head.")) scale = head_scale;
      }
      if (weight) weight.slot().init = init::trunc_normal(0.02 * scale, 0, -2 * scale, 2 * scale);
      if (bias) bias.slot().init = init::zeros();
    });
  }

  Ref<Sequential> stem_, stages_;
  Maybe<Module> norm_pre_;
};

// The names of the original code, which DINOv3 and EUPE use too; theirs come with projections and norms for training.
constexpr Rename kOriginal[] = {
    {"^projectors.**", nullptr},
    {"^norms.**", nullptr},
    {"^downsample_layers.0.", "stem."},
    {"^downsample_layers.#.#", "stages.$1.downsample.$2"},
    {"^stages.#.#", "stages.$1.blocks.$2"},
    {"dwconv", "conv_dw"},
    {"pwconv#", "mlp.fc$1"},
    {"grn.beta", "mlp.grn.bias"},
    {"grn.gamma", "mlp.grn.weight"},
    {"^head.", "head.fc."},
    {"^norm.", "head.norm."},
};

// OpenCLIP wraps timm's model and puts a projection behind it.
StateDict from_open_clip(const StateDict& weights) {
  constexpr std::string_view trunk = "visual.trunk.";
  constexpr std::pair<const char*, const char*> kProjections[] = {
      {"visual.head.mlp.fc1.weight", "head.pre_logits.fc.weight"},
      {"visual.head.mlp.fc1.bias", "head.pre_logits.fc.bias"},
      {"visual.head.mlp.fc2.weight", "head.fc.weight"},
      {"visual.head.proj.weight", "head.fc.weight"},
  };
  StateDict w = below(weights, trunk);
  for (const auto& [theirs, ours] : kProjections)
    if (const Tensor* t = weights.find(theirs)) w.set(ours, *t);
  if (const Tensor* fc = w.find("head.fc.weight")) w.set("head.fc.bias", zeros({fc->dim(0)}, fc->dtype()));
  return w;
}

StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("head.norm.weight") || weights.contains("norm_pre.weight")) return weights;
  if (weights.contains("visual.trunk.stem.0.weight")) return from_open_clip(weights);
  const StateDict own = model.state_dict();
  StateDict w = rename(weights, kOriginal);
  // 1x1 convolutions were linear there, and GRN's parameters had axes for the map
  for (const std::string& name : w.names()) {
    const Tensor t = w.at(name);
    const Tensor* ours = own.find(name);
    const bool other_rank = t.rank() == 2 || name.find(".grn.") != std::string::npos;
    if (ours && other_rank && !name.starts_with("head.") && t.numel() == ours->numel())
      w.set(name, reshape(t, ours->shape()));
  }
  // weights of masked auto-encoding end with the last stage
  if (model.pretrained_cfg().tag == "fcmae") add_missing(model, w, "head.norm.");
  return w;
}

#include "zoo/families/convnext_variants.inc"

}  // namespace

FOVEA_FAMILY(convnext, ConvNeXt, variants, .accepts = {.output_stride = true, .least_output_stride = 8}, .adapt = adapt)
}  // namespace fovea::zoo::convnext
