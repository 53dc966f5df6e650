// SPDX-License-Identifier: Apache-2.0
// zoo/families/hiera.cpp — Hiera: tokens ordered so that windows are rows, and pooling is a maximum over neighbours in
// that order. timm.models.hiera; https://arxiv.org/abs/2306.00989, 2311.05613
#include "zoo/blocks/hiera.h"

#include <algorithm>
#include <tuple>

#include "nn/layers/attention.h"
#include "weights_tools/edit.h"
#include "zoo/family.h"

namespace fovea::zoo::hiera {
namespace {

struct Cfg {
  HieraCfg hiera{};
  std::array<int, 2> mask_unit_size{8, 8};        // a window of the first stage
  std::array<int, 4> mask_unit_attn{1, 1, 0, 0};  // which stages attend within windows
  bool use_expand_proj = true;                    // else wider blocks begin with maxima beside means
  double mlp_ratio = 4;
  double patch_drop_rate = 0;      // of windows, while training
  bool abs_win_pos_embed = false;  // a position in the window and one in the image
  std::array<int, 2> global_pos_size{14, 14};
};
FOVEA_SETTINGS(Cfg, hiera, mask_unit_size, mask_unit_attn, use_expand_proj, mlp_ratio, patch_drop_rate,
               abs_win_pos_embed, global_pos_size)

// N,H,W,C -> tokens [N, L, C]. Neighbours that the next pooling joins are as far apart as possible, those of the
// poolings behind it less, and what is left lies row by row.
Tensor unrolled(const Tensor& map, Size2 stride, int poolings) {
  Tensor x = map;
  for (int i = 0; i < poolings; ++i) {
    const int64_t h = x.dim(1) / stride.h, w = x.dim(2) / stride.w;
    x = permute(reshape(x, {x.dim(0), h, stride.h, w, stride.w, x.dim(3)}), {0, 2, 4, 1, 3, 5});
    x = reshape(x, {-1, h, w, map.dim(3)});
  }
  return reshape(x, {map.dim(0), -1, map.dim(3)});
}
// The way back, when so many poolings are left.
Tensor rolled(const Tensor& tokens, Size2 map, Size2 stride, int poolings) {
  const int64_t c = tokens.dim(2);
  int64_t h = map.h, w = map.w;
  for (int i = 0; i < poolings; ++i) h /= stride.h, w /= stride.w;
  Tensor x = reshape(tokens, {-1, h, w, c});
  for (int i = 0; i < poolings; ++i) {
    x = permute(reshape(x, {-1, stride.h, stride.w, h, w, c}), {0, 3, 1, 4, 2, 5});
    h *= stride.h, w *= stride.w;
    x = reshape(x, {-1, h, w, c});
  }
  return x;
}

// [N, L, C] -> [N, stride, L / stride, C]
Tensor joined(const Tensor& x, int64_t stride) { return reshape(x, {x.dim(0), stride, x.dim(1) / stride, x.dim(2)}); }

class Attention final : public Module {
 public:
  /// window: tokens, behind the pooling; 0: attention to all.
  Attention(const HieraPlace& p, int window) : heads_(p.heads), stride_(p.stride.h * p.stride.w), window_(window) {
    head_channels(p.out, p.heads);
    qkv_ = add("qkv", Linear(p.in, 3 * p.out));
    proj_ = add("proj", Linear(p.out, p.out));
  }
  Tensor forward(const Tensor& x) override {
    const int64_t n = x.dim(0), windows = window_ > 0 ? x.dim(1) / (int64_t{stride_} * window_) : 1;
    const Tensor all = qkv_(x);
    const int64_t c = all.dim(2) / 3, d = c / heads_, length = x.dim(1) / windows;
    const auto by_head = [&](const Tensor& t) {  // [N, L, C] -> [N, windows, heads, L / windows, D]
      return permute(reshape(t, {n, t.dim(1) / windows, windows, heads_, d}), {0, 2, 3, 1, 4});
    };
    const Tensor q = slice(all, 2, 0, c);
    const Tensor fewer = stride_ > 1 ? amax(joined(q, stride_), {1}) : q;
    const Tensor y = sdpa(by_head(fewer), by_head(slice(all, 2, c, 2 * c)), by_head(slice(all, 2, 2 * c, 3 * c)));
    return proj_(reshape(permute(y, {0, 3, 1, 2, 4}), {n, length / stride_ * windows, c}));
  }

