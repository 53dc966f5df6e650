// SPDX-License-Identifier: Apache-2.0
// zoo/families/volo.cpp — VOLO: every second pixel says how its 3x3 neighbours mix, then transformers, and two blocks
// for the class token alone. timm.models.volo; https://arxiv.org/abs/2106.13112
#include <algorithm>
#include <array>
#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"
#include "nn/layers/mlp.h"
#include "nn/layers/token_norm.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/token_labels.h"
#include "zoo/family.h"
#include "zoo/levels.h"

namespace fovea::zoo::volo {
namespace {

constexpr int kKernel = 3, kArea = kKernel * kKernel, kPad = 1, kStride = 2;

struct Cfg {
  std::array<int, 4> layers{4, 4, 8, 2}, embed_dims{192, 384, 384, 384}, num_heads{6, 12, 12, 12};
  std::array<int, 4> downsamples{1, 0, 0, 0}, outlook_attention{1, 0, 0, 0};  // 1: behind this stage; in it
  int patch_size = 8, stem_hidden_dim = 64;
  double mlp_ratio = 3;
  bool qkv_bias = false;
  int post_layers = 2;         // blocks in which the class token alone attends; 0: there is none
  bool use_aux_head = true;    // a classifier of all tokens, whose best answers count half
  bool use_mix_token = false;  // training: a rectangle of each image comes from another of the batch
  int pooling_scale = 2;       // of patches in positions
  TokenNorm::Kind norm_layer = TokenNorm::Kind::layer;
  double pos_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, layers, embed_dims, num_heads, downsamples, outlook_attention, patch_size, stem_hidden_dim,
               mlp_ratio, qkv_bias, post_layers, use_aux_head, use_mix_token, pooling_scale, norm_layer, pos_drop_rate,
               attn_drop_rate)

std::unique_ptr<Module> norm(const Cfg& c, int dim) { return token_norm({.kind = c.norm_layer, .eps = 1e-5}, dim); }

// The windows of N,H,W,C around every second pixel: [N, h, w, heads, pixels of a window, C / heads].
Tensor windows_of(const Tensor& x, int64_t heads) {
  const int64_t n = x.dim(0), h = (x.dim(1) + 1) / kStride, w = (x.dim(2) + 1) / kStride, c = x.dim(3);
  const Tensor padded = pad_last(x, {0, 0, kPad, kPad, kPad, kPad});
  Tensors taps;
  for (int64_t i = 0; i < kArea; ++i) {
    const int64_t top = i / kKernel, left = i % kKernel;
    const Tensor rows = slice(padded, 1, top, top + kStride * (h - 1) + 1, kStride);
    taps.push_back(
        reshape(slice(rows, 2, left, left + kStride * (w - 1) + 1, kStride), {n, h, w, heads, 1, c / heads}));
  }
  return cat(taps, 4);
}

// Along dimension `at`, where every second pixel has a window of which `taps` are the pixels: the sums of all windows
// at each of `size` pixels.
Tensor overlapped(const Tensors& taps, int at, int64_t size) {
  const auto padded = [at](const Tensor& x, int64_t before) {
    Dims lo = Dims::filled(x.rank(), 0), hi = lo;
    lo[at] = before;
    hi[at] = 1 - before;
    return pad(x, lo, hi);
  };
  // Pixels left of and right of windows' centres are the same ones.
  const Tensor sides = padded(taps[0], 0) + padded(taps[2], 1), centres = padded(taps[1], 0);
  return slice(flatten(stack({sides, centres}, at + 1), at, at + 1), at, kPad, kPad + size);
}

/// https://arxiv.org/abs/2106.13112: weights come from a pixel alone, rather than from pairs.
class OutlookAttention final : public Module {
 public:
  OutlookAttention(const Cfg& c, int dim, int heads) : heads_(heads) {
    scale_ = 1 / std::sqrt(head_channels(dim, heads));
    v_ = add("v", Linear(dim, dim, c.qkv_bias));
    attn_ = add("attn", Linear(dim, kArea * kArea * heads));
    attn_drop_ = add("attn_drop", Dropout(c.attn_drop_rate));
    proj_ = add("proj", Linear(dim, dim));
  }
  Tensor forward(const Tensor& x) override {
    const int64_t n = x.dim(0), c = x.dim(3);
    const Tensor each = windows_of(v_(x), heads_);
    const Tensor fewer = avg_pool(permute(x, {0, 3, 1, 2}), {.kernel{kStride}, .stride{kStride}, .ceil_mode = true});
    const Tensor scores = unflatten(attn_(permute(fewer, {0, 2, 3, 1})), 3, {heads_, kArea, kArea});
    const Tensor y = matmul(attn_drop_(softmax(scores * scale_, -1)), each);
    const Tensor square = unflatten(y, 4, {kKernel, kKernel});
    const Tensor rows = overlapped(unbind(overlapped(unbind(square, 5), 2, x.dim(2)), 4), 1, x.dim(1));
    return proj_(reshape(rows, {n, x.dim(1), x.dim(2), c}));
  }

