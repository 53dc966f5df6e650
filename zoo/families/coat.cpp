// SPDX-License-Identifier: Apache-2.0
// zoo/families/coat.cpp — CoaT: attention factored over channels, with convolutions that tell where tokens are; four
// scales in a row and, in the larger networks, three of them side by side.
// timm.models.coat; https://arxiv.org/abs/2104.06399
#include <cmath>

#include "nn/joint.h"
#include "nn/layers/alias.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::coat {
namespace {

constexpr size_t kScales = 4, kParallel = 3;  // the latter are the last ones

struct Cfg {
  int patch_size = 16;
  std::array<int, kScales> embed_dims{64, 128, 320, 512}, serial_depths{3, 4, 6, 3};
  int parallel_depth = 0, num_heads = 8;
  std::array<int, kScales> mlp_ratios{4, 4, 4, 4};
  bool qkv_bias = true;
  double proj_drop_rate = 0;
  TokenNorm::Kind norm_layer = TokenNorm::Kind::layer;
  std::string_view crpe_window = "3:2,5:3,7:3";  // windows of the convolutions, and of how many heads each is
};
FOVEA_SETTINGS(Cfg, patch_size, embed_dims, serial_depths, parallel_depth, num_heads, mlp_ratios, qkv_bias,
               proj_drop_rate, norm_layer, crpe_window)

Tensor first(const Tensor& x) { return slice(x, 1, 0, 1); }
Tensor others(const Tensor& x) { return slice(x, 1, 1, x.dim(1)); }
Tensor to_map(const Tensor& tokens, Size2 grid) {
  return permute(unflatten(tokens, 1, {grid.h, grid.w}), {0, 3, 1, 2});
}
Tensor to_tokens(const Tensor& map) { return flatten(permute(map, {0, 2, 3, 1}), 1, 2); }
std::unique_ptr<Module> norm(const Cfg& c, int channels) { return token_norm({.kind = c.norm_layer}, channels); }

/// A depthwise convolution of all tokens but the first tells where they are.
struct ConvPosEnc final : Module {
  Size2 grid;
  Ref<Module> proj;
  ConvPosEnc(int dim, Size2 of) : grid(of) { proj = add("proj", Conv2d(dim, dim, 3, {.groups = dim, .bias = true})); }
  Tensor forward(const Tensor& x) override {
    const Tensor map = to_map(others(x), grid);
    return cat({first(x), to_tokens(proj(map) + map)}, 1);
  }
};

/// Depthwise convolutions of several windows, each of the channels of some heads. N,C,H,W.
class ConvRelPosEnc final : public Module {
 public:
  ConvRelPosEnc(const Cfg& c, int dim) {
    const int head = head_channels(dim, c.num_heads);
    int heads = 0;
    Sequential convs;
    for (const std::string& text : split_list(c.crpe_window)) {
      const auto [window, count] = window_of(text, c);
      const int channels = count * head;
      convs_.push_back(
          convs.add(Conv2d(channels, channels, window, {.groups = channels, .padding = window / 2, .bias = true})));
      channels_.push_back(channels);
      heads += count;
    }
    if (heads != c.num_heads)
      throw Error(Error::Kind::argument,
                  str_cat("crpe_window '", c.crpe_window, "' is of ", heads, " heads, not ", c.num_heads));
    add("conv_list", std::move(convs));
  }
  Tensor forward(const Tensor& x) override {
    Tensors parts = split(x, channels_, 1);
    const Scope scope("conv_list");
    for (size_t i = 0; i < parts.size(); ++i) parts[i] = convs_[i](parts[i]);
    return cat(parts, 1);
  }

