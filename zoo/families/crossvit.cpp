// SPDX-License-Identifier: Apache-2.0
// zoo/families/crossvit.cpp — CrossViT: two ViTs over patches of two sizes; each one's class token looks at the other's
// patches. timm.models.crossvit; https://arxiv.org/abs/2103.14899
#include <algorithm>
#include <charconv>
#include <cmath>

#include "nn/layers/attention.h"
#include "zoo/blocks/vit_block.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"
#include "zoo/levels.h"

namespace fovea::zoo::crossvit {
namespace {

constexpr size_t kBranches = 2;

/// The side of each branch's image, as a part of the model's.
struct Scales {
  std::array<double, kBranches> of{1, 1};
};
bool read_setting(std::string_view text, Scales& v) {
  const std::vector<std::string> parts = split_list(text);
  if (parts.size() != kBranches) return false;
  for (size_t i = 0; i < kBranches; ++i)
    if (!zoo::read_setting(parts[i], v.of[i])) return false;
  return true;
}
std::string write_setting(const Scales& v) {
  return cat(zoo::write_setting(v.of[0]), ',', zoo::write_setting(v.of[1]));
}

/// How many blocks the branches of a stage have, and how often they look at each other; 0 is once, too.
struct StageDepth {
  std::array<int, kBranches> blocks{1, 3};
  int fusion = 0;
  int count() const { return std::max(blocks[0], blocks[1]) + fusion; }
};

struct Cfg {
  Scales img_scale{{1, 224.0 / 240}};
  std::array<int, kBranches> patch_size{12, 16}, embed_dim{128, 256}, num_heads{4, 4};
  std::string_view depth = "1x3x0,1x3x0,1x3x0";
  std::array<int, 3> mlp_ratio{3, 3, 1};
  bool multi_conv = false;  // patches are read by three convolutions
  bool crop_scale = false;  // a branch's image is cut out of the middle, not resized
  bool qkv_bias = true;
  double pos_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, img_scale, patch_size, embed_dim, num_heads, depth, mlp_ratio, multi_conv, crop_scale, qkv_bias,
               pos_drop_rate, proj_drop_rate, attn_drop_rate)

std::vector<StageDepth> stages_of(std::string_view depth) {
  std::vector<StageDepth> all;
  for (const std::string& text : split_list(depth)) {
    StageDepth d;
    const char *at = text.data(), *end = at + text.size();
    for (int* n : {&d.blocks[0], &d.blocks[1], &d.fusion}) {
      const auto [next, error] = std::from_chars(at, end, *n);
      if (error != std::errc() || *n < 0 || (n == &d.fusion) != (next == end) || (next != end && *next != 'x'))
        throw Error(Error::Kind::argument, cat("'", text, "' is no depth of a stage"), "it is of the form 1x3x0");
      at = next + 1;
    }
    if (d.blocks[0] < 1 || d.blocks[1] < 1) throw Error(Error::Kind::argument, "each branch has a block in each stage");
    all.push_back(d);
  }
  if (all.empty()) throw Error(Error::Kind::argument, "depth has no stages");
  return all;
}

Tensor first(const Tensor& x) { return slice(x, 1, 0, 1); }
Tensor others(const Tensor& x) { return slice(x, 1, 1, x.dim(1)); }

/// Tokens [N, L, C] of an image of one size.
struct Patches final : Module {
  Size2 image;
  Ref<Module> proj;
  Patches(const Cfg& c, size_t branch, int in, Size2 of) : image(of) {
    const int patch = c.patch_size[branch], dim = c.embed_dim[branch];
    if (!c.multi_conv) {
      proj = add("proj", Conv2d(in, dim, patch, {.stride = patch, .padding = 0, .bias = true}));
      return;
    }
    if (patch != 12 && patch != 16)
      throw Error(Error::Kind::argument, cat("three convolutions read no patches of ", patch), "they are of 12 or 16");
    const bool twelve = patch == 12;
    Sequential convs;
    convs.add(Conv2d(in, dim / 4, 7, {.stride = 4, .padding = 3, .bias = true}));
    convs.add(Activation(act::relu));
    convs.add(Conv2d(dim / 4, dim / 2, 3, {.stride = twelve ? 3 : 2, .padding = twelve ? 0 : 1, .bias = true}));
    convs.add(Activation(act::relu));
    convs.add(Conv2d(dim / 2, dim, 3, {.stride = twelve ? 1 : 2, .padding = 1, .bias = true}));
    proj = add("proj", std::move(convs));
  }
  Tensor forward(const Tensor& x) override { return transpose(flatten(proj(x), 2), 1, 2); }
};

/// The first token looks at all; only it is left.
class CrossAttention final : public Module {
 public:
  CrossAttention(const Cfg& c, int dim, int heads) : heads_(heads), drop_(c.attn_drop_rate) {
    head_channels(dim, heads);
    wq_ = add("wq", Linear(dim, dim, c.qkv_bias));
    wk_ = add("wk", Linear(dim, dim, c.qkv_bias));
    wv_ = add("wv", Linear(dim, dim, c.qkv_bias));
    proj_ = add("proj", Linear(dim, dim));
    proj_drop_ = add("proj_drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor q = split_heads(wq_(first(x)), heads_), k = split_heads(wk_(x), heads_),
                 v = split_heads(wv_(x), heads_);
    const bool drops = training() && drop_ > 0;
    const Tensor y = sdpa(q, k, v, {}, {.dropout = drops ? drop_ : 0, .key = drops ? next_key() : 0});
    return proj_drop_(proj_(merge_heads(y)));
  }

 private:
  int heads_;
  double drop_;
  Ref<Linear> wq_, wk_, wv_, proj_;
  Ref<Dropout> proj_drop_;
};

struct CrossAttentionBlock final : Module {
  Ref<Module> norm1, attn, drop_path;
  CrossAttentionBlock(const Cfg& c, int dim, int heads, double drop_rate) {
    norm1 = add("norm1", LayerNorm(dim));
    attn = add("attn", CrossAttention(c, dim, heads));
    drop_path = add("drop_path", DropPath(drop_rate));
  }
  Tensor forward(const Tensor& x) override { return first(x) + drop_path(attn(norm1(x))); }
};

Sequential projection(int in, int out) {
  Sequential s;
  s.add(LayerNorm(in));
  s.add(Activation(act::gelu));
  s.add(Linear(in, out));
  return s;
}

/// The blocks of both branches, and what their class tokens see of each other.
class MultiScaleBlock final : public Joint {
 public:
  /// Of the stochastic depth: `rates` begins with that of the stage's first block.
  MultiScaleBlock(const Cfg& c, const StageDepth& d, std::span<const double> rates) {
    Sequential blocks, projs, fusion, revert_projs;
    const double last = rates[static_cast<size_t>(d.count() - 1)];
    for (size_t b = 0; b < kBranches; ++b) {
      const int dim = c.embed_dim[b], other = c.embed_dim[1 - b];
      Sequential own;
      for (int i = 0; i < d.blocks[b]; ++i)
        own.add(vit_block(VitBlockKind::pre_norm, {.dim = dim,
                                                   .hidden = c.mlp_ratio[b] * dim,
                                                   .attn = {.heads = c.num_heads[b],
                                                            .qkv_bias = c.qkv_bias,
                                                            .attn_drop = c.attn_drop_rate,
                                                            .proj_drop = c.proj_drop_rate},
                                                   .drop_path = rates[static_cast<size_t>(i)]}));
      blocks_[b] = blocks.add(std::move(own));
      projs_[b] = projs.add(projection(dim, other));
      const auto looks = [&] { return CrossAttentionBlock(c, other, c.num_heads[1 - b], last); };
      if (d.fusion == 0) {
        fusion_[b] = fusion.add(looks());
      } else {
        Sequential several;
        for (int i = 0; i < d.fusion; ++i) several.add(looks());
        fusion_[b] = fusion.add(std::move(several));
      }
      revert_projs_[b] = revert_projs.add(projection(other, dim));
    }
    add("blocks", std::move(blocks));
    add("projs", std::move(projs));
    add("fusion", std::move(fusion));
    add("revert_projs", std::move(revert_projs));
  }

