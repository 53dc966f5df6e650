// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/maxxvit_transformer.cpp — attention with relative positions over parts of a map, and the blocks around it.
#include "zoo/blocks/maxxvit_transformer.h"

#include "engine/ops/ops.h"
#include "nn/layers.h"
#include "nn/layers/position_bias.h"
#include "zoo/blocks/windows.h"

namespace fovea::zoo::maxxvit {

NormSpec norm_spec(MapNorm n, double eps) {
  using enum NormSpec::Kind;
  constexpr NormSpec::Kind kinds[] = {batch, layer, group, group, rms, simple, evo_s0};
  return {.kind = kinds[static_cast<size_t>(n)], .eps = eps, .groups = n == MapNorm::groupnorm1 ? 1 : 32};
}

std::unique_ptr<Module> pooling(Pool kind, const Padding& padding) {
  const bool wide = kind == Pool::avg || kind == Pool::max, given = padding.kind != Padding::Kind::symmetric;
  // What TensorFlow's padding adds counts in a mean.
  const Pool2dOptions o{.stride = 2,
                        .padding = given ? padding : Padding(wide ? 1 : 0),
                        .count_include_pad = given || kind == Pool::avg2};
  if (kind == Pool::max || kind == Pool::max2) return std::make_unique<MaxPool2d>(wide ? 3 : 2, o);
  return std::make_unique<AvgPool2d>(wide ? 3 : 2, o);
}

Downsample::Downsample(int in, int out, std::unique_ptr<Module> by, bool bias) {
  pool_ = add("pool", std::move(by));
  if (in != out) expand_ = add("expand", Conv2d(in, out, 1, {.bias = bias}));
}

namespace {

/// A table [heads, offsets down, offsets right], of offsets from the token that looks to the one that it sees.
class RelPosBiasTf final : public PositionBias {
 public:
  RelPosBiasTf(Size2 window, int heads) : window_(window) {
    table_ = param("relative_position_bias_table", shape(heads), init::normal(0.02));
    positions_ = constant("positions", positions());
  }
  void set_window(Size2 window) override {
    if (window == window_) return;
    const Tensor old = table_;
    window_ = window;
    Tensor table = old.has_bytes() ? resampled(old.detach())
                                   : meta_tensor(make_meta(old.dtype(), shape(static_cast<int>(old.dim(0))),
                                                           Memory::contiguous, old.device()));
    table.set_requires_grad(old.requires_grad());
    table_.set(table);
    positions_.set(positions().to(positions_->device()));
  }
  /// The table of another window for this one.
  Tensor resampled(const Tensor& table) const {
    if (table.rank() != 3 || table.shape() == shape(static_cast<int>(table.dim(0)))) return table;
    const Size2 old(static_cast<int>(table.dim(1) + 1) / 2, static_cast<int>(table.dim(2) + 1) / 2);
    const Tensor flat = resample_relative_bias(transpose(flatten(table, 1), 0, 1), window_, old);
    return contiguous(unflatten(transpose(flat, 0, 1), 1, {2 * window_.h - 1, 2 * window_.w - 1}));
  }

 private:
  Shape shape(int heads) const { return {heads, 2 * window_.h - 1, 2 * window_.w - 1}; }
  Tensor positions() const { return contiguous(transpose(relative_positions(window_), 0, 1)); }
  Tensor compute() override { return index_select(flatten(table_, 1), 1, positions_); }
  Size2 window_;
  Param table_, positions_;
};

std::unique_ptr<PositionBias> rel_pos(const TransformerCfg& c, Size2 window, int heads) {
  PositionBiasOptions o{.window = window, .hidden = c.transformer_rel_pos_dim};
  switch (c.transformer_rel_pos_type) {
    case RelPos::none: return nullptr;
    case RelPos::bias_tf: return std::make_unique<RelPosBiasTf>(window, heads);
    case RelPos::mlp: o.type = RelPosType::mlp; break;
    case RelPos::bias: o.type = RelPosType::bias; break;
  }
  return position_bias(o, heads);
}

/// Of the pixels of maps N,C,H,W or of tokens N,L,C to each other.
class PositionedAttention final : public Module {
 public:
  PositionedAttention(const TransformerCfg& c, int in, int out, Size2 window, Layout layout, bool head_first)
      : map_(layout == Layout::map),
        head_first_(head_first),
        attn_drop_(c.transformer_attn_drop) {
    const int inner = c.transformer_expand_first && (map_ || out > in) ? out : in, head = c.transformer_dim_head;
    heads_ = head > 0 ? inner / head : 0;
    if (head < 1 || heads_ * head != inner)
      throw Error(Error::Kind::argument, str_cat(inner, " channels do not divide into heads of ", head),
                  current_scope());
    qkv_ = add("qkv", channel_linear(in, 3 * inner, map_, c.transformer_attn_bias));
    rel_pos_ = add("rel_pos", rel_pos(c, window, heads_));
    proj_ = add("proj", channel_linear(inner, out, map_, c.transformer_attn_bias));
    proj_drop_ = add("proj_drop", Dropout(c.transformer_proj_drop));
  }
  Tensor forward(const Tensor& x) override {
    if (!map_) return proj_drop_(proj_(attended(qkv_(x))));
    const Tensor y = attended(flatten(permute(qkv_(x), {0, 2, 3, 1}), 1, 2));
    return proj_drop_(proj_(permute(unflatten(y, 1, {x.dim(2), x.dim(3)}), {0, 3, 1, 2})));
  }
  void set_window(Size2 window) {
    if (rel_pos_) rel_pos_->set_window(window);
  }

