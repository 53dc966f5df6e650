// SPDX-License-Identifier: Apache-2.0
// zoo/families/mvitv2.cpp — MViT V2: attention whose queries, keys and values are maps that convolutions pool, with a
// bias by row and by column. timm.models.mvitv2; https://arxiv.org/abs/2112.01526
#include <algorithm>

#include "nn/layers/attention.h"
#include "nn/layers/conv_attrs.h"
#include "nn/layers/decomposed_bias.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stage_windows.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::mvitv2 {
namespace {

enum class Mode : uint8_t { conv, avg, max };
std::string_view name_of(Mode m) {
  constexpr std::string_view names[] = {"conv", "avg", "max"};
  return static_cast<size_t>(m) < std::size(names) ? names[static_cast<size_t>(m)] : std::string_view();
}
enum class RelPos : uint8_t { none, spatial };
std::string_view name_of(RelPos r) {
  constexpr std::string_view names[] = {"none", "spatial"};
  return static_cast<size_t>(r) < std::size(names) ? names[static_cast<size_t>(r)] : std::string_view();
}

struct Cfg {
  std::array<int, 4> depths{2, 3, 16, 3}, embed_dim{96, 192, 384, 768}, num_heads{1, 2, 4, 8};
  double mlp_ratio = 4;
  bool expand_attn = true;  // attention begins with more channels; else the MLP in front of it ends with them
  bool qkv_bias = true;
  bool use_cls_token = false, use_abs_pos = false;
  bool residual_pooling = true;  // queries are added to what attention gives
  Mode mode = Mode::conv;        // what pools
  std::array<int, 2> kernel_qkv{3, 3};
  StageWindows stride_q{1, 2, 2, 2};  // of the first block of a stage
  GivenWindows stride_kv{};           // "none": by the next, so that keys of all stages make a map of one size
  std::array<int, 2> stride_kv_adaptive{4, 4};
  std::array<int, 2> patch_kernel{7, 7}, patch_stride{4, 4}, patch_padding{3, 3};
  RelPos rel_pos_type = RelPos::spatial;
  TokenNorm::Kind norm_layer = TokenNorm::Kind::layer;
  double norm_eps = 1e-6;

  TokenNorm norm() const { return {.kind = norm_layer, .eps = norm_eps}; }
  Size2 kv_stride(size_t stage) const {
    if (stride_kv) return stride_kv.of[stage];
    Size2 s(stride_kv_adaptive[0], stride_kv_adaptive[1]);
    for (size_t i = 0; i <= stage; ++i)
      if (const Size2 q = stride_q.of[i]; std::min(q.h, q.w) > 1) s = {std::max(s.h / q.h, 1), std::max(s.w / q.w, 1)};
    return s;
  }
};
FOVEA_SETTINGS(Cfg, depths, embed_dim, num_heads, mlp_ratio, expand_attn, qkv_bias, use_cls_token, use_abs_pos,
               residual_pooling, mode, kernel_qkv, stride_q, stride_kv, stride_kv_adaptive, patch_kernel, patch_stride,
               patch_padding, rel_pos_type, norm_layer, norm_eps)

Size2 pair_of(const std::array<int, 2>& s) { return {s[0], s[1]}; }
int area(Size2 s) { return s.h * s.w; }

// What differs from block to block.
struct BlockOptions {
  int in = 0, out = 0, heads = 1;
  Size2 map{}, stride_q{}, stride_kv{};
  double drop_path = 0;
};

/// N,H,W,heads * D: pools each head's channels alike, then norms them.
class Pool final {
 public:
  Pool() = default;
  Pool(const Cfg& c, Size2 stride, int heads)
      : mode_(c.mode),
        kernel_(pair_of(c.kernel_qkv)),
        stride_(stride),
        heads_(heads) {}
  bool there() const { return area(kernel_) > 1 || area(stride_) > 1; }
  bool learned() const { return there() && mode_ == Mode::conv; }
  Conv2d conv(int dim) const { return {dim, dim, kernel_, {.stride = stride_, .groups = dim, .padding = padding()}}; }
  Tensor operator()(const Tensor& x, const Maybe<Conv2d>& learned) const {
    if (!there()) return x;
    const Tensor map = permute(x, {0, 3, 1, 2});
    const Dims kernel{kernel_.h, kernel_.w}, stride{stride_.h, stride_.w}, pad{kernel_.h / 2, kernel_.w / 2};
    Tensor y;
    if (learned) {
      const Scope scope(learned->name());
      y = fovea::conv(map, repeat(learned->weight, {heads_, 1, 1, 1}), {},
                      {.stride = stride, .pad = pad, .groups = map.dim(1)});
    } else {
      const PoolOptions o{.kernel = kernel, .stride = stride, .pad = pad};
      y = mode_ == Mode::max ? max_pool(map, o) : avg_pool(map, o);
    }
    return permute(y, {0, 2, 3, 1});
  }

