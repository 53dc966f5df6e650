// SPDX-License-Identifier: Apache-2.0
// zoo/families/nextvit.cpp — Next-ViT: grouped convolutions as attention, and stages that end with a block that attends
// for a part of its channels; timm.models.nextvit; https://arxiv.org/abs/2207.05501
#include "nn/fuse.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/family.h"

namespace fovea::zoo::nextvit {
namespace {

struct Cfg {
  std::array<int, 3> stem_chs{64, 32, 64};
  std::array<int, 4> depths{3, 4, 10, 3}, strides{1, 2, 2, 2};
  std::array<int, 4> sr_ratios{8, 4, 2, 1};  // whose square is how many pixels become one key
  float drop_path_rate = 0.1f;
  double attn_drop_rate = 0, proj_drop_rate = 0;
  int head_dim = 32;
  double mix_block_ratio = 0.75;  // channels that attend, of all
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
  Act act_layer = act::relu;
};
FOVEA_SETTINGS(Cfg, stem_chs, depths, strides, sr_ratios, drop_path_rate, attn_drop_rate, proj_drop_rate, head_dim,
               mix_block_ratio, norm_layer, act_layer)

NormSpec norm_of(const Cfg& c) { return {.kind = c.norm_layer}; }

struct StemLayer final : Module {
  Ref<Module> conv, norm, act;
  StemLayer(const Cfg& c, int in, int out, int stride) {
    conv = add("conv", Conv2d(in, out, 3, {.stride = stride, .padding = 1}));
    norm = add("norm", norm2d(norm_of(c), out));
    act = add("act", Activation(c.act_layer));
  }
  Tensor forward(const Tensor& x) override { return act(norm(conv(x))); }
};

/// Another number of channels, or of pixels.
struct Embedding final : Module {
  Maybe<Module> pool, conv, norm;
  Embedding(const NormSpec& n, int in, int out, int stride) {
    if (stride == 2) pool = add("pool", AvgPool2d(2, {.stride = 2, .ceil_mode = true, .count_include_pad = false}));
    if (stride != 2 && in == out) return;
    conv = add("conv", Conv2d(in, out, 1));
    norm = add("norm", norm2d(n, out));
  }
  Tensor forward(const Tensor& x) override { return norm(conv(pool(x))); }
};

struct ConvAttention final : Module {
  Ref<Module> group_conv3x3, norm, act, projection;
  ConvAttention(const Cfg& c, int dim) {
    group_conv3x3 = add("group_conv3x3", Conv2d(dim, dim, 3, {.groups = dim / c.head_dim, .padding = 1}));
    norm = add("norm", norm2d(norm_of(c), dim));
    act = add("act", Activation(c.act_layer));
    projection = add("projection", Conv2d(dim, dim, 1));
  }
  Tensor forward(const Tensor& x) override { return projection(act(norm(group_conv3x3(x)))); }
};

// Norms of the block that stand in front of a layer become part of it.
void absorb(Module& block, Conv2d& layer, Module& norm) {
  const auto fused = fused_conv(block, layer, Branches([&](const Tensor& x) { return layer(norm(x)); }));
  layer.weight.set(*fused->weight);
  layer.bias.set(*fused->bias);
}
void absorb(Module& block, Linear& layer, Module& norm, const Maybe<Module>& second) {
  const auto fused = fused_linear(block, layer.in_features(), layer.out_features(),
                                  Branches([&](const Tensor& x) { return layer(second(norm(x))); }));
  layer.weight.set(*fused->weight);
  layer.bias.set(*fused->bias);
}

/// A norm and a network of two layers, as residual branch.
struct MlpBlock : Module, Fusible {
  bool fused = false;
  Ref<Module> mlp_drop_path;
  Ref<ConvMlp> mlp;
  Ref<Module> mlp_norm;
  void add_mlp(const Cfg& c, std::string_view name, int dim, double ratio, double drop) {
    mlp_norm = add(name, norm2d(norm_of(c), dim));
    const int hidden = static_cast<int>(dim * ratio);
    mlp = add("mlp", ConvMlp(dim, {.hidden = hidden, .act = c.act_layer, .drop = c.proj_drop_rate}));
    mlp_drop_path = add("mlp_drop_path", DropPath(drop));
  }
  Tensor with_mlp(const Tensor& x) { return x + mlp_drop_path(mlp(mlp_norm(x))); }
  void fuse() override {
    if (fused) return;
    absorb(*this, *mlp->fc1, *mlp_norm);
    give_up({mlp_norm.get()});
    fused = true;
  }
};

struct ConvBlock final : MlpBlock {
  Ref<Module> patch_embed, mhca, attn_drop_path;
  ConvBlock(const Cfg& c, const StagePlace& p, double drop) {
    patch_embed = add("patch_embed", Embedding(norm_of(c), p.in, p.out, p.stride));
    mhca = add("mhca", ConvAttention(c, p.out));
    attn_drop_path = add("attn_drop_path", DropPath(drop));
    add_mlp(c, "norm", p.out, 3, drop);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = patch_embed(x);
    return with_mlp(y + attn_drop_path(mhca(y)));
  }
};

/// Over tokens, of which so many in a row become one key and one value.
struct Attention final : Module {
  int heads;
  int64_t together;
  double drop;
  Ref<Linear> q, k, v, proj;
  Ref<Module> proj_drop;
  Maybe<Module> norm;
  Attention(const Cfg& c, int dim, int ratio)
      : heads(dim / c.head_dim),
        together(int64_t{ratio} * ratio),
        drop(c.attn_drop_rate) {
    head_channels(dim, heads);
    q = add("q", Linear(dim, dim));
    k = add("k", Linear(dim, dim));
    v = add("v", Linear(dim, dim));
    proj = add("proj", Linear(dim, dim));
    proj_drop = add("proj_drop", Dropout(c.proj_drop_rate));
    if (ratio > 1) norm = add("norm", BatchNorm2d(dim));
  }
  Tensor forward(const Tensor& x) override {
    Tensor fewer = x;
    if (norm) {
      const int64_t n = x.dim(1) / together;
      const Tensor rows = mean(unflatten(narrow(x, 1, 0, n * together), 1, {n, together}), {2});
      fewer = unflatten(norm(flatten(rows, 0, 1)), 0, {x.dim(0), n});
    }
    const bool drops = training() && drop > 0;
    const Tensor y = sdpa(split_heads(q(x), heads), split_heads(k(fewer), heads), split_heads(v(fewer), heads), {},
                          {.dropout = drops ? drop : 0, .key = drops ? next_key() : 0});
    return proj_drop(proj(merge_heads(y)));
  }
};

struct TransformerBlock final : MlpBlock {
  Ref<Module> patch_embed, norm1, mhsa_drop_path, projection, mhca, mhca_drop_path;
  Ref<Attention> e_mhsa;
  TransformerBlock(const Cfg& c, const StagePlace& p, int ratio, double drop) {
    const int attending = make_divisible(static_cast<int>(p.out * c.mix_block_ratio), 32), rest = p.out - attending;
    patch_embed = add("patch_embed", Embedding({}, p.in, attending, p.stride));
    norm1 = add("norm1", norm2d(norm_of(c), attending));
    e_mhsa = add("e_mhsa", Attention(c, attending, ratio));
    mhsa_drop_path = add("mhsa_drop_path", DropPath(drop * c.mix_block_ratio));
    projection = add("projection", Embedding(norm_of(c), attending, rest, 1));
    mhca = add("mhca", ConvAttention(c, rest));
    mhca_drop_path = add("mhca_drop_path", DropPath(drop * (1 - c.mix_block_ratio)));
    add_mlp(c, "norm2", p.out, 2, drop);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = patch_embed(x), tokens = flatten(permute(norm1(y), {0, 2, 3, 1}), 1, 2);
    const Tensor seen = unflatten(mhsa_drop_path(e_mhsa(tokens)), 1, {y.dim(2), y.dim(3)});
    const Tensor z = y + permute(seen, {0, 3, 1, 2}), rest = projection(z);
    return with_mlp(cat({z, rest + mhca_drop_path(mhca(rest))}, 1));
  }
  void fuse() override {
    if (!fused) {
      absorb(*this, *e_mhsa->q, *norm1, {});
      absorb(*this, *e_mhsa->k, *norm1, e_mhsa->norm);
      absorb(*this, *e_mhsa->v, *norm1, e_mhsa->norm);
      give_up({norm1.get(), e_mhsa->norm.get()});
    }
    MlpBlock::fuse();
  }
};

struct Stage final : Module {
  Ref<Module> blocks;
  Stage(const Cfg& c, const StagePlace& p, DropPathRamp& drop_path) {
    constexpr int kBase[] = {96, 192, 384, 768}, kEnd[] = {96, 256, 512, 1024}, kEvery = 5;
    // Of the third stage every fifth block attends, of others behind the first the last.
    const int every = p.stage == 2 ? kEvery : p.depth;
    Sequential all;
    StagePlace at = p;
    for (int i = 1; i <= (p.stage == 2 ? p.depth / kEvery * kEvery : p.depth); ++i) {
      const bool attends = p.stage > 0 && i % every == 0;
      at.out = attends ? kEnd[p.stage] : kBase[p.stage];
      const double drop = drop_path.next();
      if (attends) all.add(TransformerBlock(c, at, c.sr_ratios[p.stage], drop));
      else all.add(ConvBlock(c, at, drop));
      at.in = at.out;
      at.stride = 1;
    }
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(x); }
};

class NextVit final : public StagedModel {
 public:
  NextVit(const Cfg& c, const ModelOptions& o) : StagedModel(o) {
    Sequential first;
    first.add(StemLayer(c, o.in_chans.value_or(3), c.stem_chs[0], 2));
    first.add(StemLayer(c, c.stem_chs[0], c.stem_chs[1], 1));
    first.add(StemLayer(c, c.stem_chs[1], c.stem_chs[2], 1));
    first.add(StemLayer(c, c.stem_chs[2], c.stem_chs[2], 2));
    add("stem", std::move(first));
    constexpr int kWidths[] = {96, 256, 512, 1024};
    std::vector<StagePlace> places;
    for (size_t s = 0; s < 4; ++s)
      places.push_back({.stage = s,
                        .in = s > 0 ? kWidths[s - 1] : c.stem_chs[2],
                        .out = kWidths[s],
                        .depth = c.depths[s],
                        .stride = c.strides[s]});
    add_stages<Stage>(c, places, o, "stages", c.drop_path_rate);
    staged_head(kWidths[3], {.norm = norm_of(c), .norm_first = true, .norm_name = "norm"});
    start_weights(*this, init::trunc_normal(0.02));
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^stem"}, {1, "^stages.#"}};
    return {{0, "^stem"}, {1, "^stages.#.blocks.#"}, {.group = 1, .pattern = "^norm", .joins_previous = true}};
  }
};

// The authors' files have the tensors in the model's order under other names; weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("stages.0.blocks.0.mlp.fc1.weight")) {
    if (!weights.contains("stages.0.blocks.0.norm.weight")) fuse(model);
    return weights;
  }
  const std::vector<std::string> theirs = weights.names();
  StateDict out;
  size_t i = 0;
  for (const std::string& name : model.state_dict().names()) {
    if (i == theirs.size()) break;
    out.set(name, weights.at(theirs[i++]));
  }
  return out;
}

constexpr Variant<Cfg> variants[] = {
    {"nextvit_base", {.depths{3, 4, 20, 3}, .drop_path_rate = 0.2f}},
    {"nextvit_large", {.depths{3, 4, 30, 3}, .drop_path_rate = 0.2f}},
    {"nextvit_small", {}},
};

}  // namespace

FOVEA_FAMILY(nextvit, NextVit, variants, .adapt = adapt)

}  // namespace fovea::zoo::nextvit