 private:
  // "3:2": a window of 3 for two heads; "3": for all.
  static std::pair<int, int> window_of(std::string_view text, const Cfg& c) {
    const size_t colon = text.find(':');
    int window = 0, heads = c.num_heads;
    if (!read_setting(text.substr(0, colon), window) || window < 1 ||
        (colon != std::string_view::npos && !read_setting(text.substr(colon + 1), heads)) || heads < 1)
      throw Error(Error::Kind::argument, str_cat("'", text, "' in crpe_window is no window and its number of heads"),
                  "as in 3:2,5:3,7:3");
    return {window, heads};
  }
  std::vector<Ref<Conv2d>> convs_;
  std::vector<int64_t> channels_;
};

/// Queries read what keys, each channel weighed over all tokens, gather of the values; and their places' values.
class FactorAttention final : public Module {
 public:
  FactorAttention(const Cfg& c, int dim, Size2 grid, Module& crpe) : heads_(c.num_heads), grid_(grid) {
    scale_ = static_cast<float>(1 / std::sqrt(static_cast<double>(head_channels(dim, heads_))));
    qkv_ = add("qkv", Linear(dim, 3 * dim, c.qkv_bias));
    proj_ = add("proj", Linear(dim, dim));
    proj_drop_ = add("proj_drop", Dropout(c.proj_drop_rate));
    crpe_ = add("crpe", Alias(crpe));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor qkv = qkv_(x);
    const std::array<Tensor, 3> each = split_qkv(qkv, heads_);  // [N, heads, L, D]
    const Tensor &q = each[0], &v = each[2];
    const int64_t dim = x.dim(2);
    const Tensor shares = softmax(narrow(qkv, 2, dim, dim), 1);  // of k: whole rows of channels at a time
    const Tensor gathered = matmul(split_heads(shares, heads_), v, {.transpose_a = true});
    const Tensor read = merge_heads(matmul(q, gathered, {.scale = scale_}));
    const Tensor tokens = others(qkv);
    const Tensor near = to_tokens(crpe_(to_map(narrow(tokens, 2, 2 * dim, dim), grid_)));
    const Tensor placed = others(read) + narrow(tokens, 2, 0, dim) * near;
    return proj_drop_(proj_(cat({first(read), placed}, 1)));
  }

 private:
  int heads_;
  Size2 grid_;
  float scale_;
  Ref<Module> qkv_, proj_, proj_drop_, crpe_;
};

Mlp mlp(const Cfg& c, size_t scale) {
  const int dim = c.embed_dims[scale];
  return Mlp(dim, {.hidden = dim * c.mlp_ratios[scale], .drop = c.proj_drop_rate});
}

/// What blocks share, of one scale.
struct Scale {
  Size2 grid{};
  Param cls_token{};
  Ref<PatchEmbed> patch_embed{};
  Ref<Module> cpe{}, crpe{}, norm{};
  Ref<Sequential> blocks{};
};

struct SerialBlock final : Module {
  Ref<Module> cpe, norm1, attn, drop_path, norm2, mlp_;
  SerialBlock(const Cfg& c, size_t scale, const Scale& s, double drop_rate) {
    const int dim = c.embed_dims[scale];
    cpe = add("cpe", Alias(*s.cpe));
    norm1 = add("norm1", norm(c, dim));
    attn = add("factoratt_crpe", FactorAttention(c, dim, s.grid, *s.crpe));
    drop_path = add("drop_path", DropPath(drop_rate));
    norm2 = add("norm2", norm(c, dim));
    mlp_ = add("mlp", mlp(c, scale));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = cpe(x), z = y + drop_path(attn(norm1(y)));
    return z + drop_path(mlp_(norm2(z)));
  }
};

/// Three scales attend each for itself, and add up what they found; one MLP serves all.
class ParallelBlock final : public Joint {
 public:
  ParallelBlock(const Cfg& c, std::span<const Scale> scales, double drop_rate) {
    const auto each = [&](auto make) {
      for (size_t i = 0; i < kParallel; ++i) make(i, i + 1, c.embed_dims[i + 1]);
    };
    each([&](size_t i, size_t scale, int dim) { norm1_[i] = add(str_cat("norm1", scale + 1), norm(c, dim)); });
    each([&](size_t i, size_t scale, int dim) {
      const Scale& s = scales[scale];
      grids_[i] = s.grid;
      attn_[i] = add(str_cat("factoratt_crpe", scale + 1), FactorAttention(c, dim, s.grid, *s.crpe));
    });
    drop_path_ = add("drop_path", DropPath(drop_rate));
    each([&](size_t i, size_t scale, int dim) { norm2_[i] = add(str_cat("norm2", scale + 1), norm(c, dim)); });
    mlp_[0] = add("mlp2", mlp(c, 1));
    mlp_[1] = add("mlp3", Alias(*mlp_[0]));
    mlp_[2] = add("mlp4", Alias(*mlp_[0]));
  }

