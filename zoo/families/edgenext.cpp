// SPDX-License-Identifier: Apache-2.0
// zoo/families/edgenext.cpp — EdgeNeXt: blocks of ConvNeXt, and ones that attend between channels.
// timm.models.edgenext; https://arxiv.org/abs/2206.10589
#include <algorithm>

#include "zoo/blocks/cross_covariance.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::edgenext {
namespace {

// patches without overlap, or a 9x9 convolution
enum class Stem : uint8_t { patch, overlap };
constexpr std::string_view name_of(Stem s) {
  constexpr std::string_view names[] = {"patch", "overlap"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}

struct Cfg {
  std::array<int, 4> depths{3, 3, 9, 3}, dims{24, 48, 88, 168};
  std::array<int, 4> global_block_counts{0, 1, 1, 1};  // how many blocks at a stage's end attend
  std::array<int, 4> kernel_sizes{3, 5, 7, 9}, heads{8, 8, 8, 8};
  std::array<int, 4> d2_scales{2, 2, 3, 4};    // groups of channels of an attending block's convolutions
  std::array<int, 4> use_pos_emb{0, 1, 0, 0};  // 1: attending blocks know where tokens are
  double ls_init_value = 1e-6;                 // what gamma starts as; 0: there is none
  double head_init_scale = 1, expand_ratio = 4;
  bool downsample_block = false;  // a stage's first block halves the map itself
  bool conv_bias = true;
  Stem stem_type = Stem::patch;
  bool head_norm_first = false;  // in front of the pooling, not behind it
  Act act_layer = act::gelu;
};
FOVEA_SETTINGS(Cfg, depths, dims, global_block_counts, kernel_sizes, heads, d2_scales, use_pos_emb, ls_init_value,
               head_init_scale, expand_ratio, downsample_block, conv_bias, stem_type, head_norm_first, act_layer)

constexpr NormSpec kNorm{.kind = NormSpec::Kind::layer, .eps = 1e-6};

// What both blocks end with, over N,H,W,C.
class Block : public Module {
 protected:
  void close(const Cfg& c, int dim, double drop_rate) {
    norm_ = add("norm", LayerNorm(dim));
    mlp_ = add("mlp", Mlp(dim, {.hidden = static_cast<int>(c.expand_ratio * dim), .act = c.act_layer}));
    drop_path_ = add("drop_path", DropPath(drop_rate));
  }
  Param factors(const Cfg& c, std::string_view called, int dim) {
    return c.ls_init_value > 0 ? param(called, {dim}, init::constant(c.ls_init_value)) : Param();
  }
  static Tensor scaled(const Tensor& x, const Param& gamma) { return gamma ? x * *gamma : x; }
  Tensor end(const Tensor& shortcut, const Tensor& x) {
    const Tensor y = scaled(mlp_(norm_(x)), gamma_);
    return shortcut + drop_path_(permute(y, {0, 3, 1, 2}));
  }
  Param gamma_;
  Ref<Module> norm_, mlp_;
  Ref<DropPath> drop_path_;
};

class ConvBlock final : public Block {
 public:
  ConvBlock(const Cfg& c, int in, int out, int kernel, int stride, double drop_rate)
      : changes_(stride > 1 || in != out) {
    gamma_ = factors(c, "gamma", out);
    conv_dw_ = add("conv_dw", Conv2d(in, out, kernel, {.stride = stride, .groups = in, .bias = c.conv_bias}));
    close(c, out, drop_rate);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv_dw_(x);
    return end(changes_ ? y : x, permute(y, {0, 2, 3, 1}));
  }

 private:
  bool changes_;
  Ref<Conv2d> conv_dw_;
};

/// Groups of channels run through more and more convolutions; then channels attend to channels.
class SplitTransposeBlock final : public Block {
 public:
  SplitTransposeBlock(const Cfg& c, const StagePlace& p, double drop_rate) {
    const int dim = p.out, scales = c.d2_scales[p.stage], width = (dim + scales - 1) / scales;
    gamma_xca_ = factors(c, "gamma_xca", dim);
    gamma_ = factors(c, "gamma", dim);
    Sequential convs;
    for (int i = 0; i < std::max(1, scales - 1); ++i)
      convs_.push_back(convs.add(Conv2d(width, width, 3, {.groups = width, .bias = c.conv_bias})));
    add("convs", std::move(convs));
    if (c.use_pos_emb[p.stage]) pos_embd_ = add("pos_embd", PositionalEncodingFourier(dim));
    norm_xca_ = add("norm_xca", LayerNorm(dim));
    xca_ = add("xca", CrossCovariance(dim, {.heads = c.heads[p.stage], .qkv_bias = true}));
    close(c, dim, drop_rate);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor map = permute(convolved(x), {0, 2, 3, 1});
    Tensor tokens = flatten(map, 1, 2);
    if (pos_embd_.get()) {
      const Tensor waves = (*pos_embd_.get())(static_cast<int>(map.dim(1)), static_cast<int>(map.dim(2)));
      tokens = tokens + transpose(flatten(waves, 2), 1, 2);
    }
    tokens = tokens + drop_path_(scaled(xca_(norm_xca_(tokens)), gamma_xca_));
    return end(x, unflatten(tokens, 1, {map.dim(1), map.dim(2)}));
  }

 private:
  Tensor convolved(const Tensor& x) {
    const Scope scope("convs");
    const std::vector<Tensor> group = chunk(x, static_cast<int64_t>(convs_.size()) + 1, 1);
    Tensors all;
    for (size_t i = 0; i < convs_.size(); ++i) all.push_back(convs_[i](i == 0 ? group[0] : all.back() + group[i]));
    all.push_back(group.back());
    return cat(all, 1);
  }
  Param gamma_xca_;
  std::vector<Ref<Conv2d>> convs_;
  Ref<PositionalEncodingFourier> pos_embd_;
  Ref<Module> norm_xca_, xca_;
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, const StagePlace& p, DropPathRamp& drop_path) {
    int channels = p.in;
    if (!c.downsample_block && p.stride > 1) {
      Sequential down;
      down.add(norm2d(kNorm, p.in));
      down.add(Conv2d(p.in, p.out, 2, {.stride = 2, .padding = 0, .bias = c.conv_bias}));
      downsample = add("downsample", std::move(down));
      channels = p.out;
    }
    Sequential all;
    for (int i = 0; i < p.depth; ++i) {
      const double drop_rate = drop_path.next();
      const int stride = c.downsample_block && i == 0 ? p.stride : 1;
      if (i < p.depth - c.global_block_counts[p.stage])
        all.add(ConvBlock(c, channels, p.out, c.kernel_sizes[p.stage], stride, drop_rate));
      else all.add(SplitTransposeBlock(c, p, drop_rate));
      channels = p.out;
    }
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class EdgeNeXt final : public StagedModel {
 public:
  EdgeNeXt(const Cfg& c, const ModelOptions& o) : StagedModel(o) {
    const bool overlaps = c.stem_type == Stem::overlap;
    Sequential stem, stages;
    stem.add(Conv2d(o.in_chans.value_or(3), c.dims[0], overlaps ? 9 : 4,
                    {.stride = 4, .padding = overlaps ? 4 : 0, .bias = c.conv_bias}));
    stem.add(norm2d(kNorm, c.dims[0]));
    add("stem", std::move(stem));
    DropPathRamp drop_path(static_cast<double>(o.drop_path_rate.value_or(0.0f)),
                           c.depths[0] + c.depths[1] + c.depths[2] + c.depths[3]);
    for (const StagePlace& p : stage_places(c.depths, c.dims)) stages.add(Stage(c, p, drop_path));
    add("stages", std::move(stages));
    stem_and_stages();
    staged_head(c.dims[3], {.norm = kNorm, .norm_first = c.head_norm_first});
    start_weights(*this, init::trunc_normal_tf(0.02));
    if (dynamic_cast<Linear*>(find("head.fc"))) scale_first_values(find("head.fc"), c.head_init_scale);
  }
};

constexpr Rename kOriginal[] = {
    {"^downsample_layers.0.", "stem."},
    {"^stages.#.#", "stages.$1.blocks.$2"},
    {"^downsample_layers.#.#", "stages.$1.downsample.$2"},
    {"dwconv", "conv_dw"},
    {"pwconv1", "mlp.fc1"},
    {"pwconv2", "mlp.fc2"},
    {"^head.", "head.fc."},
    {"^norm.", "head.norm."},
};

StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("head.norm.weight") || weights.contains("norm_pre.weight")) return weights;
  StateDict w = rename(weights, kOriginal);
  const StateDict own = model.state_dict();
  for (const std::string& name : w.names()) {  // layers that were linear
    const Tensor t = w.at(name);
    const Tensor* ours = own.find(name);
    if (ours && t.rank() == 2 && !name.starts_with("head.")) w.set(name, reshape(t, ours->shape()));
  }
  return w;
}

constexpr Cfg xx_small{.depths{2, 2, 6, 2}, .heads{4, 4, 4, 4}}, x_small{.dims{32, 64, 100, 192}, .heads{4, 4, 4, 4}},
    small{.dims{48, 96, 160, 304}}, base{.dims{80, 160, 288, 584}},
    small_rw{.dims{48, 96, 192, 384}, .downsample_block = true, .conv_bias = false, .stem_type = Stem::overlap};
constexpr Variant<Cfg> variants[] = {
    {"edgenext_base", base},       {"edgenext_small", small},       {"edgenext_small_rw", small_rw},
    {"edgenext_x_small", x_small}, {"edgenext_xx_small", xx_small},
};

}  // namespace

FOVEA_FAMILY(edgenext, EdgeNeXt, variants, .adapt = adapt)

}  // namespace fovea::zoo::edgenext