 private:
  Size2 padding() const { return {kernel_.h / 2, kernel_.w / 2}; }
  Mode mode_ = Mode::conv;
  Size2 kernel_, stride_;
  int heads_ = 1;
};

/// Of a map N,H,W,C and, behind it, a class token [N, 1, C] where there is one.
class Attention final : public Joint {
 public:
  Attention(const Cfg& c, const BlockOptions& p, int dim) : heads_(p.heads), residual_(c.residual_pooling) {
    const int d = head_channels(dim, p.heads);
    if (c.rel_pos_type == RelPos::spatial) {
      if (p.map.h != p.map.w)
        throw Error(Error::Kind::argument, str_cat("a map of ", p.map.h, " x ", p.map.w, " is not square"),
                    "rel_pos_type none takes any");
      const int64_t rows = 2 * std::max(p.map.h / p.stride_q.w, p.map.h / p.stride_kv.w) - 1;
      down_ = param("rel_pos_h", {rows, d}, init::trunc_normal_tf(0.02));
      across_ = param("rel_pos_w", {rows, d}, init::trunc_normal_tf(0.02));
    }
    qkv_ = add("qkv", Linear(p.in, 3 * dim, c.qkv_bias));
    proj_ = add("proj", Linear(dim, dim));
    for (size_t i = 0; i < 3; ++i) {
      Part& part = parts_[i];
      part.pool = Pool(c, i == 0 ? p.stride_q : p.stride_kv, p.heads);
      if (!part.pool.learned()) continue;
      part.conv = add(str_cat("pool_", "qkv"[i]), part.pool.conv(d));
      part.norm = add(str_cat("norm_", "qkv"[i]), token_norm(c.norm(), d));
    }
  }

 private:
  struct Part {
    Pool pool;
    Maybe<Conv2d> conv;
    Maybe<Module> norm;
  };
  struct Pooled {
    Tensor tokens;  // [N, L, heads, D], the class token first
    Size2 map;
  };

  Pooled pooled(size_t i, const Tensor& map, const Tensor& token) const {
    const Part& part = parts_[i];
    const Tensor y = part.pool(map, part.conv);
    const auto by_head = [&](const Tensor& t) { return unflatten(t, -1, {heads_, t.dim(-1) / heads_}); };
    Tensor tokens = by_head(flatten(y, 1, 2));
    if (token) tokens = cat({by_head(token), tokens}, 1);
    return {part.norm(tokens), {static_cast<int>(y.dim(1)), static_cast<int>(y.dim(2))}};
  }

  Tensors pass(std::span<const Tensor> x) override {
    std::vector<Tensor> maps = chunk(qkv_(x[0]), 3, -1), tokens(3);
    const int64_t prefix = x.size() > 1 ? 1 : 0;
    if (prefix) tokens = chunk(qkv_(x[1]), 3, -1);
    const Pooled q = pooled(0, maps[0], tokens[0]), k = pooled(1, maps[1], tokens[1]),
                 v = pooled(2, maps[2], tokens[2]);
    const auto heads_first = [](const Tensor& t) { return permute(t, {0, 2, 1, 3}); };
    const Tensor queries = heads_first(q.tokens);
    Tensor bias;
    if (down_) {
      bias = decomposed_bias(slice(queries, 2, prefix, queries.dim(2)), down_, across_, q.map, k.map);
      if (prefix) bias = pad_last(bias, {1, 0, 1, 0});
    }
    Tensor y = sdpa(queries, heads_first(k.tokens), heads_first(v.tokens), bias);
    if (residual_) y = y + queries;
    y = proj_(merge_heads(y));
    Tensors out{unflatten(slice(y, 1, prefix, y.dim(1)), 1, {q.map.h, q.map.w})};
    if (prefix) out.push_back(slice(y, 1, 0, 1));
    return out;
  }

