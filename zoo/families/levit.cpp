// SPDX-License-Identifier: Apache-2.0
// zoo/families/levit.cpp — LeViT: a few convolutions, then attention whose stages shrink the map by asking fewer
// questions; all layers as linear ones or as 1x1 convolutions. timm.models.levit; https://arxiv.org/abs/2104.01136
#include "zoo/blocks/distance_bias.h"
#include "zoo/blocks/distilled_model.h"
#include "zoo/blocks/map_heads.h"
#include "zoo/blocks/normed_layers.h"
#include "zoo/family.h"

namespace fovea::zoo::levit {
namespace {

// the stem's stride
enum class StemType : uint8_t { s16, s8 };
constexpr std::string_view name_of(StemType s) {
  constexpr std::string_view names[] = {"s16", "s8"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}

struct Cfg {
  std::array<int, 3> embed_dim{128, 256, 384}, depth{4, 4, 4}, num_heads{4, 8, 12};
  int key_dim = 32;
  double attn_ratio = 2, mlp_ratio = 2;  // channels of a value in those of a key; of what is hidden in the input's
  StemType stem_type = StemType::s16;
  Act act_layer = act::hard_swish;
  std::string_view attn_act_layer{};  // behind attention; "": the same
  bool use_conv = false;              // N,C,H,W and 1x1 convolutions; else N,H,W,C and linear layers
  bool distilled = true;              // two classifiers, whose mean counts
};
FOVEA_SETTINGS(Cfg, embed_dim, depth, num_heads, key_dim, attn_ratio, mlp_ratio, stem_type, act_layer, attn_act_layer,
               use_conv, distilled)

std::unique_ptr<Module> normed(const Cfg& c, int in, int out, double gain = 1) {
  if (c.use_conv) return std::make_unique<ConvNorm>("linear", in, out, 1, Conv2dOptions{}, gain);
  return std::make_unique<LinearNorm>("linear", in, out, gain);
}

Act attention_act(const Cfg& c) { return c.attn_act_layer.empty() ? c.act_layer : parse_act(c.attn_act_layer); }

/// Every second pixel of every second row.
struct Subsample final : Module {
  int rows;  // the dimension that counts them
  explicit Subsample(bool channels_first) : rows(channels_first ? 2 : 1) {}
  Tensor forward(const Tensor& x) override {
    return slice(slice(x, rows, 0, x.dim(rows), 2), rows + 1, 0, x.dim(rows + 1), 2);
  }
};

// Where attention stands.
struct BlockOptions {
  int in = 0, out = 0, heads = 0;
  double attn_ratio = 2;
  Size2 grid = 0;
};

/// Attention of all pixels to all; with a stride, of fewer.
struct Attention final : DistanceBiased {
  bool first;  // channels are
  int heads, key, value;
  Ref<Module> qkv, proj;
  Maybe<Module> q;  // of the fewer; then qkv has keys and values only
  Attention(const Cfg& c, const BlockOptions& p, int stride)
      : first(c.use_conv),
        heads(p.heads),
        key(c.key_dim),
        value(static_cast<int>(p.attn_ratio * c.key_dim)) {
    add_biases(p.grid, heads, stride);
    if (stride > 1) {
      qkv = add("kv", normed(c, p.in, heads * (key + value)));
      Sequential fewer;
      fewer.add("down", Subsample(first));
      fewer.add("ln", normed(c, p.in, heads * key));
      q = add("q", std::move(fewer));
    } else {
      qkv = add("qkv", normed(c, p.in, heads * (2 * key + value)));
    }
    Sequential out;
    out.add("act", Activation(attention_act(c)));
    out.add("ln", normed(c, heads * value, p.out, stride > 1 ? 1 : 0));
    proj = add("proj", std::move(out));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor bias = first ? biases(x.dim(2), x.dim(3)) : biases(x.dim(1), x.dim(2));
    const Tensor asked = q ? q(x) : x;  // as many pixels as the answer has
    Tensor each = split(qkv(x)), query;
    if (q) {
      query = split(asked);
    } else {
      query = narrow(each, 3, 0, key);
      each = narrow(each, 3, key, key + value);
    }
    const Tensor y = sdpa(query, narrow(each, 3, 0, key), narrow(each, 3, key, value), bias);
    if (first) return proj(merge_map_heads(y, asked.dim(2), asked.dim(3)));
    return proj(unflatten(merge_heads(y), 1, {asked.dim(1), asked.dim(2)}));
  }
  Tensor split(const Tensor& map) const {
    return first ? split_map_heads(map, heads) : split_heads(flatten(map, 1, 2), heads);
  }
};

struct LevitMlp final : Module {
  Ref<Module> ln1, act, ln2;
  LevitMlp(const Cfg& c, int channels, double ratio) {
    const int hidden = static_cast<int>(channels * ratio);
    ln1 = add("ln1", normed(c, channels, hidden));
    act = add("act", Activation(c.act_layer));
    ln2 = add("ln2", normed(c, hidden, channels, 0));
  }
  Tensor forward(const Tensor& x) override { return ln2(act(ln1(x))); }
};

struct Block final : Module {
  Ref<Module> attn, mlp, drop_path1, drop_path2;
  Block(const Cfg& c, const BlockOptions& p, double drop) {
    attn = add("attn", Attention(c, p, 1));
    drop_path1 = add("drop_path1", DropPath(drop));
    mlp = add("mlp", LevitMlp(c, p.out, c.mlp_ratio));
    drop_path2 = add("drop_path2", DropPath(drop));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop_path1(attn(x));
    return y + drop_path2(mlp(y));
  }
};

struct Downsample final : Module {
  Ref<Module> attn, mlp, drop_path;
  Downsample(const Cfg& c, const BlockOptions& p, double drop) {
    attn = add("attn_downsample", Attention(c, p, 2));
    mlp = add("mlp", LevitMlp(c, p.out, 2));
    drop_path = add("drop_path", DropPath(drop));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = attn(x);
    return y + drop_path(mlp(y));
  }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  /// The grid is the stage's own afterwards.
  Stage(const Cfg& c, size_t s, Size2& grid, double drop) {
    const int in = c.embed_dim[s > 0 ? s - 1 : 0], out = c.embed_dim[s];
    if (s > 0) {
      downsample = add("downsample", Downsample(c, {in, out, in / c.key_dim, 4, grid}, drop));
      grid = {(grid.h - 1) / 2 + 1, (grid.w - 1) / 2 + 1};
    }
    Sequential all;
    for (int i = 0; i < c.depth[s]; ++i) all.add(Block(c, {out, out, c.num_heads[s], c.attn_ratio, grid}, drop));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

/// Convolutions that each halve the map.
struct Stem final : Sequential {
  bool first;
  Stem(const Cfg& c, int in) : first(c.use_conv) {
    const int halvings = c.stem_type == StemType::s16 ? 4 : 3;
    for (int i = 1; i <= halvings; ++i) {
      const int out = c.embed_dim[0] >> (halvings - i);
      add(str_cat("conv", i), ConvNorm("linear", in, out, 3, {.stride = 2, .padding = 1}));
      if (i < halvings) add(str_cat("act", i), Activation(c.act_layer));
      in = out;
    }
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = Sequential::forward(x);
    return first ? y : permute(y, {0, 2, 3, 1});
  }
};

class Levit final : public DistilledModel {
 public:
  Levit(const Cfg& c, const ModelOptions& o) : DistilledModel(o), first_(c.use_conv) {
    channel_axis_ = first_ ? 1 : 3;
    drops_pooled_ = false;
    add("stem", Stem(c, o.in_chans.value_or(3)));
    const int stride = c.stem_type == StemType::s16 ? 16 : 8;
    const auto [height, width] = o.img_size.value_or(std::array{224, 224});
    Size2 grid(height / stride, width / stride);
    Sequential stages;
    for (size_t s = 0; s < 3; ++s) stages.add(Stage(c, s, grid, static_cast<double>(o.drop_path_rate.value_or(0.0f))));
    add_stages(std::move(stages));
    add_heads(c.embed_dim[2], c.distilled);
  }
  Tensor forward_features(const Tensor& image) override {
    const Tensor x = DistilledModel::forward_features(image);
    return first_ ? x : flatten(x, 1, 2);
  }
  std::vector<std::string> no_weight_decay() const override { return {"attention_biases"}; }

 private:
  std::unique_ptr<Module> classifier_of(int classes) const override {
    if (classes == 0) return std::make_unique<Identity>();
    return std::make_unique<NormLinear>("linear", num_features_, classes, static_cast<double>(drop_rate_));
  }
  bool first_;
};

constexpr Rename kNames[] = {{"^**.attention_bias_idxs", nullptr}};

// Weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("stem.conv1.weight")) fuse(model);
  return weights;
}

constexpr Cfg l128s{.depth{2, 3, 4}, .num_heads{4, 6, 8}, .key_dim = 16}, l128{.key_dim = 16},
    l192{.embed_dim{192, 288, 384}, .num_heads{3, 5, 6}}, l256{.embed_dim{256, 384, 512}, .num_heads{4, 6, 8}},
    l384{.embed_dim{384, 512, 768}, .num_heads{6, 9, 12}};
constexpr Cfg silu(Cfg c, StemType stem = StemType::s16) {
  c.act_layer = act::silu;
  c.stem_type = stem;
  return c;
}
constexpr Cfg alone(Cfg c) {
  c.distilled = false;
  return c;
}
constexpr Cfg conv(Cfg c) {
  c.use_conv = true;
  return c;
}
constexpr Cfg l384_s8 = silu(l384, StemType::s8),
              l512_s8 = alone(silu({.embed_dim{512, 640, 896}, .num_heads{8, 10, 14}, .key_dim = 64}, StemType::s8)),
              l512 = alone(silu({.embed_dim{512, 768, 1024}, .num_heads{8, 12, 16}, .key_dim = 64})),
              l256d = alone(silu({.embed_dim{256, 384, 512}, .depth{4, 8, 6}, .num_heads{4, 6, 8}})),
              l512d = alone(silu({.embed_dim{512, 640, 768}, .depth{4, 8, 6}, .num_heads{8, 10, 12}, .key_dim = 64}));
constexpr Variant<Cfg> variants[] = {
    {"levit_128", l128},
    {"levit_128s", l128s},
    {"levit_192", l192},
    {"levit_256", l256},
    {"levit_256d", l256d},
    {"levit_384", l384},
    {"levit_384_s8", l384_s8},
    {"levit_512", l512},
    {"levit_512_s8", l512_s8},
    {"levit_512d", l512d},
    {"levit_conv_128", conv(l128)},
    {"levit_conv_128s", conv(l128s)},
    {"levit_conv_192", conv(l192)},
    {"levit_conv_256", conv(l256)},
    {"levit_conv_256d", conv(l256d)},
    {"levit_conv_384", conv(l384)},
    {"levit_conv_384_s8", conv(l384_s8)},
    {"levit_conv_512", conv(l512)},
    {"levit_conv_512_s8", conv(l512_s8)},
    {"levit_conv_512d", conv(l512d)},
};

}  // namespace

FOVEA_FAMILY(levit, Levit, variants, .accepts = {.img_size = true}, .renames = kNames, .adapt = adapt)

}  // namespace fovea::zoo::levit