 protected:
  Tensors pass(std::span<const Tensor> x) override {
    const auto in = [](std::string_view list, const Ref<Module>& part, const Tensor& t) {
      const Scope scope(list);
      return part(t);
    };
    std::array<Tensor, kBranches> y, asks;
    for (size_t b = 0; b < kBranches; ++b) {
      y[b] = in("blocks", blocks_[b], x[b]);
      asks[b] = in("projs", projs_[b], first(y[b]));
    }
    Tensors out;
    for (size_t b = 0; b < kBranches; ++b) {
      const Tensor answer = in("fusion", fusion_[b], cat({asks[b], others(y[1 - b])}, 1));
      out.push_back(cat({in("revert_projs", revert_projs_[b], first(answer)), others(y[b])}, 1));
    }
    return out;
  }

 private:
  std::array<Ref<Module>, kBranches> blocks_, projs_, fusion_, revert_projs_;
};

/// The levels are those of the first branch, then those of the second. Features are the tokens of both, a row of values
/// for each image.
class CrossVit final : public ImageModel {
 public:
  CrossVit(const Cfg& c, const ModelOptions& o) : ImageModel(o), cfg_(c), pool_(wanted_pool("token")) {
    default_levels_ = last_of_each(kBranches);
    check_pool(pool_);
    const auto [height, width] = o.img_size.value_or(std::array{240, 240});
    Sequential patches;
    for (size_t b = 0; b < kBranches; ++b) {
      const auto side = [&](int size) { return static_cast<int>(size * c.img_scale.of[b]); };
      const Size2 image(side(height), side(width));
      grids_[b] = {image.h / c.patch_size[b], image.w / c.patch_size[b]};
      patches_[b] = patches.add(Patches(c, b, o.in_chans.value_or(3), image));
      const Init start = init::trunc_normal(0.02);
      pos_embed_[b] = param(cat("pos_embed_", b), {1, 1 + grids_[b].h * grids_[b].w, c.embed_dim[b]}, start);
      cls_token_[b] = param(cat("cls_token_", b), {1, 1, c.embed_dim[b]}, start);
    }
    add("patch_embed", std::move(patches));
    pos_drop_ = add("pos_drop", Dropout(c.pos_drop_rate));
    add_blocks(static_cast<double>(o.drop_path_rate.value_or(0.0f)));
    Sequential norms;
    for (size_t b = 0; b < kBranches; ++b) norm_[b] = norms.add(LayerNorm(c.embed_dim[b]));
    norms_ = add("norm", std::move(norms));
    head_drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
    add("head", classifiers());
    num_features_ = head_hidden_size_ = c.embed_dim[0] + c.embed_dim[1];
    classifier_name_ = "head.0,head.1";
    start_vit_values(*this, VitInit::timm, num_classes_);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensors x = embedded(image);
    std::vector<Tensors> levels;
    for (const Ref<MultiScaleBlock>& block : blocks_) {
      if (block->vacant()) break;
      const Scope scope("blocks");
      x = run(*block, x);
      levels.push_back(x);
    }
    for (size_t b = 0; b < kBranches; ++b)
      for (size_t i = 0; i < levels.size(); ++i) tap(cat("blocks.", i), map_of(levels[i][b], b));
    for (size_t b = 0; b < kBranches; ++b) x[b] = flatten(normed(x[b], b), 1);
    return cat(x, 1);
  }
  Tensor forward_head(const Tensor& features, bool pre_logits = false) override {
    Tensors pooled;
    int64_t at = 0;
    for (size_t b = 0; b < kBranches; ++b) {
      const int64_t tokens = 1 + grids_[b].h * grids_[b].w, dim = cfg_.embed_dim[b];
      const Tensor own = unflatten(slice(features, 1, at, at + tokens * dim), 1, {tokens, dim});
      at += tokens * dim;
      pooled.push_back(head_drop_(pool_ == "avg" ? mean(others(own), {1}) : select(own, 1, 0)));
    }
    if (pre_logits || num_classes_ == 0) return cat(pooled, 1);
    const Scope scope("head");
    return (head_[0](pooled[0]) + head_[1](pooled[1])) * 0.5;
  }
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override {
    if (num_classes < 0)
      throw Error(Error::Kind::argument, cat("num_classes is ", num_classes), "0 takes the classifiers away");
    if (global_pool) {
      check_pool(*global_pool);
      pool_ = *global_pool;
    }
    num_classes_ = num_classes;
    replace("head", std::make_unique<Sequential>(classifiers()));
  }
  const std::string& global_pool() const override { return pool_; }
  /// A level of either branch keeps the blocks up to its own.
  std::vector<int> prune(const PruneOptions& o = {}) override {
    const int count = static_cast<int>(feature_info().size()), each = count / static_cast<int>(kBranches);
    const Levels wanted = wanted_levels(o.indices, o.last, count, full_name());
    int last = 0;
    for (const int level : wanted.order) last = std::max(last, level % each);
    ImageModel::prune({.indices = {count - each + last}, .norm = o.norm, .head = o.head});
    return wanted.order;
  }
  std::vector<std::string> no_weight_decay() const override {
    return {"cls_token_0", "cls_token_1", "pos_embed_0", "pos_embed_1"};
  }
  std::vector<LayerGroup> group_matcher(bool) const override {
    std::vector<LayerGroup> rows;
    for (const char* stem : {"^cls_token_0", "^cls_token_1", "^pos_embed_0", "^pos_embed_1", "^patch_embed"})
      rows.push_back({.group = 0, .pattern = stem});
    rows.push_back({.group = 1, .pattern = "^blocks.#"});
    rows.push_back({.group = 1, .pattern = "^norm", .joins_previous = true});
    return rows;
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = true}; }
  Tensor final_norm(const Tap& tapped) override {
    const Tensor& x = tapped.value;
    const size_t b = x.dim(1) == cfg_.embed_dim[0] && x.dim(2) == grids_[0].h && x.dim(3) == grids_[0].w ? 0 : 1;
    return permute(normed(permute(x, {0, 2, 3, 1}), b), {0, 3, 1, 2});
  }
  void drop_head() override { reset_classifier(0); }

