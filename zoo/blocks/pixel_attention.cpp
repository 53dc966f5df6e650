// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/pixel_attention.cpp — bottleneck attention, halo attention and lambdas.
#include "zoo/blocks/pixel_attention.h"

#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/attention.h"
#include "nn/layers/channel_attention.h"
#include "nn/layers/norm.h"
#include "nn/layers/pool.h"
#include "nn/layers/relative_bias.h"
#include "zoo/blocks/map_heads.h"

namespace fovea::zoo {
namespace {

int query_channels(int channels, int heads, const PixelAttentionOptions& o) {
  return o.head_dim ? o.head_dim : make_divisible(channels * o.qk_ratio) / heads;
}

void start_fan_in(const Conv2d& conv) {
  conv.weight.slot().init = init::trunc_normal(1 / std::sqrt(static_cast<double>(conv.in_channels())));
}

Size2 want_map(const PixelAttentionOptions& o) {
  if (o.map.h < 1 || o.map.w < 1)
    throw Error(Error::Kind::argument, "attention with positions is made for images of one size", "give img_size");
  return o.map;
}

/// A product of the query with a learned vector for each number of rows between it and the key, and with one for each
/// number of columns.
class PosEmbedRel final : public Module {
 public:
  PosEmbedRel(Size2 queries, Size2 keys, int dim, double deviation) : queries_(queries), keys_(keys) {
    height_rel_ = param("height_rel", {2 * keys.h - 1, dim}, init::trunc_normal(deviation));
    width_rel_ = param("width_rel", {2 * keys.w - 1, dim}, init::trunc_normal(deviation));
    rows_ = constant("rows", offsets(queries.h, keys.h));
    columns_ = constant("columns", offsets(queries.w, keys.w));
  }
  /// [B, queries, D] -> [B, queries, keys]
  Tensor forward(const Tensor& q) override {
    const int64_t n = q.dim(0);
    const Tensor map = unflatten(q, 1, {queries_.h, queries_.w});
    const Tensor down = permute(products(permute(map, {1, 0, 2, 3}), height_rel_, rows_), {1, 0, 2, 3}),
                 across = permute(products(permute(map, {2, 0, 1, 3}), width_rel_, columns_), {1, 2, 0, 3});
    return reshape(unsqueeze(down, 4) + unsqueeze(across, 3), {n, q.dim(1), static_cast<int64_t>(keys_.h) * keys_.w});
  }

 private:
  // [queries, keys]: which vector
  static Tensor offsets(int queries, int keys) {
    Tensor index = empty({queries, keys}, DType::i64);
    int64_t* at = index.mutable_data<int64_t>().data();
    for (int q = 0; q < queries; ++q)
      for (int k = 0; k < keys; ++k) *at++ = k - q + keys - 1;
    return index;
  }
  // x [L, B, M, D] with the vectors of each of the L -> [L, B, M, keys]
  static Tensor products(const Tensor& x, const Tensor& vectors, const Tensor& index) {
    const Tensor y = matmul(flatten(x, 1, 2), index_select(vectors, 0, index), {.transpose_b = true});
    return unflatten(y, 1, {x.dim(1), x.dim(2)});
  }
  Size2 queries_, keys_;
  Param height_rel_, width_rel_, rows_, columns_;
};

class BottleneckAttention final : public PixelAttention {
 public:
  BottleneckAttention(int channels, const PixelAttentionOptions& o)
      : map_(want_map(o)),
        heads_(o.heads ? o.heads : 4),
        key_(query_channels(channels, heads_, o)),
        value_(head_channels(channels, heads_)) {
    qkv_ = add("qkv", Conv2d(channels, heads_ * (2 * key_ + value_), 1));
    pos_embed_ = add("pos_embed", PosEmbedRel(map_, map_, key_, 1 / std::sqrt(static_cast<double>(key_))));
    if (o.stride == 2) pool_ = add("pool", AvgPool2d(2));
    start_values();
  }
  void start_values() override { start_fan_in(*qkv_); }
  Tensor forward(const Tensor& x) override {
    const int64_t h = x.dim(2), w = x.dim(3);
    if (h != map_.h || w != map_.w)
      throw Error(Error::Kind::shape, str_cat("a map of ", h, " x ", w, " met attention for ", map_.h, " x ", map_.w),
                  str_cat(current_scope(), ": create the model with the image's size as img_size"));
    const std::vector<Tensor> part = fovea::split(qkv_(x), {heads_ * key_, heads_ * key_, heads_ * value_}, 1);
    const Tensor q = split_map_heads(part[0], heads_);
    const Tensor mask = unflatten(pos_embed_(flatten(q, 0, 1)), 0, {x.dim(0), heads_});
    const Tensor y = sdpa(q, split_map_heads(part[1], heads_), split_map_heads(part[2], heads_), mask);
    return pool_(merge_map_heads(y, h, w));
  }

