// SPDX-License-Identifier: Apache-2.0
// zoo/families/nest.cpp — NesT: transformers within blocks of the map, of which convolutions join four between levels.
// timm.models.nest; https://arxiv.org/abs/2105.12723
#include <cmath>

#include "nn/layers/attention.h"
#include "nn/layers/pos_embed.h"
#include "zoo/blocks/chained.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/windows.h"
#include "zoo/family.h"

namespace fovea::zoo::nest {
namespace {

constexpr int kLevels = 3;

struct Cfg {
  int patch_size = 4;
  std::array<int, kLevels> embed_dims{128, 256, 512}, num_heads{4, 8, 16}, depths{2, 2, 20};
  double mlp_ratio = 4;
  bool qkv_bias = true;
  double proj_drop_rate = 0, attn_drop_rate = 0;
  TokenNorm::Kind norm_layer = TokenNorm::Kind::layer;
  Act act_layer = act::gelu;
  Padding pad_type{};
  std::string_view weight_init{};  // "nlhb": the classifier starts with the logits of even odds
};
FOVEA_SETTINGS(Cfg, patch_size, embed_dims, num_heads, depths, mlp_ratio, qkv_bias, proj_drop_rate, attn_drop_rate,
               norm_layer, act_layer, pad_type, weight_init)

std::unique_ptr<Module> norm(const Cfg& c, int channels) { return token_norm({.kind = c.norm_layer}, channels); }
Tensor to_last(const Tensor& map) { return permute(map, {0, 2, 3, 1}); }
Tensor to_first(const Tensor& map) { return permute(map, {0, 3, 1, 2}); }
int side_of(int64_t count) { return static_cast<int>(std::lround(std::sqrt(static_cast<double>(count)))); }

/// Of the tokens of a block, [blocks, L, C]. The projection reads the heads of a channel side by side.
class BlockAttention final : public Module {
 public:
  BlockAttention(const Cfg& c, int dim, int heads) : heads_(heads), drop_(c.attn_drop_rate) {
    head_channels(dim, heads);
    qkv_ = add("qkv", Linear(dim, 3 * dim, c.qkv_bias));
    proj_ = add("proj", Linear(dim, dim));
    proj_drop_ = add("proj_drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const auto [q, k, v] = split_qkv(qkv_(x), heads_);
    const bool drops = training() && drop_ > 0;
    const Tensor y = merge_heads(sdpa(q, k, v, {}, {.dropout = drops ? drop_ : 0, .key = drops ? next_key() : 0}));
    // Weights are turned rather than tokens: that happens once in a compiled net.
    const Scope scope("proj");
    const int64_t dim = x.dim(2);
    const Tensor turned = permute(reshape(proj_->weight, {dim, dim / heads_, heads_}), {0, 2, 1});
    return proj_drop_(linear(y, reshape(turned, {dim, dim}), proj_->bias));
  }

 private:
  int heads_;
  double drop_;
  Ref<Linear> qkv_, proj_;
  Ref<Dropout> proj_drop_;
};

struct TransformerLayer final : Module {
  Ref<Module> norm1, attn, drop_path1, norm2, mlp, drop_path2;
  TransformerLayer(const Cfg& c, int dim, int heads, double drop_rate) {
    norm1 = add("norm1", norm(c, dim));
    attn = add("attn", BlockAttention(c, dim, heads));
    drop_path1 = add("drop_path1", DropPath(drop_rate));
    norm2 = add("norm2", norm(c, dim));
    mlp = add("mlp",
              Mlp(dim, {.hidden = static_cast<int>(dim * c.mlp_ratio), .act = c.act_layer, .drop = c.proj_drop_rate}));
    drop_path2 = add("drop_path2", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop_path1(attn(norm1(x)));
    return y + drop_path2(mlp(norm2(y)));
  }
};

/// Half the height and width.
struct ConvPool final : Module {
  Ref<Module> conv, norm_, pool;
  ConvPool(const Cfg& c, int in, int out) {
    conv = add("conv", Conv2d(in, out, 3, {.padding = c.pad_type, .bias = true}));
    norm_ = add("norm", norm(c, out));
    pool = add("pool", MaxPool2d(3, {.stride = 2, .padding = c.pad_type}));
  }
  Tensor forward(const Tensor& x) override { return pool(to_first(norm_(to_last(conv(x))))); }
};

/// How a level cuts its map: into `across` times as many blocks, each of side * side tokens.
struct Blocks {
  int across = 1, side = 1;
};

class NestLevel final : public Module {
 public:
  NestLevel(const Cfg& c, size_t level, const Blocks& b, DropPathRamp& drop_path) : blocks_(b) {
    const int dim = c.embed_dims[level];
    pos_embed_ = param("pos_embed", {1, b.across * b.across, b.side * b.side, dim}, init::trunc_normal(0.02));
    if (level > 0) pool_ = add("pool", ConvPool(c, c.embed_dims[level - 1], dim));
    Sequential layers;
    for (int i = 0; i < c.depths[level]; ++i)
      layers.add(TransformerLayer(c, dim, c.num_heads[level], drop_path.next()));
    transformer_encoder_ = add("transformer_encoder", std::move(layers));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor map = to_last(pool_(x));
    const int size = blocks_.across * blocks_.side;
    if (map.dim(1) != size || map.dim(2) != size)
      throw Error(Error::Kind::shape,
                  str_cat("a map of ", map.dim(1), " x ", map.dim(2), " met blocks for one of ", size, " x ", size),
                  "create the model with img_size");
    const Tensor tokens = unflatten(window_partition(map, blocks_.side), 0, {map.dim(0), -1}) + *pos_embed_;
    return to_first(window_reverse(transformer_encoder_(flatten(tokens, 0, 1)), blocks_.side, size));
  }
  /// Positions of another image for this one's.
  Tensor resampled(const Tensor& positions) const {
    if (positions.shape() == pos_embed_->shape()) return positions;
    const int side = side_of(positions.dim(2)), size = side * side_of(positions.dim(1));
    const int64_t now = blocks_.across * blocks_.side;
    const Tensor map = to_first(window_reverse(flatten(positions, 0, 1), side, size));
    const Tensor resized = to_last(interpolate(map, {now, now}, {.mode = Interpolation::cubic}));
    return unsqueeze(window_partition(resized, blocks_.side), 0);
  }