 private:
  int64_t heads_;
  double scale_;
  Ref<Module> v_, attn_, attn_drop_, proj_;
};

Mlp mlp_of(const Cfg& c, int dim) { return Mlp(dim, {.hidden = static_cast<int>(dim * c.mlp_ratio)}); }

/// Over N,H,W,C.
class Block final : public Module {
 public:
  Block(const Cfg& c, size_t stage, double drop_rate) : outlooks_(c.outlook_attention[stage] != 0) {
    const int dim = c.embed_dims[stage], heads = c.num_heads[stage];
    norm1_ = add("norm1", norm(c, dim));
    if (outlooks_) attn_ = add("attn", OutlookAttention(c, dim, heads));
    else attn_ = add("attn", Attention(dim, {.heads = heads, .qkv_bias = c.qkv_bias, .attn_drop = c.attn_drop_rate}));
    drop_path1_ = add("drop_path1", DropPath(drop_rate));
    norm2_ = add("norm2", norm(c, dim));
    mlp_ = add("mlp", mlp_of(c, dim));
    drop_path2_ = add("drop_path2", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor normed = norm1_(x);
    const Tensor seen = outlooks_ ? attn_(normed) : reshape(attn_(flatten(normed, 1, 2)), x.shape());
    const Tensor y = x + drop_path1_(seen);
    return y + drop_path2_(mlp_(norm2_(y)));
  }

 private:
  bool outlooks_;
  Ref<Module> norm1_, attn_, drop_path1_, norm2_, mlp_, drop_path2_;
};

/// Tokens [N, L, C], of which the first looks at all and changes.
class ClassBlock final : public Module {
 public:
  explicit ClassBlock(const Cfg& c) {
    const int dim = c.embed_dims[3];
    norm1_ = add("norm1", norm(c, dim));
    attn_ = add("attn", ClassAttention(c, dim));
    norm2_ = add("norm2", norm(c, dim));
    mlp_ = add("mlp", mlp_of(c, dim));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor token = slice(x, 1, 0, 1) + attn_(norm1_(x));
    return cat({token + mlp_(norm2_(token)), slice(x, 1, 1, x.dim(1))}, 1);
  }