  int heads_;
  bool residual_;
  Param down_, across_;
  Ref<Linear> qkv_, proj_;
  std::array<Part, 3> parts_;
};

/// Operands and results as of its attention.
class Block final : public Joint {
 public:
  Block(const Cfg& c, const BlockOptions& p) : stride_(p.stride_q), drop_path_(p.drop_path) {
    const int dim = c.expand_attn ? p.out : p.in;
    norm1_ = add("norm1", token_norm(c.norm(), p.in));
    if (p.in != dim) shortcut_attn_ = add("shortcut_proj_attn", Linear(p.in, dim));
    attn_ = add("attn", Attention(c, p, dim));
    norm2_ = add("norm2", token_norm(c.norm(), dim));
    if (dim != p.out) shortcut_mlp_ = add("shortcut_proj_mlp", Linear(p.in, p.out));
    mlp_ = add("mlp", Mlp(dim, {.hidden = static_cast<int>(dim * c.mlp_ratio), .out = p.out}));
  }

 private:
  template <class F>
  static Tensors each(std::span<const Tensor> x, F f) {
    Tensors y;
    for (const Tensor& t : x) y.push_back(f(t));
    return y;
  }
  // Map and class token of a sample are dropped together.
  Tensors added(const Tensors& x, Tensors y) {
    if (training() && drop_path_ > 0) {
      const int64_t key = next_key();
      y = each(y, [&](const Tensor& t) { return drop_path(t, drop_path_, key); });
    }
    for (size_t i = 0; i < x.size(); ++i) y[i] = x[i] + y[i];
    return y;
  }
  Tensor pooled(const Tensor& map) const {
    if (area(stride_) == 1) return map;
    const auto kernel = [](int stride) { return stride > 1 ? stride + 1 : stride; };
    const Size2 k(kernel(stride_.h), kernel(stride_.w));
    const Tensor y = max_pool(permute(map, {0, 3, 1, 2}),
                              {.kernel{k.h, k.w}, .stride{stride_.h, stride_.w}, .pad{k.h / 2, k.w / 2}});
    return permute(y, {0, 2, 3, 1});
  }

  // Shortcuts widen what is normed, and hand through what is not.
  Tensors pass(std::span<const Tensor> x) override {
    const Tensors normed = each(x, norm1_);
    Tensors shortcut = shortcut_attn_ ? each(normed, shortcut_attn_) : Tensors(x.begin(), x.end());
    shortcut[0] = pooled(shortcut[0]);
    const Tensors y = added(shortcut, (*attn_)(normed)), seen = each(y, norm2_);
    return added(shortcut_mlp_ ? each(seen, shortcut_mlp_) : y, each(seen, mlp_));
  }

  Size2 stride_;
  double drop_path_;
  Ref<Module> norm1_, norm2_, mlp_;
  Ref<Attention> attn_;
  Maybe<Module> shortcut_attn_, shortcut_mlp_;
};

struct Patches final : Module {
  Ref<Module> proj;
  Patches(const Cfg& c, int in_chans) {
    proj = add("proj", Conv2d(in_chans, c.embed_dim[0], pair_of(c.patch_kernel),
                              {.stride = pair_of(c.patch_stride), .padding = pair_of(c.patch_padding), .bias = true}));
  }
  Tensor forward(const Tensor& image) override { return permute(proj(image), {0, 2, 3, 1}); }
};

/// Pooling of tokens, dropout and the classifier.
class TokenHead final : public Head {
 public:
  TokenHead(int features, int classes, std::string_view pool, int prefix, double drop)
      : features_(features),
        prefix_(prefix) {
    set_pool(pool);
    drop_ = add("drop", Dropout(drop));
    fc_ = add("fc", classifier_layer(features, classes));
  }
  void reset(int classes, std::optional<std::string_view> pool = {}) override {
    if (pool) set_pool(*pool);
    fc_ = replace("fc", classifier_layer(features_, classes));
  }
  void shorten(int features) override { features_ = features; }
  int num_features() const override { return features_; }
  const std::string& pool() const override { return pool_; }