 private:
  static void check_pool(std::string_view pool) {
    if (pool != "token" && pool != "avg")
      throw Error(Error::Kind::argument, cat("no pooling '", pool, "' of this model's tokens"),
                  "there are token and avg");
  }
  void add_blocks(double rate) {
    const std::vector<StageDepth> stages = stages_of(cfg_.depth);
    int total = 0;
    for (const StageDepth& d : stages) total += d.blocks[1] + d.fusion;
    Sequential blocks;
    int at = 0;
    for (const StageDepth& d : stages) {
      std::vector<double> rates;
      for (int i = 0; i < d.count(); ++i) rates.push_back(total > 1 ? rate * (at + i) / (total - 1) : 0);
      blocks_.push_back(blocks.add(MultiScaleBlock(cfg_, d, rates)));
      at += d.count();
    }
    add("blocks", std::move(blocks));
  }
  Sequential classifiers() {
    Sequential both;
    for (size_t b = 0; b < kBranches; ++b) head_[b] = both.add(classifier_layer(cfg_.embed_dim[b], num_classes_));
    return both;
  }
  Tensors embedded(const Tensor& image) {
    Tensors x;
    for (size_t b = 0; b < kBranches; ++b) {
      const Scope scope("patch_embed");
      const Tensor patches = patches_[b](scaled(image, patches_[b]->image));
      x.push_back(pos_drop_(cat({expand(cls_token_[b], {image.dim(0), 1, -1}), patches}, 1) + *pos_embed_[b]));
    }
    return x;
  }
  Tensor scaled(const Tensor& image, Size2 to) const {
    const int64_t h = image.dim(2), w = image.dim(3);
    if (h == to.h && w == to.w) return image;
    if (!cfg_.crop_scale || to.h > h || to.w > w)
      return interpolate(image, {to.h, to.w}, {.mode = Interpolation::cubic});
    const auto start = [](int64_t size, int part) {  // halves go to the even side
      return static_cast<int64_t>(std::nearbyint(static_cast<double>(size - part) / 2));
    };
    return narrow(narrow(image, 2, start(h, to.h), to.h), 3, start(w, to.w), to.w);
  }
  Tensor normed(const Tensor& x, size_t branch) {
    if (norms_->vacant()) return x;
    const Scope scope("norm");
    return norm_[branch](x);
  }
  Tensor map_of(const Tensor& tokens, size_t branch) const {
    return unflatten(transpose(others(tokens), 1, 2), 2, {grids_[branch].h, grids_[branch].w});
  }

