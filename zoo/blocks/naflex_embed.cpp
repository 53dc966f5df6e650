// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/naflex_embed.cpp — position embeddings at places that a graph reads rather than knows.
#include "zoo/blocks/naflex_embed.h"

#include <algorithm>

#include "engine/ops/ops.h"
#include "nn/layers/linear.h"
#include "nn/layers/pos_embed.h"

namespace fovea::zoo {
namespace {

// A side of a table that stands for `size` places, and where in it each of them lies.
struct Side {
  Tensor at;     // [N, L]
  Tensor scale;  // [N, 1], entries for each place
  int entries;
};

Side side_of(const Tensor& place, const Tensor& size, int entries, bool corners) {
  const Tensor scale = corners ? (entries - 1.0) / clamp_min(size - 1, 1) : static_cast<double>(entries) / size;
  return {.at = corners ? place * scale : (place + 0.5) * scale - 0.5, .scale = scale, .entries = entries};
}

// PyTorch's kernels: a = -0.5 where it prevents aliasing, else -0.75.
Tensor cubic(const Tensor& d, double a) {
  const Tensor n = clamp(d, 0, 1), f = clamp(d, 1, 2);  // where each part of the kernel lies; the other one is 0 there
  return ((a + 2) * n - (a + 3)) * n * n + 1 + (((a * f - 5 * a) * f + 8 * a) * f - 4 * a);
}

// How much each entry counts at each place: [N, L, entries].
Tensor shares(const Side& s, bool smooth, bool antialias) {
  const int beyond = antialias ? 0 : 3;  // entries beyond the ends count as the ends do
  std::vector<float> all;
  for (int i = -beyond; i < s.entries + beyond; ++i) all.push_back(static_cast<float>(i));
  const Tensor entry = from(std::span<const float>(all), Shape{static_cast<int64_t>(all.size())}).to(s.at.device());
  Tensor d = abs(unsqueeze(s.at, -1) - entry);
  if (antialias) d = d / unsqueeze(clamp_min(s.scale, 1), -1);
  const Tensor w = smooth ? cubic(d, antialias ? -0.5 : -0.75) : clamp_min(1 - d, 0);
  if (antialias) return w / sum(w, {-1}, keep_dims);
  const int64_t n = w.dim(-1);
  if (s.entries == 1) return sum(w, {-1}, keep_dims);
  const auto end = [&](int64_t first) { return sum(slice(w, -1, first, first + beyond + 1), {-1}, keep_dims); };
  return cat({end(0), slice(w, -1, beyond + 1, n - beyond - 1), end(n - beyond - 1)}, -1);
}

// The four entries around each place, of a table [h * w, C].
Tensor between(const Tensor& table, const Side& y, const Side& x) {
  struct Pair {
    Tensor first, second, share;  // share: of the second one
  };
  const auto pair = [](const Side& s) {
    const Tensor at = clamp(s.at, 0, s.entries - 1), first = floor(at);
    return Pair{first, clamp(first + 1, 0, s.entries - 1), at - first};
  };
  const Pair rows = pair(y), columns = pair(x);
  const auto entry = [&](const Tensor& row, const Tensor& column) {
    return index_select(table, 0, cast(row * static_cast<double>(x.entries) + column, DType::i64));
  };
  const auto mixed = [](const Tensor& a, const Tensor& b, const Tensor& share) {
    return a + (b - a) * unsqueeze(share, -1);
  };
  return mixed(mixed(entry(rows.first, columns.first), entry(rows.first, columns.second), columns.share),
               mixed(entry(rows.second, columns.first), entry(rows.second, columns.second), columns.share), rows.share);
}

}  // namespace

NaflexEmbed::NaflexEmbed(const VitCfg& c, int channels, Size2 image)
    : how_(c.naflex),
      channels_(channels),
      patch_(c.patch_size),
      pad_(c.tokens.dynamic_img_pad) {
  const int dim = c.embed_dim;
  const auto [h, w] = how_.pos_embed_grid_size;
  grid_ = h > 0 ? Size2(h, w) : Size2(image.h / patch_.h, image.w / patch_.w);
  if (grid_.h < 1 || grid_.w < 1)
    throw Error(Error::Kind::argument, str_cat("position embeddings for ", grid_.h, " x ", grid_.w, " patches"));
  if (c.tokens.class_token) cls_token = param("cls_token", {1, 1, dim}, init::normal(1e-6));
  if (c.tokens.reg_tokens > 0) reg_token = param("reg_token", {1, c.tokens.reg_tokens, dim}, init::normal(1e-6));
  if (c.tokens.pos_embed == VitPositions::factorized) {
    pos_embed_y = param("pos_embed_y", {1, grid_.h, dim}, init::normal(0.02));
    pos_embed_x = param("pos_embed_x", {1, grid_.w, dim}, init::normal(0.02));
  } else if (c.tokens.pos_embed == VitPositions::learned) {
    pos_embed = param("pos_embed", {1, grid_.h, grid_.w, dim}, init::normal(0.02));
  }
  const bool bias = !c.ends.pre_norm;
  if (how_.embed_proj_type == NaflexProjection::conv)
    proj = add("proj", Conv2d(channels, dim, patch_, {.stride = patch_, .padding = 0, .bias = bias}));
  else proj = add("proj", Linear(channels * patch_.h * patch_.w, dim, bias));
  const TokenNorm norm{.kind = c.block.norm, .eps = c.block.norm_eps};
  if (c.ends.embed_norm) norm_ = add("norm", token_norm(norm, dim));
  pos_drop_ = add("pos_drop", Dropout(c.training.pos_drop_rate));
}

Size2 NaflexEmbed::grid_of(int64_t height, int64_t width) const {
  const int64_t up_h = pad_ ? patch_.h - 1 : 0, up_w = pad_ ? patch_.w - 1 : 0;
  return {static_cast<int>((height + up_h) / patch_.h), static_cast<int>((width + up_w) / patch_.w)};
}

void NaflexEmbed::set_input_size(std::optional<Size2>, std::optional<Size2>) {
  throw Error(Error::Kind::unsupported, "the model is not built for one image size",
              "it takes images of any size as they are");
}

Tensor NaflexEmbed::kernel() const {
  const Tensor& w = proj->own_parameters()[0];
  if (w.rank() == 4) return w;
  if (!how_.patchify_channels_last) return reshape(w, {-1, channels_, patch_.h, patch_.w});
  return permute(reshape(w, {-1, patch_.h, patch_.w, channels_}), {0, 3, 1, 2});
}

Tensor NaflexEmbed::forward(const Tensor& image) {
  const Size2 grid = grid_of(image.dim(2), image.dim(3));
  const int64_t more_h = grid.h * patch_.h - image.dim(2), more_w = grid.w * patch_.w - image.dim(3);
  if (more_h < 0 || more_w < 0)
    throw Error(Error::Kind::shape,
                str_cat("an image of ", image.dim(2), " x ", image.dim(3), " does not divide into patches of ",
                        patch_.h, " x ", patch_.w),
                current_scope());
  const Tensor whole = more_h > 0 || more_w > 0 ? pad_last(image, {0, more_w, 0, more_h}) : image;
  const auto& own = proj->own_parameters();
  const Tensor x = conv(whole, kernel(), own.size() > 1 ? *own[1] : Tensor(), {.stride = {patch_.h, patch_.w}});
  const Tensor tokens = norm_(permute(flatten(x, 2), {0, 2, 1})), positions = of_grid(grid);
  return with_tokens(positions ? tokens + positions : tokens);
}

// Of the projection of such patches: [O, values of a patch].
Tensor NaflexEmbed::weight_for(const Tensor& patches) const {
  const int at = how_.patchify_channels_last ? 2 : 3;
  const bool shaped = patches.rank() == 5;
  const Size2 size = shaped ? Size2(static_cast<int>(patches.dim(at)), static_cast<int>(patches.dim(at + 1))) : patch_;
  const Tensor& own = *proj->own_parameters()[0];
  if (size == patch_ && own.rank() == 2) return own;
  if (size != patch_ && !how_.enable_patch_interpolator)
    throw Error(Error::Kind::unsupported,
                str_cat("patches of ", size.h, " x ", size.w, ", and the model's are of ", patch_.h, " x ", patch_.w),
                "the setting enable_patch_interpolator resamples the projection");
  const Tensor k = resample_patch_kernel(
      kernel(), size,
      {.mode = how_.pos_embed_interp_mode == NaflexResample::bilinear ? Interpolation::linear : Interpolation::cubic});
  return flatten(how_.patchify_channels_last ? permute(k, {0, 2, 3, 1}) : k, 1);
}

Tensor NaflexEmbed::of(const PatchSequence& s) {
  const Tensor positions = of_places(s.coords);
  const auto& own = proj->own_parameters();
  const Tensor flat = s.patches.rank() > 3 ? flatten(s.patches, 2) : s.patches;
  const Tensor x = norm_(linear(flat, weight_for(s.patches), own.size() > 1 ? *own[1] : Tensor()));
  return with_tokens(positions ? x + positions : x);
}

Tensor NaflexEmbed::with_tokens(const Tensor& patches) {
  Tensors tokens;
  for (const Param& t : {cls_token, reg_token})
    if (t) tokens.push_back(expand(t, {patches.dim(0), t->dim(1), patches.dim(2)}));
  tokens.push_back(patches);
  return pos_drop_(tokens.size() > 1 ? cat(tokens, 1) : patches);
}

// [1, L, C], or nothing. Where the aspect ratio is kept, the table stands for a square.
Tensor NaflexEmbed::of_grid(Size2 grid) const {
  const int most = std::max(grid.h, grid.w);
  const Size2 whole = how_.pos_embed_ar_preserving ? Size2(most) : grid;
  if (pos_embed_y) {
    const auto along = [](const Tensor& table, int size, int kept) {
      if (table.dim(1) == size) return slice(table, 1, 0, kept);
      const Tensor line = interpolate(permute(cast(table, DType::f32), {0, 2, 1}), {size},
                                      {.mode = Interpolation::linear, .scale = {}});
      return slice(permute(cast(line, table.dtype()), {0, 2, 1}), 1, 0, kept);
    };
    const Tensor y = along(pos_embed_y, whole.h, grid.h), x = along(pos_embed_x, whole.w, grid.w);
    return flatten(unsqueeze(y, 2) + unsqueeze(x, 1), 1, 2);
  }
  if (!pos_embed) return {};
  if (grid == grid_) return flatten(pos_embed, 1, 2);
  const InterpolateOptions options{
      .mode = how_.pos_embed_interp_mode == NaflexResample::bilinear ? Interpolation::linear : Interpolation::cubic,
      .align_corners = how_.pos_embed_align_corners,
      .antialias = how_.pos_embed_antialias,
      .scale = {}};
  const Tensor map = interpolate(permute(cast(pos_embed, DType::f32), {0, 3, 1, 2}), {whole.h, whole.w}, options);
  const Tensor cut = slice(slice(map, 2, 0, grid.h), 3, 0, grid.w);
  return cast(permute(flatten(cut, 2), {0, 2, 1}), pos_embed->dtype());
}

// The same for coordinates [N, L, 2], which say themselves how large each image is.
Tensor NaflexEmbed::of_places(const Tensor& coords) const {
  if (!pos_embed && !pos_embed_y) return {};
  const Tensor places = cast(coords, DType::f32);
  Tensor size = amax(places, {1}) + 1;  // [N, 2]
  if (how_.pos_embed_ar_preserving) size = expand(amax(size, {1}, keep_dims), {size.dim(0), 2});
  const bool corners = how_.pos_embed_align_corners && pos_embed;
  const auto side = [&](int axis, int entries) {
    return side_of(select(places, 2, axis), slice(size, 1, axis, axis + 1), entries, corners);
  };
  const Side y = side(0, grid_.h), x = side(1, grid_.w);
  if (pos_embed_y)
    return matmul(shares(y, false, false), select(*pos_embed_y, 0, 0)) +
           matmul(shares(x, false, false), select(*pos_embed_x, 0, 0));
  const Tensor table = flatten(select(*pos_embed, 0, 0), 0, 1);
  const bool smooth = how_.pos_embed_interp_mode == NaflexResample::bicubic,
             antialias = how_.pos_embed_antialias && !how_.pos_embed_use_grid_sample;
  if (!smooth && !antialias) return between(table, y, x);
  const Tensor each = unsqueeze(shares(y, smooth, antialias), 3) * unsqueeze(shares(x, smooth, antialias), 2);
  return matmul(flatten(each, 2), table);
}

}  // namespace fovea::zoo