 private:
  Size2 map_;
  int heads_, key_, value_;
  Ref<Conv2d> qkv_;
  Ref<Module> pos_embed_;
  Maybe<Module> pool_;
};

/// Pixels of a block attend to the block and to a rim around it.
class HaloAttention final : public PixelAttention {
 public:
  HaloAttention(int channels, const PixelAttentionOptions& o)
      : heads_(o.heads ? o.heads : 8),
        key_(query_channels(channels, heads_, o)),
        value_(head_channels(channels, heads_)),
        block_(o.block),
        halo_(o.halo),
        stride_(o.block % o.stride == 0 ? o.stride : 1) {
    q_ = add("q", Conv2d(channels, heads_ * key_, 1, {.stride = stride_}));
    kv_ = add("kv", Conv2d(channels, heads_ * (key_ + value_), 1));
    pos_embed_ =
        add("pos_embed", PosEmbedRel(block_ / stride_, window(), key_, 1 / std::sqrt(static_cast<double>(key_))));
    if (stride_ != o.stride) pool_ = add("pool", AvgPool2d(2));
    start_values();
  }
  void start_values() override {
    start_fan_in(*q_);
    start_fan_in(*kv_);
  }
  Tensor forward(const Tensor& x) override {
    const int64_t n = x.dim(0), h = x.dim(2), w = x.dim(3), rows = h / block_, columns = w / block_;
    if (h % block_ != 0 || w % block_ != 0)
      throw Error(Error::Kind::shape,
                  str_cat("a map of ", h, " x ", w, " does not divide into blocks of ", block_, " x ", block_),
                  str_cat(current_scope(), ": height and width of the image have to fit"));
    const int64_t side = block_ / stride_, blocks = rows * columns;
    const Tensor asked = reshape(permute(q_(x), {0, 2, 3, 1}), {n, rows, side, columns, side, heads_, key_});
    const Tensor q = reshape(permute(asked, {0, 5, 1, 3, 2, 4, 6}), {n, heads_, blocks, side * side, key_});
    const Tensor near = windows(permute(kv_(x), {0, 2, 3, 1}), rows, columns);
    const Tensor kv = permute(unflatten(near, 3, {heads_, key_ + value_}), {0, 3, 1, 2, 4});
    const Tensor mask = unflatten(pos_embed_(flatten(q, 0, 2)), 0, {n, heads_, blocks});
    const Tensor y = sdpa(q, narrow(kv, 4, 0, key_), narrow(kv, 4, key_, value_), mask);
    const Tensor map = permute(reshape(y, {n, heads_, rows, columns, side, side, value_}), {0, 2, 4, 3, 5, 1, 6});
    return pool_(permute(reshape(map, {n, rows * side, columns * side, heads_ * value_}), {0, 3, 1, 2}));
  }