  Cfg cfg_;
  std::string pool_;
  std::array<Size2, kBranches> grids_;
  std::array<Param, kBranches> pos_embed_, cls_token_;
  std::array<Ref<Patches>, kBranches> patches_;
  std::array<Ref<Module>, kBranches> norm_, head_;
  Ref<Sequential> norms_;
  Ref<Dropout> pos_drop_, head_drop_;
  std::vector<Ref<MultiScaleBlock>> blocks_;
};

// Tokens and positions were lists.
constexpr Rename kOriginal[] = {{"^pos_embed.#", "pos_embed_$1"}, {"^cls_token.#", "cls_token_$1"}};

constexpr Cfg wide(int dim, int heads) {
  return {.embed_dim{dim, 2 * dim}, .num_heads{heads, heads}, .depth = "1x4x0,1x4x0,1x4x0", .mlp_ratio{4, 4, 1}};
}
constexpr Cfg nine{}, fifteen{.embed_dim{192, 384}, .num_heads{6, 6}, .depth = "1x5x0,1x5x0,1x5x0"},
    eighteen{.embed_dim{224, 448}, .num_heads{7, 7}, .depth = "1x6x0,1x6x0,1x6x0"};
constexpr Cfg dagger(Cfg c) {
  c.multi_conv = true;
  return c;
}
constexpr Cfg of_408(Cfg c) {
  c.img_scale = {{1, 384.0 / 408}};
  return c;
}
constexpr Variant<Cfg> variants[] = {
    {"crossvit_15_240", fifteen},
    {"crossvit_15_dagger_240", dagger(fifteen)},
    {"crossvit_15_dagger_408", of_408(dagger(fifteen))},
    {"crossvit_18_240", eighteen},
    {"crossvit_18_dagger_240", dagger(eighteen)},
    {"crossvit_18_dagger_408", of_408(dagger(eighteen))},
    {"crossvit_9_240", nine},
    {"crossvit_9_dagger_240", dagger(nine)},
    {"crossvit_base_240", wide(384, 12)},
    {"crossvit_small_240", wide(192, 6)},
    {"crossvit_tiny_240", wide(96, 3)},
};

}  // namespace

FOVEA_FAMILY(crossvit, CrossVit, variants, .accepts = {.img_size = true}, .renames = kOriginal)

}  // namespace fovea::zoo::crossvit