 protected:
  Tensors pass(std::span<const Tensor> x) override {
    Tensors found, y;
    for (size_t i = 0; i < kParallel; ++i) found.push_back(attn_[i](norm1_[i](x[i])));
    const Tensor token = first(found[0]) + first(found[1]) + first(found[2]);
    for (size_t i = 0; i < kParallel; ++i) {
      Tensor sum = others(found[i]);
      for (size_t j = 0; j < kParallel; ++j)
        if (j != i) sum = sum + to_tokens(resized(others(found[j]), j, i));
      const Tensor z = x[i] + drop_path_(cat({token, sum}, 1));
      y.push_back(z + drop_path_(mlp_[i](norm2_[i](z))));
    }
    return y;
  }

 private:
  Tensor resized(const Tensor& tokens, size_t from, size_t to) const {
    const double factor = std::exp2(static_cast<double>(from) - static_cast<double>(to));
    return interpolate(to_map(tokens, grids_[from]), {}, {.mode = Interpolation::linear, .scale = {factor, factor}});
  }
  std::array<Size2, kParallel> grids_;
  std::array<Ref<Module>, kParallel> norm1_, attn_, norm2_, mlp_;
  Ref<Module> drop_path_;
};

/// One number for each channel of three.
class Aggregate final : public Module {
 public:
  Aggregate() {
    weight_ = param("weight", {1, kParallel, 1}, init::torch_default(kParallel));
    bias_ = param("bias", {1}, init::torch_default(kParallel));
  }
  Tensor forward(const Tensor& x) override { return linear(x, reshape(weight_, {1, kParallel}), bias_); }  // [..., 3]