 private:
  struct ClassAttention final : Module {
    int heads;
    double drop;
    Ref<Module> kv, q, proj;
    ClassAttention(const Cfg& c, int dim) : heads(c.num_heads[3]), drop(c.attn_drop_rate) {
      head_channels(dim, heads);
      kv = add("kv", Linear(dim, 2 * dim, c.qkv_bias));
      q = add("q", Linear(dim, dim, c.qkv_bias));
      proj = add("proj", Linear(dim, dim));
    }
    Tensor forward(const Tensor& x) override {
      const std::vector<Tensor> each = chunk(kv(x), 2, 2);
      const bool drops = training() && drop > 0;
      const AttentionOptions options{.scale = {}, .dropout = drops ? drop : 0, .key = drops ? next_key() : 0};
      return proj(merge_heads(sdpa(split_heads(q(slice(x, 1, 0, 1)), heads), split_heads(each[0], heads),
                                   split_heads(each[1], heads), {}, options)));
    }
  };
  Ref<Module> norm1_, attn_, norm2_, mlp_;
};

/// N,C,H,W -> N,H,W,C
struct Patches final : Module {
  Ref<Module> conv, proj;
  Patches(const Cfg& c, int in) {
    const int hidden = c.stem_hidden_dim, patch = c.patch_size / 2;
    if (c.patch_size != 4 && c.patch_size != 8 && c.patch_size != 16)
      throw Error(Error::Kind::argument, str_cat("patch_size is ", c.patch_size), "it is 4, 8 or 16");
    Sequential convs;
    for (int i = 0; i < 3; ++i) {
      convs.add(Conv2d(i > 0 ? hidden : in, hidden, i > 0 ? 3 : 7, {.stride = i > 0 ? 1 : 2}));
      convs.add(BatchNorm2d(hidden));
      convs.add(Activation(act::relu));
    }
    conv = add("conv", std::move(convs));
    proj = add("proj", Conv2d(hidden, c.embed_dims[0], patch, {.stride = patch, .padding = 0, .bias = true}));
  }
  Tensor forward(const Tensor& image) override { return permute(proj(conv(image)), {0, 2, 3, 1}); }
};

struct Downsample final : Module {
  Ref<Module> proj;
  Downsample(int in, int out) { proj = add("proj", Conv2d(in, out, 2, {.stride = 2, .padding = 0, .bias = true})); }
  Tensor forward(const Tensor& x) override { return permute(proj(permute(x, {0, 3, 1, 2})), {0, 2, 3, 1}); }
};

class Volo final : public TokenHeadModel, public TokenLabelledModel {
 public:
  Volo(const Cfg& c, const ModelOptions& o) : TokenHeadModel(o, {.prefix = 0}), cfg_(c) {
    default_levels_ = 3;
    classifier_name_ = c.use_aux_head ? "head,aux_head" : "head";
    const std::array<int, 2> image = o.img_size.value_or(std::array{224, 224});
    const int dim = c.embed_dims[3], side = c.patch_size * c.pooling_scale;
    patch_embed_ = add("patch_embed", Patches(c, o.in_chans.value_or(3)));
    pos_embed_ = param("pos_embed", {1, image[0] / side, image[1] / side, dim}, init::trunc_normal(0.02));
    pos_drop_ = add("pos_drop", Dropout(c.pos_drop_rate));
    network_ = add("network", network(static_cast<double>(o.drop_path_rate.value_or(0.0f))));
    if (c.post_layers > 0) {
      Sequential post;
      for (int i = 0; i < c.post_layers; ++i) post.add(ClassBlock(c));
      post_network_ = add("post_network", std::move(post));
      cls_token_ = param("cls_token", {1, 1, dim}, init::trunc_normal(0.02));
    }
    aux_head_ = add("aux_head", aux_layer(dim));
    norm_ = add("norm", norm(c, dim));
    add_head(dim);
    head_drop_ = Ref<Module>(find("head_drop"));
    start_linear(*this, init::trunc_normal(0.02));
  }
  Tensor forward_features(const Tensor& image) override { return tokens_of(patch_embed_(image)); }
  Tensor forward_head(const Tensor& tokens, bool pre_logits = false) override {
    const Tensor out = TokenHeadModel::forward_head(tokens, pre_logits);
    if (pre_logits || !has_aux() || global_pool().empty()) return out;
    return out + amax(classes_of(head_drop_(tokens)), {1}) * 0.5;
  }
  TokenLabels forward_train(const Tensor& image) override {
    Tensor x = patch_embed_(image), mixed, box;
    const int64_t scale = cfg_.pooling_scale, rows = x.dim(1) / scale, columns = x.dim(2) / scale;
    const bool mixes = cfg_.use_mix_token && training();
    if (mixes) {
      box = random_box(rows, columns, x.device());
      mixed = inside(box, rows, columns);
      const Tensor patches = repeat_interleave(repeat_interleave(mixed, scale, 0), scale, 1);
      x = where(unsqueeze(patches, -1), flip(x, {0}), x);
    }
    x = tokens_of(x);
    const Tensor pooled = pool(x);
    if (!has_aux()) return {pooled, {}, {}};
    Tensor aux = classes_of(x);
    if (mixes) aux = where(reshape(mixed, {rows * columns, 1}), flip(aux, {0}), aux);
    return {pooled, aux, box ? box : zeros({4}).to(x.device())};
  }
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override {
    TokenHeadModel::reset_classifier(num_classes, global_pool);
    aux_head_ = replace("aux_head", aux_layer(num_features_));
  }
  std::vector<int> prune(const PruneOptions& o = {}) override {
    const int count = static_cast<int>(feature_info().size());
    const int last = wanted_levels(o.indices, o.last, count, full_name()).sorted.back();
    narrow_ = last == 0;  // its norm does not fit
    if (narrow_ && pos_embed_) remove("pos_embed");
    if (narrow_) pos_embed_ = {};
    pruned_ = true;
    PruneOptions mine = o;
    mine.head = o.head || last + 1 < count;
    return ImageModel::prune(mine);
  }
  std::vector<std::string> no_weight_decay() const override { return {"pos_embed", "cls_token"}; }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^cls_token"},
            {0, "pos_embed"},
            {0, "patch_embed"},
            {1, "^network.#.#"},
            {.group = 1, .pattern = "^network.#", .number = 0},
            {2, "^post_network.#"},
            {.group = 2, .pattern = "^norm", .number = 99999}};
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = !narrow_}; }
  Tensor final_norm(const Tap& tapped) override {
    return tapped.module == "network.0" ? tapped.value : norm_(tapped.value);
  }
  void drop_head() override {
    cfg_.use_aux_head = false;
    if (cls_token_) drop_late_token(*post_network_.get(), cls_token_);
    else TokenHeadModel::drop_head();
  }