 private:
  Tensor apply(const Tensor& x, bool pre_logits) override {
    const Tensor y = pool_tokens(x, pool_, prefix_);
    return pre_logits ? y : fc_(drop_(y));
  }
  void set_pool(std::string_view pool) {
    if (pool != "" && pool != "avg" && (pool != "token" || prefix_ == 0))
      throw Error(Error::Kind::argument, str_cat("no pooling '", pool, "' of this model's tokens"),
                  prefix_ ? "there are: token, avg, and \"\" for none" : "there are: avg, and \"\" for none");
    pool_ = pool;
  }
  int features_, prefix_;
  std::string pool_;
  Ref<Dropout> drop_;
  Ref<Module> fc_;
};

class MultiScaleVit final : public HeadedModel {
 public:
  MultiScaleVit(const Cfg& c, const ModelOptions& o) : HeadedModel(o), cfg_(c) {
    const std::array<int, 2> image = o.img_size.value_or(std::array{224, 224});
    const Size2 grid(image[0] / c.patch_stride[0], image[1] / c.patch_stride[1]);
    const int64_t prefix = c.use_cls_token ? 1 : 0;
    if (prefix) cls_token_ = param("cls_token", {1, 1, c.embed_dim[0]}, init::trunc_normal_tf(0.02));
    if (c.use_abs_pos)
      pos_embed_ = param("pos_embed", {1, prefix + area(grid), c.embed_dim[0]}, init::trunc_normal_tf(0.02));
    patch_embed_ = add("patch_embed", Patches(c, o.in_chans.value_or(3)));
    const int features = add_stages(grid, o);
    norm_ = add("norm", token_norm(c.norm(), features));
    head(features, std::make_unique<TokenHead>(features, num_classes_, wanted_pool(prefix ? "token" : "avg"),
                                               static_cast<int>(prefix), static_cast<double>(drop_rate_)));
    visit([](const std::string&, Module& m) {
      auto* linear = dynamic_cast<Linear*>(&m);
      if (!linear) return;
      linear->weight.slot().init = init::trunc_normal_tf(0.02);
      if (linear->bias) linear->bias.slot().init = init::zeros();
    });
  }

  Tensor forward_features(const Tensor& image) override {
    Tensors x = embedded(image);
    for (size_t s = 0; s < stages_.size(); ++s) {
      {
        const std::string number = std::to_string(s);  // scopes refer to it
        const Scope stages("stages"), own(number), blocks("blocks");
        for (const Ref<Block>& block : stages_[s]) x = run(*block, x);
      }
      if (tap(str_cat("block.", s), x[0], TapKind::block, 3)) return tokens(x);
    }
    return norm_(tokens(x));
  }

  std::vector<std::string> no_weight_decay() const override {
    return {"*pos_embed*", "*rel_pos_h*", "*rel_pos_w*", "*cls_token*"};
  }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^cls_token"},
            {0, "^pos_embed"},
            {0, "^patch_embed"},
            {1, "^stages.#"},
            {.group = 1, .pattern = "^norm", .joins_previous = true}};
  }
  const Cfg& cfg() const { return cfg_; }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}}; }
  Tensor final_norm(const Tap& tapped) override {
    return tapped.module == "block.3" ? norm_(tapped.value) : tapped.value;
  }
  // timm calls levels "block.0" and the children "stages.0".
  void vacate_behind(std::string_view level, std::string_view last_level) override {
    const auto child = [](std::string_view name) { return str_cat("stages", name.substr(name.find('.'))); };
    HeadedModel::vacate_behind(child(level), child(last_level));
  }

 private:
  // The features of the last one.
  int add_stages(Size2 map, const ModelOptions& o) {
    const Cfg& c = cfg_;
    DropPathRamp drop_path(o, c.depths);
    Sequential stages;
    int dim = c.embed_dim[0];
    for (size_t s = 0; s < 4; ++s) {
      const int out = c.embed_dim[c.expand_attn ? s : std::min<size_t>(s + 1, 3)];
      Sequential blocks, stage;
      for (int i = 0; i < c.depths[s]; ++i) {
        const bool widens = c.expand_attn ? i == 0 : i + 1 == c.depths[s];
        const Size2 stride = i == 0 ? c.stride_q.of[s] : Size2(1);
        stages_[s].push_back(blocks.add(Block(c, {.in = dim,
                                                  .out = widens ? out : dim,
                                                  .heads = c.num_heads[s],
                                                  .map = map,
                                                  .stride_q = stride,
                                                  .stride_kv = c.kv_stride(s),
                                                  .drop_path = drop_path.next()})));
        if (widens) dim = out;
        map = {map.h / stride.h, map.w / stride.w};
      }
      stage.add("blocks", std::move(blocks));
      stages.add(std::move(stage));
    }
    add("stages", std::move(stages));
    return dim;
  }

  Tensors embedded(const Tensor& image) {
    Tensors x{patch_embed_(image)};
    const int64_t n = x[0].dim(0), prefix = cls_token_ ? 1 : 0;
    if (prefix) x.push_back(expand(cls_token_, {n, -1, -1}));
    if (pos_embed_) {
      const Tensor& pos = pos_embed_;
      x[0] = x[0] + unflatten(slice(pos, 1, prefix, pos.dim(1)), 1, {x[0].dim(1), x[0].dim(2)});
      if (prefix) x[1] = x[1] + slice(pos, 1, 0, 1);
    }
    return x;
  }
  static Tensor tokens(const Tensors& x) {
    const Tensor map = flatten(x[0], 1, 2);
    return x.size() > 1 ? cat({x[1], map}, 1) : map;
  }

  Cfg cfg_;
  Param cls_token_, pos_embed_;
  Ref<Module> patch_embed_, norm_;
  std::array<std::vector<Ref<Block>>, 4> stages_;
};