 private:
  int heads_, stride_, window_;
  Ref<Linear> qkv_, proj_;
};

class Block final : public HieraBlock {
 public:
  Block(const Cfg& c, const HieraPlace& p) : widens_(p.in != p.out), stride_(p.stride.h * p.stride.w) {
    norm1_ = add("norm1", token_norm({.kind = c.hiera.norm_layer}, p.in));
    if (widens_ && c.use_expand_proj) proj_ = add("proj", Linear(p.in, p.out));
    else if (widens_ && p.out != 2 * p.in)
      throw Error(Error::Kind::argument, str_cat("maxima beside means are ", 2 * p.in, " channels, not ", p.out),
                  "dim_mul is 2 without use_expand_proj");
    int window = c.mask_unit_attn[static_cast<size_t>(p.attended_as())] ? c.mask_unit_size[0] * c.mask_unit_size[1] : 0;
    for (int i = 0; i < p.pools; ++i) window /= c.hiera.q_stride[0] * c.hiera.q_stride[1];
    attn_ = add("attn", Attention(p, window));
    end_block(c.hiera, p, c.mlp_ratio, act::gelu);
  }
  Tensor forward(const Tensor& x) override {
    const Tensor normed = norm1_(x);
    return finish(widens_ ? widened(x, normed) : x, attn_(normed));
  }

 private:
  Tensor widened(const Tensor& x, const Tensor& normed) {
    if (proj_) return amax(joined(proj_(normed), stride_), {1});
    const Tensor each = joined(x, stride_);
    return cat({amax(each, {1}), mean(each, {1})}, 2);
  }
  bool widens_;
  int stride_;
  Ref<Module> norm1_, attn_;
  Maybe<Module> proj_;
};

struct Patches final : Module {
  Ref<Module> proj;
  Patches(const Cfg& c, int in_chans) { proj = add("proj", hiera_patches(c.hiera, in_chans)); }
  Tensor forward(const Tensor& image) override { return permute(proj(image), {0, 2, 3, 1}); }
};

class Hiera final : public HieraModel {
 public:
  Hiera(const Cfg& c, const ModelOptions& o)
      : HieraModel(c.hiera, o),
        drop_(c.patch_drop_rate),
        q_pool_(c.hiera.q_pool),
        stride_(c.hiera.q_stride[0], c.hiera.q_stride[1]),
        unit_(c.mask_unit_size[0], c.mask_unit_size[1]) {
    const std::array<int, 2> image = o.img_size.value_or(std::array{224, 224});
    grid_ = {image[0] / c.hiera.patch_stride[0], image[1] / c.hiera.patch_stride[1]};
    int h = 1, w = 1;
    for (int i = 0; i < kPoolings; ++i) h *= stride_.h, w *= stride_.w;
    if (grid_.h % h != 0 || grid_.w % w != 0)
      throw Error(Error::Kind::argument,
                  str_cat("a map of ", grid_.h, " x ", grid_.w, " tokens does not divide by ", h, " x ", w));
    const int dim = c.hiera.embed_dim;
    if (c.abs_win_pos_embed) {
      pos_embed_ = param("pos_embed", {1, dim, c.global_pos_size[0], c.global_pos_size[1]}, init::trunc_normal(0.02));
      pos_embed_win_ = param("pos_embed_win", {1, dim, unit_.h, unit_.w}, init::trunc_normal(0.02));
    } else {
      pos_embed_ = param("pos_embed", {1, int64_t{grid_.h} * grid_.w, dim}, init::trunc_normal(0.02));
    }
    patch_embed_ = add("patch_embed", Patches(c, o.in_chans.value_or(3)));
    Sequential blocks;
    int width = dim;
    for (const HieraPlace& p : hiera_places(c.hiera, o)) width = p.out, blocks.add(Block(c, p));
    add("blocks", std::move(blocks));
    hiera_head(c.hiera, width);
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor picture = image, kept;
    if (training() && drop_ > 0) std::tie(picture, kept) = dropped(image);
    Tensor x = unrolled(patch_embed_(picture) + positions(), stride_, kPoolings);
    if (kept) {
      const Tensor each = by_window(x, windows());
      x = flatten(gather(each, 2, index_like(each, kept)), 1, 2);
    }
    return run_blocks(x, [&](const Tensor& tokens, size_t stage) {
      const int done = std::min(static_cast<int>(stage), q_pool_);
      Size2 map = grid_;
      for (int i = 0; i < done; ++i) map = {map.h / stride_.h, map.w / stride_.w};
      return rolled(kept ? spread(tokens, kept) : tokens, map, stride_, kPoolings - done);
    });
  }