 private:
  int window() const { return block_ + 2 * halo_; }
  // Of each block and its rim: N,H,W,C -> N, blocks, pixels, C.
  Tensor windows(const Tensor& x, int64_t rows, int64_t columns) const {
    const Tensor framed = pad(x, {0, halo_, halo_, 0}, {0, halo_, halo_, 0});
    Tensors bands, all;
    for (int64_t r = 0; r < rows; ++r) bands.push_back(unsqueeze(narrow(framed, 1, r * block_, window()), 1));
    const Tensor high = cat(bands, 1);  // N, rows, window, W, C
    for (int64_t c = 0; c < columns; ++c) all.push_back(unsqueeze(narrow(high, 3, c * block_, window()), 2));
    return reshape(cat(all, 2), {x.dim(0), rows * columns, static_cast<int64_t>(window()) * window(), x.dim(3)});
  }
  int heads_, key_, value_, block_, halo_, stride_;
  Ref<Conv2d> q_, kv_;
  Ref<Module> pos_embed_;
  Maybe<Module> pool_;
};

/// What all pixels say together, and what those around each of them say, is a matrix that the pixel's queries pass.
class LambdaLayer final : public PixelAttention {
 public:
  LambdaLayer(int channels, const PixelAttentionOptions& o)
      : heads_(o.heads ? o.heads : 4),
        key_(o.head_dim ? o.head_dim : 16),
        value_(head_channels(channels, heads_)),
        radius_(o.radius) {
    if (radius_ == 0) {
      const Size2 map = want_map(o);
      pos_emb_ = param("pos_emb", {2 * map.h - 1, 2 * map.w - 1, key_}, init::trunc_normal(0.02));
      positions_ = constant("rel_pos_indices", contiguous(transpose(relative_positions(map), 0, 1)));
    }
    qkv_ = add("qkv", Conv2d(channels, heads_ * key_ + key_ + value_, 1));
    norm_q_ = add("norm_q", BatchNorm2d(heads_ * key_));
    norm_v_ = add("norm_v", BatchNorm2d(value_));
    if (radius_ > 0) conv_lambda_ = add("conv_lambda", Around(key_, radius_));
    if (o.stride == 2) pool_ = add("pool", AvgPool2d(2));
    start_values();
  }
  void start_values() override { start_fan_in(*qkv_); }
  Tensor forward(const Tensor& x) override {
    const int64_t n = x.dim(0), h = x.dim(2), w = x.dim(3), m = h * w;
    const std::vector<Tensor> part = fovea::split(qkv_(x), {heads_ * key_, key_, value_}, 1);
    const Tensor q = permute(reshape(norm_q_(part[0]), {n, heads_, key_, m}), {0, 3, 1, 2});
    const Tensor v = norm_v_(part[2]), values = permute(reshape(v, {n, value_, m}), {0, 2, 1});
    const Tensor content = matmul(softmax(reshape(part[1], {n, key_, m}), 2), values);  // N, keys, values
    const Tensor of_all = unflatten(matmul(flatten(q, 1, 2), content), 1, {m, heads_});
    const Tensor y = of_all + matmul(q, conv_lambda_ ? around(v) : by_table(values));  // N, pixels, heads, values
    return pool_(permute(reshape(y, {n, h, w, heads_ * value_}), {0, 3, 1, 2}));
  }

 private:
  // A convolution of one and the same kernel for each channel of values, in PyTorch's words of three dimensions.
  struct Around final : Module {
    Around(int keys, int r) {
      weight = param("weight", {keys, 1, r, r, 1}, init::trunc_normal(1 / std::sqrt(static_cast<double>(keys))));
      bias = param("bias", {keys}, init::torch_default(static_cast<double>(r) * r));
    }
    Tensor forward(const Tensor& x) override {
      return conv(x, squeeze(weight, 4), bias, {.pad = {weight->dim(2) / 2, weight->dim(3) / 2}});
    }
    Param weight, bias;
  };
  // Both: N, pixels, keys, values.
  Tensor around(const Tensor& v) const {
    const Tensor y = conv_lambda_(unsqueeze(flatten(v, 0, 1), 1));
    return flatten(permute(unflatten(y, 0, {v.dim(0), value_}), {0, 3, 4, 2, 1}), 1, 2);
  }
  Tensor by_table(const Tensor& values) const {
    const int64_t m = positions_->dim(0);
    if (values.dim(1) != m)
      throw Error(Error::Kind::shape, str_cat("a map of ", values.dim(1), " pixels met a table for ", m),
                  str_cat(current_scope(), ": create the model with the image's size as img_size"));
    const Tensor table = index_select(flatten(pos_emb_, 0, 1), 0, positions_);  // pixels, pixels, keys
    return unflatten(matmul(flatten(permute(table, {0, 2, 1}), 0, 1), values), 1, {m, key_});
  }
  int heads_, key_, value_, radius_;
  Param pos_emb_, positions_;
  Ref<Conv2d> qkv_;
  Ref<Module> norm_q_, norm_v_;
  Maybe<Module> conv_lambda_, pool_;
};

}  // namespace

std::unique_ptr<PixelAttention> bottleneck_attention(int channels, const PixelAttentionOptions& o) {
  return std::make_unique<BottleneckAttention>(channels, o);
}
std::unique_ptr<PixelAttention> halo_attention(int channels, const PixelAttentionOptions& o) {
  return std::make_unique<HaloAttention>(channels, o);
}
std::unique_ptr<PixelAttention> lambda_layer(int channels, const PixelAttentionOptions& o) {
  return std::make_unique<LambdaLayer>(channels, o);
}

}  // namespace fovea::zoo