 private:
  Tensor attended(const Tensor& qkv) {
    const auto [q, k, v] = head_first_ ? by_heads(qkv) : split_qkv(qkv, heads_);
    const bool drops = training() && attn_drop_ > 0;
    const AttentionOptions options{.scale = {}, .dropout = drops ? attn_drop_ : 0, .key = drops ? next_key() : 0};
    return merge_heads(sdpa(q, k, v, rel_pos_ ? rel_pos_->bias() : Tensor(), options));
  }
  // A head's queries, keys and values stand side by side.
  std::array<Tensor, 3> by_heads(const Tensor& qkv) const {
    const Tensor each = permute(unflatten(qkv, 2, {heads_, 3, qkv.dim(2) / 3 / heads_}), {3, 0, 2, 1, 4});
    return {select(each, 0, 0), select(each, 0, 1), select(each, 0, 2)};
  }
  bool map_, head_first_;
  double attn_drop_;
  int heads_ = 0;
  Ref<Module> qkv_, proj_, proj_drop_;
  Ref<PositionBias> rel_pos_;
};

class MapTransformer final : public TransformerBlock {
 public:
  MapTransformer(const TransformerCfg& c, const BlockOptions& p, Size2 map) : TransformerBlock(c, Layout::map) {
    if (p.stride == 2) {
      const auto halved = [&](int out, bool bias) {
        return Downsample(p.in, out, pooling(c.transformer_pool_type), bias);
      };
      shortcut_ = add("shortcut", halved(p.out, c.transformer_shortcut_bias));
      Sequential both;
      both.add("norm", norm(p.in));
      both.add("down", halved(p.in, true));
      norm1_ = add("norm1", std::move(both));
    } else {
      norm1_ = add("norm1", norm(p.in));
    }
    attn_ = add("attn", PositionedAttention(c, p.in, p.out, map, Layout::map, true));
    close(p.out, p.drop_path);
  }
  void resize(const Sizes& s) override { attn_->set_window(s.map); }

 private:
  Tensor mixed(const Tensor& x) override { return (*attn_)(x); }
  Ref<PositionedAttention> attn_;
};

/// A map N,H,W,C in parts of that many tokens: neighbours, or those that are as far apart as the map allows.
struct Partition {
  Size2 size{};
  bool grid = false;

  Tensor split(const Tensor& x) const {
    if (size.h < 1 || size.w < 1 || x.dim(1) % size.h != 0 || x.dim(2) % size.w != 0)
      throw Error(Error::Kind::shape,
                  str_cat("a map of ", x.dim(1), " x ", x.dim(2), " does not divide into ", size.h, " x ", size.w,
                          grid ? " tokens between windows" : " tokens of a window"),
                  current_scope());
    if (!grid) return window_partition(x, size);
    const Tensor parts = reshape(x, {x.dim(0), size.h, x.dim(1) / size.h, size.w, x.dim(2) / size.w, x.dim(3)});
    return reshape(permute(parts, {0, 2, 4, 1, 3, 5}), {-1, static_cast<int64_t>(size.h) * size.w, x.dim(3)});
  }
  Tensor join(const Tensor& tokens, Size2 map) const {
    if (!grid) return window_reverse(tokens, size, map);
    const int64_t c = tokens.dim(2);
    const Tensor parts = reshape(tokens, {-1, map.h / size.h, map.w / size.w, size.h, size.w, c});
    return reshape(permute(parts, {0, 3, 1, 4, 2, 5}), {-1, map.h, map.w, c});
  }
  Tensor attend(PositionedAttention& attn, const Tensor& x, bool as_maps = false) const {
    const Size2 map(static_cast<int>(x.dim(1)), static_cast<int>(x.dim(2)));
    const Tensor tokens = split(x);
    if (!as_maps) return join(attn(tokens), map);
    const Tensor y = attn(permute(unflatten(tokens, 1, {size.h, size.w}), {0, 3, 1, 2}));
    return join(flatten(permute(y, {0, 2, 3, 1}), 1, 2), map);
  }
};

class PartitionTransformer final : public TransformerBlock {
 public:
  PartitionTransformer(const TransformerCfg& c, int dim, double drop_path, const Partition& part, Layout layout)
      : TransformerBlock(c, layout),
        map_(layout == Layout::map),
        part_(part) {
    norm1_ = add("norm1", norm(dim));
    attn_ = add("attn", PositionedAttention(c, dim, dim, part_.size, layout, c.transformer_head_first));
    close(dim, drop_path);
  }
  void resize(const Sizes& s) override {
    part_.size = part_.grid ? s.grid : s.window;
    attn_->set_window(part_.size);
  }