 private:
  Param weight_, bias_;
};

/// Levels are the maps of the four scales. Features are tokens of the last scale, or of the last three, as a row of
/// values for each image.
class CoaT final : public TokenHeadModel {
 public:
  CoaT(const Cfg& c, const ModelOptions& o) : TokenHeadModel(o, {}), cfg_(c) {
    want_pool(global_pool());
    if (c.parallel_depth > 0 && !(alike(c.embed_dims) && alike(c.mlp_ratios)))
      throw Error(Error::Kind::argument, "scales side by side have as many channels",
                  "embed_dims and mlp_ratios 2 to 4");
    add_scales(o);
    add_blocks(static_cast<double>(o.drop_path_rate.value_or(0.0f)));
    for (size_t i = c.parallel_depth > 0 ? 1 : kScales - 1; i < kScales; ++i)
      scales_[i].norm = add(str_cat("norm", i + 1), norm(c, c.embed_dims[i]));
    if (c.parallel_depth > 0) aggregate_ = add("aggregate", Aggregate());
    add_head(c.embed_dims[kScales - 1]);
    start_vit_values(*this, VitInit::timm, num_classes_);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensors x;
    Tensor map = image;
    for (size_t i = 0; i < kScales; ++i) {
      const Scale& s = scales_[i];
      if (s.patch_embed->vacant()) return x.back();
      Tensor y = cat({expand(s.cls_token, {image.dim(0), 1, -1}), s.patch_embed(map)}, 1);
      {
        const Scope scope(s.blocks->name());
        for (const auto& block : s.blocks->children()) y = run(*block, y);
      }
      map = to_map(others(y), s.grid);
      x.push_back(y);
      const bool ends = (i == 0 || !parallel()) && tap(s.blocks->name(), map);
      if (ends && i + 1 < kScales) return y;
    }
    return parallel() ? side_by_side(x) : scales_.back().norm(x.back());
  }
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override {
    if (global_pool) want_pool(*global_pool);
    TokenHeadModel::reset_classifier(num_classes, global_pool);
  }
  std::vector<std::string> no_weight_decay() const override {
    return {"cls_token1", "cls_token2", "cls_token3", "cls_token4"};
  }
  std::vector<LayerGroup> group_matcher(bool) const override {
    std::vector<LayerGroup> rows;
    for (int i = 0; i < static_cast<int>(kScales); ++i) {
      for (const char* part : {"^cls_token", "^patch_embed", "^crpe", "^cpe"})
        rows.push_back({.group = 2 * i, .pattern = str_cat(part, i + 1)});
      rows.push_back({.group = 2 * i + 1, .pattern = str_cat("^serial_blocks", i + 1, ".#")});
    }
    rows.push_back({.group = 2 * kScales, .pattern = "^parallel_blocks.#"});
    for (const char* end : {"^norm2", "^norm3", "^norm4", "^aggregate"})
      rows.push_back({.group = 2 * kScales, .pattern = end, .number = 99999});
    return rows;
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm2", "norm3", "norm4"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override {
    const Tensor& x = tapped.value;
    for (const Scale& s : scales_)
      if (s.norm && x.dim(2) == s.grid.h && x.dim(3) == s.grid.w)
        return permute(s.norm(permute(x, {0, 2, 3, 1})), {0, 3, 1, 2});
    return x;
  }
  // Whatever belongs to later scales stands all over the model.
  void vacate_behind(std::string_view level, std::string_view) override {
    size_t kept = 0;
    while (scales_[kept++].blocks->name() != level) continue;
    for (size_t i = kept; i < kScales; ++i) {
      Scale& s = scales_[i];
      for (Module* m :
           {static_cast<Module*>(s.patch_embed.get()), s.cpe.get(), s.crpe.get(), static_cast<Module*>(s.blocks.get())})
        m->vacate();
      remove(str_cat("cls_token", i + 1));
    }
    if (parallel_) parallel_->vacate();
    parallel_blocks_.clear();
  }
  void drop_head() override {
    if (aggregate_) aggregate_->vacate();
    reset_classifier(0);
  }
  Tensor pool(const Tensor& features) override {
    if (!parallel()) return TokenHeadModel::pool(features);
    if (aggregate_->vacant())
      throw Error(Error::Kind::unsupported, "what makes one row of values of three scales was pruned away");
    Tensors pooled;
    int64_t at = 0;
    for (size_t i = 1; i < kScales; ++i) {
      const int64_t tokens = 1 + scales_[i].grid.h * scales_[i].grid.w, dim = cfg_.embed_dims[i];
      pooled.push_back(
          unsqueeze(TokenHeadModel::pool(unflatten(narrow(features, 1, at, tokens * dim), 1, {tokens, dim})), 2));
      at += tokens * dim;
    }
    return select(aggregate_(cat(pooled, 2)), 2, 0);
  }

 private:
  static bool alike(const std::array<int, kScales>& v) { return v[1] == v[2] && v[2] == v[3]; }
  static void want_pool(std::string_view pool) {
    if (pool.empty()) throw Error(Error::Kind::argument, "this model pools its tokens", "by token or avg");
  }
  bool parallel() const { return !parallel_blocks_.empty(); }

  void add_scales(const ModelOptions& o) {
    const std::array<int, 2> image = o.img_size.value_or(std::array{224, 224});
    const auto each = [&](auto make) {
      for (size_t i = 0; i < kScales; ++i) make(scales_[i], i, cfg_.embed_dims[i]);
    };
    each([&](Scale& s, size_t i, int dim) {
      s.cls_token = param(str_cat("cls_token", i + 1), {1, 1, dim}, init::trunc_normal(0.02));
    });
    each([&](Scale& s, size_t i, int dim) {
      const int part = i == 0 ? 1 : 2 << i;
      const PatchEmbedOptions patches{.image = {image[0] / part, image[1] / part},
                                      .patch = i == 0 ? cfg_.patch_size : 2,
                                      .norm = {.kind = TokenNorm::Kind::layer, .eps = 1e-5}};
      const int in = i == 0 ? o.in_chans.value_or(3) : cfg_.embed_dims[i - 1];
      s.patch_embed = add(str_cat("patch_embed", i + 1), PatchEmbed(in, dim, patches));
      s.grid = s.patch_embed->grid();
    });
    each([&](Scale& s, size_t i, int dim) { s.cpe = add(str_cat("cpe", i + 1), ConvPosEnc(dim, s.grid)); });
    each([&](Scale& s, size_t i, int dim) { s.crpe = add(str_cat("crpe", i + 1), ConvRelPosEnc(cfg_, dim)); });
  }