 private:
  bool has_aux() const { return cfg_.use_aux_head && num_classes_ > 0; }
  std::unique_ptr<Module> aux_layer(int dim) const { return classifier_layer(dim, has_aux() ? num_classes_ : 0); }
  Tensor classes_of(const Tensor& tokens) { return aux_head_(slice(tokens, 1, 1, tokens.dim(1))); }
  Sequential network(double drop_path_rate) {
    Sequential all;
    int total = 0, at = 0;
    for (const int n : cfg_.layers) total += n;
    for (size_t s = 0; s < 4; ++s) {
      const double step = cfg_.outlook_attention[s] ? 0 : drop_path_rate / std::max(total - 1, 1);
      Sequential blocks;
      for (int i = 0; i < cfg_.layers[s]; ++i) blocks.add(Block(cfg_, s, step * at++));
      levels_.push_back(all.size());
      all.add(std::move(blocks));
      if (cfg_.downsamples[s] && s < 3) all.add(Downsample(cfg_.embed_dims[s], cfg_.embed_dims[s + 1]));
    }
    return all;
  }
  Tensor tokens_of(Tensor x) {
    int i = 0;
    for (const auto& part : network_->children()) {
      if (i == 2 && pos_embed_) x = pos_drop_(x + *pos_embed_);
      {
        const Scope scope("network");
        x = run(*part, x);
      }
      const bool ends = std::ranges::find(levels_, i++) != levels_.end();
      if (!ends || !tap(str_cat("network.", part->name()), x, TapKind::block, 3)) continue;
      if (!pruned_) return x;
      break;
    }
    x = flatten(x, 1, 2);
    if (cls_token_) x = post_network_(cat({expand(cls_token_, {x.dim(0), 1, x.dim(2)}), x}, 1));
    return norm_(x);
  }
  // A rectangle whose share is uniform: https://arxiv.org/abs/1905.04899.
  Tensor random_box(int64_t rows, int64_t columns, Device d) {
    const Tensor drawn = rand({3}, next_key(), DType::f32, d), part = sqrt(slice(drawn, 0, 0, 1));
    const auto side = [&](int64_t size, int64_t draw) {
      const auto most = static_cast<double>(size);
      const Tensor cut = floor(part * most), centre = floor(slice(drawn, 0, draw, draw + 1) * most);
      return std::pair{clamp(centre - floor(cut * 0.5), 0, most), clamp(centre + floor((cut + 1) * 0.5), 0, most)};
    };
    const auto [top, bottom] = side(rows, 1);
    const auto [left, right] = side(columns, 2);
    return cat({top, left, bottom, right}, 0);
  }
  static Tensor inside(const Tensor& box, int64_t rows, int64_t columns) {
    const auto between = [&](int64_t size, int64_t at) {
      const Tensor i = arange(0, size, 1, DType::f32, box.device());
      return logical_and(greater_equal(i, slice(box, 0, at, at + 1)), less(i, slice(box, 0, at + 2, at + 3)));
    };
    return logical_and(unsqueeze(between(rows, 0), 1), unsqueeze(between(columns, 1), 0));
  }

  Cfg cfg_;
  bool narrow_ = false, pruned_ = false;
  std::vector<int> levels_;
  Param pos_embed_, cls_token_;
  Ref<Module> patch_embed_, pos_drop_, aux_head_, norm_, head_drop_;
  Ref<Sequential> network_;
  Maybe<Module> post_network_;
};

constexpr Cfg d1{}, d2{.layers{6, 4, 10, 4}, .embed_dims{256, 512, 512, 512}, .num_heads{8, 16, 16, 16}},
    d3{.layers{8, 8, 16, 4}, .embed_dims{256, 512, 512, 512}, .num_heads{8, 16, 16, 16}},
    d4{.layers{8, 8, 16, 4}, .embed_dims{384, 768, 768, 768}, .num_heads{12, 16, 16, 16}},
    d5{.layers{12, 12, 20, 4},
       .embed_dims{384, 768, 768, 768},
       .num_heads{12, 16, 16, 16},
       .stem_hidden_dim = 128,
       .mlp_ratio = 4};
constexpr Variant<Cfg> variants[] = {
    {"volo_d1_224", d1}, {"volo_d1_384", d1}, {"volo_d2_224", d2}, {"volo_d2_384", d2},
    {"volo_d3_224", d3}, {"volo_d3_448", d3}, {"volo_d4_224", d4}, {"volo_d4_448", d4},
    {"volo_d5_224", d5}, {"volo_d5_448", d5}, {"volo_d5_512", d5},
};

}  // namespace

FOVEA_FAMILY(volo, Volo, variants, .accepts = {.img_size = true})

}  // namespace fovea::zoo::volo