// Tables of another image size are stretched.
void resize_tables(const StateDict& own, StateDict& weights) {
  for (const std::string& name : weights.names()) {
    const Tensor* mine = name.find("rel_pos") != std::string::npos ? own.find(name) : nullptr;
    if (!mine || mine->dim(0) == weights.at(name).dim(0)) continue;
    const Tensor rows = unsqueeze(transpose(cast(weights.at(name), DType::f32), 0, 1), 0);
    const Tensor resized = interpolate(rows, {mine->dim(0)}, {.mode = Interpolation::linear});
    weights.set(name, contiguous(transpose(select(resized, 0, 0), 0, 1)));
  }
}

// In the authors' files blocks are counted through all stages.
StateDict adapt(ImageModel& model, StateDict weights) {
  const Cfg& c = dynamic_cast<MultiScaleVit&>(model).cfg();
  if (weights.contains("stages.0.blocks.0.norm1.weight")) {
    resize_tables(model.state_dict(), weights);
    return weights;
  }
  const Rename rows[] = {{"^stages.#.#", "stages.$1.blocks.$2"},
                         {"^stages.#.blocks.#.proj", c.expand_attn ? "stages.$1.blocks.$2.shortcut_proj_attn"
                                                                   : "stages.$1.blocks.$2.shortcut_proj_mlp"},
                         {"head.projection", "head.fc"}};
  return rename(renumber_blocks(weights, "blocks.", "stages.", c.depths), rows);
}

constexpr std::array<int, 4> kHeads2{2, 4, 8, 16}, kWide{144, 288, 576, 1152};
constexpr Cfg with_token(Cfg c) {
  c.use_cls_token = true;
  return c;
}
constexpr Cfg base{}, small{.depths{1, 2, 11, 2}},
    large{.depths{2, 6, 36, 4}, .embed_dim = kWide, .num_heads = kHeads2, .expand_attn = false},
    large_cls{.depths{2, 6, 36, 4}, .embed_dim = kWide, .num_heads = kHeads2},
    huge{.depths{4, 8, 60, 8}, .embed_dim{192, 384, 768, 1536}, .num_heads{3, 6, 12, 24}};
constexpr Variant<Cfg> variants[] = {
    {"mvitv2_base", base},
    {"mvitv2_base_cls", with_token(base)},
    {"mvitv2_huge_cls", with_token(huge)},
    {"mvitv2_large", large},
    {"mvitv2_large_cls", with_token(large_cls)},
    {"mvitv2_small", small},
    {"mvitv2_small_cls", with_token(small)},
    {"mvitv2_tiny", {.depths{1, 2, 5, 2}}},
};

}  // namespace

FOVEA_FAMILY(mvitv2, MultiScaleVit, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::mvitv2