  void add_blocks(double drop_rate) {
    for (size_t i = 0; i < kScales; ++i) {
      Sequential blocks;
      for (int n = 0; n < cfg_.serial_depths[i]; ++n) blocks.add(SerialBlock(cfg_, i, scales_[i], drop_rate));
      scales_[i].blocks = add(str_cat("serial_blocks", i + 1), std::move(blocks));
    }
    if (cfg_.parallel_depth < 1) return;
    Sequential blocks;
    for (int n = 0; n < cfg_.parallel_depth; ++n)
      parallel_blocks_.push_back(blocks.add(ParallelBlock(cfg_, scales_, drop_rate)));
    parallel_ = add("parallel_blocks", std::move(blocks));
  }

  Tensor side_by_side(const Tensors& all) {
    Tensors x(all.begin() + 1, all.end());
    for (const Ref<ParallelBlock>& block : parallel_blocks_) {
      for (size_t i = 0; i < kParallel; ++i) x[i] = scales_[i + 1].cpe(x[i]);
      const Scope scope(parallel_->name());
      x = run(*block, x);
    }
    for (size_t i = 0; i < kParallel; ++i) tap(parallel_->name(), to_map(others(x[i]), scales_[i + 1].grid));
    for (size_t i = 0; i < kParallel; ++i) x[i] = flatten(scales_[i + 1].norm(x[i]), 1);
    return cat(x, 1);
  }

  Cfg cfg_;
  std::array<Scale, kScales> scales_;
  Ref<Sequential> parallel_;
  std::vector<Ref<ParallelBlock>> parallel_blocks_;
  Ref<Module> aggregate_;
};

// Norms that were there and never used.
constexpr Rename kUnused[] = {{"^norm1.**", nullptr}};
constexpr Rename kUnusedInLite[] = {{"^norm2.**", nullptr}, {"^norm3.**", nullptr}, {"^aggregate.**", nullptr}};

StateDict adapt(ImageModel& model, StateDict weights) {
  const StateDict w = rename(weights, kUnused);
  return model.find("aggregate") ? w : rename(w, kUnusedInLite);
}

constexpr Cfg side_by_side(int dim) {
  return {.patch_size = 4, .embed_dims{152, dim, dim, dim}, .serial_depths{2, 2, 2, 2}, .parallel_depth = 6};
}
constexpr Cfg lite(const std::array<int, kScales>& dims, const std::array<int, kScales>& depths) {
  return {.patch_size = 4, .embed_dims = dims, .serial_depths = depths, .mlp_ratios{8, 8, 4, 4}};
}
constexpr Cfg medium{.patch_size = 4, .embed_dims{128, 256, 320, 512}, .serial_depths{3, 6, 10, 8}};
constexpr Variant<Cfg> variants[] = {
    {"coat_lite_medium", medium},
    {"coat_lite_medium_384", medium},
    {"coat_lite_mini", lite({64, 128, 320, 512}, {2, 2, 2, 2})},
    {"coat_lite_small", lite({64, 128, 320, 512}, {3, 4, 6, 3})},
    {"coat_lite_tiny", lite({64, 128, 256, 320}, {2, 2, 2, 2})},
    {"coat_mini", side_by_side(216)},
    {"coat_small", side_by_side(320)},
    {"coat_tiny", side_by_side(152)},
};

}  // namespace

FOVEA_FAMILY(coat, CoaT, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::coat