  Tensor forward_head(const Tensor& tokens, bool pre_logits = false) override {
    const Tensor y = HieraModel::forward_head(unsqueeze(tokens, 2), pre_logits);
    return y.rank() == 4 ? squeeze(y, 2) : y;
  }

 private:
  int64_t windows() const { return int64_t{grid_.h / unit_.h} * (grid_.w / unit_.w); }
  static Tensor by_window(const Tensor& x, int64_t windows) {
    return reshape(x, {x.dim(0), x.dim(1) / windows, windows, x.dim(2)});
  }
  // kept [N, windows] for each token and channel
  static Tensor index_like(const Tensor& each, const Tensor& kept) {
    return contiguous(expand(reshape(kept, {kept.dim(0), 1, kept.dim(1), 1}), {-1, each.dim(1), -1, each.dim(3)}));
  }
  // Zeros stand for what was dropped.
  Tensor spread(const Tensor& tokens, const Tensor& kept) const {
    const Tensor each = by_window(tokens, kept.dim(1));
    const Tensor none = zeros({each.dim(0), each.dim(1), windows(), each.dim(3)}, each.dtype(), each.device());
    return flatten(scatter_add(none, 2, index_like(each, kept), each), 1, 2);
  }
  // A share of the windows is black, and those that are not: [N, kept].
  std::pair<Tensor, Tensor> dropped(const Tensor& image) {
    const auto keep = static_cast<int64_t>(static_cast<double>(windows()) * (1 - drop_));
    const Tensor order = argsort(rand({image.dim(0), windows()}, next_key(), DType::f32, image.device()));
    const Tensor seen = less(argsort(order), static_cast<double>(keep));
    const Tensor map = reshape(cast(seen, image.dtype()), {image.dim(0), 1, grid_.h / unit_.h, grid_.w / unit_.w});
    return {image * interpolate(map, {image.dim(2), image.dim(3)}), contiguous(slice(order, 1, 0, keep))};
  }
  Tensor positions() const {
    if (!pos_embed_win_) return unflatten(pos_embed_, 1, {grid_.h, grid_.w});
    const Tensor in_window = repeat(pos_embed_win_, {1, 1, grid_.h / unit_.h, grid_.w / unit_.w});
    const Tensor in_image = interpolate(pos_embed_, {in_window.dim(2), in_window.dim(3)},
                                        {.mode = Interpolation::cubic, .antialias = true});
    return permute(in_image + in_window, {0, 2, 3, 1});
  }

  static constexpr int kPoolings = 3;  // as many as could be, also where there are fewer
  double drop_;
  int q_pool_;
  Size2 stride_, unit_, grid_;
  Param pos_embed_, pos_embed_win_;
  Ref<Module> patch_embed_;
};

constexpr Rename kOriginal[] = {{"head.projection", "head.fc"},
                                {"^encoder_norm.", "head.norm."},
                                {"^norm.", "head.norm."},
                                {"^pos_embed_abs", "pos_embed"}};

constexpr Cfg hiera_of(int dim, int heads, std::array<int, 4> stages) {
  return {.hiera{.embed_dim = dim, .num_heads = heads, .stages = stages}};
}
constexpr Cfg abswin(std::array<int, 4> stages) {
  Cfg c = hiera_of(96, 1, stages);
  c.abs_win_pos_embed = true;
  c.hiera.init_values = 1e-5;
  c.hiera.weight_init = "jax";
  return c;
}
constexpr Cfg small_abswin() {
  Cfg c = abswin({1, 2, 11, 2});
  c.global_pos_size = {16, 16};
  c.use_expand_proj = false;
  return c;
}
constexpr Variant<Cfg> variants[] = {
    {"hiera_base_224", hiera_of(96, 1, {2, 3, 16, 3})},
    {"hiera_base_abswin_256", abswin({2, 3, 16, 3})},
    {"hiera_base_plus_224", hiera_of(112, 2, {2, 3, 16, 3})},
    {"hiera_huge_224", hiera_of(256, 4, {2, 6, 36, 4})},
    {"hiera_large_224", hiera_of(144, 2, {2, 6, 36, 4})},
    {"hiera_small_224", hiera_of(96, 1, {1, 2, 11, 2})},
    {"hiera_small_abswin_256", small_abswin()},
    {"hiera_tiny_224", hiera_of(96, 1, {1, 2, 7, 2})},
};

}  // namespace

FOVEA_FAMILY(hiera, Hiera, variants, .accepts = {.img_size = true}, .renames = kOriginal)

}  // namespace fovea::zoo::hiera