 private:
  Tensor mixed(const Tensor& x) override {
    if (!map_) return part_.attend(*attn_, x);
    return permute(part_.attend(*attn_, permute(x, {0, 2, 3, 1}), true), {0, 3, 1, 2});
  }
  bool map_;
  Partition part_;
  Ref<PositionedAttention> attn_;
};

class ParallelTransformer final : public TransformerBlock {
 public:
  ParallelTransformer(const TransformerCfg& c, int dim, double drop_path, const Sizes& s)
      : TransformerBlock(c, Layout::tokens) {
    fit(s);
    norm1_ = add("norm1", norm(dim));
    for (const bool grid : {false, true})
      attn_[grid] = add(grid ? "attn_grid" : "attn_block",
                        PositionedAttention(c, dim, dim / 2, size_, Layout::tokens, c.transformer_head_first));
    close(dim, drop_path);
  }
  void resize(const Sizes& s) override {
    fit(s);
    for (const Ref<PositionedAttention>& attn : attn_) attn->set_window(size_);
  }

 private:
  void fit(const Sizes& s) {
    if (s.window != s.grid)
      throw Error(Error::Kind::argument, "blocks of both attentions side by side have windows and grids of one size");
    size_ = s.window;
  }
  Tensor mixed(const Tensor& x) override {
    return cat({Partition{size_, false}.attend(*attn_[0], x), Partition{size_, true}.attend(*attn_[1], x)}, -1);
  }
  Size2 size_;
  std::array<Ref<PositionedAttention>, 2> attn_;
};

}  // namespace

std::unique_ptr<Module> TransformerBlock::norm(int channels) const {
  const double eps = c_.transformer_norm_eps;
  if (map_) return norm2d(norm_spec(c_.transformer_norm_layer, eps), channels);
  using enum TokenNorm::Kind;
  constexpr TokenNorm::Kind kinds[] = {layer, rms, simple};
  return token_norm({.kind = kinds[static_cast<size_t>(c_.transformer_norm_layer_cl)], .eps = eps}, channels);
}

void TransformerBlock::close(int channels, double drop_path) {
  const int hidden = static_cast<int>(channels * c_.transformer_expand_ratio);
  const Act act = c_.transformer_act_layer;
  const double drop = c_.transformer_proj_drop, scale = c_.transformer_init_values;
  if (scale != 0) ls1_ = add("ls1", LayerScale(channels, scale, map_));
  drop_path1_ = add("drop_path1", DropPath(drop_path));
  norm2_ = add("norm2", norm(channels));
  if (map_) mlp_ = add("mlp", ConvMlp(channels, {.hidden = hidden, .act = act, .drop = drop}));
  else mlp_ = add("mlp", Mlp(channels, {.hidden = hidden, .act = act, .drop = drop}));
  if (scale != 0) ls2_ = add("ls2", LayerScale(channels, scale, map_));
  drop_path2_ = add("drop_path2", DropPath(drop_path));
}

Tensor TransformerBlock::forward(const Tensor& x) {
  const Tensor y = shortcut_(x) + drop_path1_(ls1_(mixed(norm1_(x))));
  return y + drop_path2_(ls2_(mlp_(norm2_(y))));
}

std::unique_ptr<TransformerBlock> map_transformer(const TransformerCfg& c, const BlockOptions& p, Size2 map) {
  return std::make_unique<MapTransformer>(c, p, map);
}

std::unique_ptr<TransformerBlock> partition_transformer(const TransformerCfg& c, int dim, double drop_path,
                                                        const Sizes& s, bool grid, Layout layout) {
  const Partition part{grid ? s.grid : s.window, grid};
  return std::make_unique<PartitionTransformer>(c, dim, drop_path, part, layout);
}

std::unique_ptr<TransformerBlock> parallel_transformer(const TransformerCfg& c, int dim, double drop_path,
                                                       const Sizes& s) {
  return std::make_unique<ParallelTransformer>(c, dim, drop_path, s);
}

Tensor resampled_tf_table(Module* bias, const Tensor& table) {
  const auto* tf = dynamic_cast<const RelPosBiasTf*>(bias);
  return tf ? tf->resampled(table) : table;
}

}  // namespace fovea::zoo::maxxvit