 private:
  Blocks blocks_;
  Param pos_embed_;
  Maybe<Module> pool_;
  Ref<Module> transformer_encoder_;
};

/// From N,C,H,W to N,C,H,W.
struct Patches final : Module {
  Ref<Module> proj;
  Patches(const Cfg& c, int in) {
    proj = add("proj", Conv2d(in, c.embed_dims[0], c.patch_size, {.stride = c.patch_size, .padding = 0, .bias = true}));
  }
  Tensor forward(const Tensor& image) override { return proj(image); }
};

std::unique_ptr<Module> map_norm(const Cfg& c, int channels) {
  using Kind = NormSpec::Kind;
  const Kind kind = c.norm_layer == TokenNorm::Kind::rms      ? Kind::rms
                    : c.norm_layer == TokenNorm::Kind::simple ? Kind::simple
                                                              : Kind::layer;
  return norm2d({.kind = kind, .eps = 1e-6}, channels);
}

class Nest final : public Chained<ImageModel> {
 public:
  Nest(const Cfg& c, const ModelOptions& o) : Chained(o) {
    const std::array<int, 2> image = o.img_size.value_or(std::array{224, 224});
    const int first = 1 << (kLevels - 1), patches = image[0] / c.patch_size;
    if (image[0] != image[1] || image[0] % c.patch_size != 0 || patches % first != 0)
      throw Error(Error::Kind::argument,
                  str_cat("an image of ", image[0], " x ", image[1], " does not divide into ", first, " x ", first,
                          " blocks of patches"),
                  "it is square, and its side a multiple of theirs");
    add("patch_embed", Patches(c, o.in_chans.value_or(3)));
    stem("patch_embed");
    DropPathRamp drop_path(o, c.depths, 0.5f);
    Sequential levels;
    for (size_t i = 0; i < kLevels; ++i) levels.add(NestLevel(c, i, {first >> i, patches / first}, drop_path));
    add("levels", std::move(levels));
    parts("levels", {0, 1, 2});
    norm_ = add("norm", map_norm(c, c.embed_dims[kLevels - 1]));
    stem("norm");
    classifier("head", c.embed_dims[kLevels - 1]);
    start_weights(*this, init::trunc_normal(0.02));
    start_head(c.weight_init);
  }
  std::vector<std::string> no_weight_decay() const override { return {"levels.*.pos_embed"}; }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    std::vector<LayerGroup> rows{{0, "^patch_embed"}};
    if (coarse) rows.push_back({1, "^levels.#"});
    else rows.push_back({1, "^levels.#.transformer_encoder.#"});
    for (const char* beside : {"^levels.#.pool", "^levels.#.pos_embed"})
      rows.push_back({.group = 1, .pattern = beside, .number = 0});
    rows.push_back({.group = 1, .pattern = "^norm", .number = 99999});
    return rows;
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override {
    return tapped.module == str_cat("levels.", kLevels - 1) ? norm_(tapped.value) : tapped.value;
  }

 private:
  void start_head(std::string_view scheme) {
    if (!scheme.empty() && scheme != "nlhb")
      throw Error(Error::Kind::argument, str_cat("there is no weight_init '", scheme, "'"), "there are nlhb and ''");
    if (auto* head = dynamic_cast<Linear*>(find("head")); head && !scheme.empty())
      head->bias.slot().init = init::constant(-std::log(num_classes_));
  }
  Ref<Module> norm_;
};

StateDict adapt(ImageModel& model, StateDict weights) {
  for (int i = 0; i < kLevels; ++i) {
    const std::string name = str_cat("levels.", i, ".pos_embed");
    const auto* level = dynamic_cast<const NestLevel*>(model.find(str_cat("levels.", i)));
    if (level && weights.contains(name)) weights.set(name, contiguous(level->resampled(weights.at(name))));
  }
  return weights;
}

constexpr Cfg base{}, small{.embed_dims{96, 192, 384}, .num_heads{3, 6, 12}},
    tiny{.embed_dims{96, 192, 384}, .num_heads{3, 6, 12}, .depths{2, 2, 8}};
constexpr Cfg jx(Cfg c) {
  c.pad_type = Padding::Kind::same;
  return c;
}
constexpr Variant<Cfg> variants[] = {
    {"nest_base", base},          {"nest_base_jx", jx(base)}, {"nest_small", small},
    {"nest_small_jx", jx(small)}, {"nest_tiny", tiny},        {"nest_tiny_jx", jx(tiny)},
};

}  // namespace

FOVEA_FAMILY(nest, Nest, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::nest
