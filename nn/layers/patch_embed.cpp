// SPDX-License-Identifier: Apache-2.0
// nn/layers/patch_embed.cpp — PatchEmbed and PatchDropout.
#include "nn/layers/patch_embed.h"

#include <algorithm>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers/pos_embed.h"

namespace fovea {
namespace {

std::string sides(int64_t height, int64_t width) { return str_cat(height, " x ", width); }

}  // namespace

PatchEmbed::PatchEmbed(int channels, int dim, const PatchEmbedOptions& o) : options_(o) {
  if (o.patch.h < 1 || o.patch.w < 1 || o.image.h < 0 || o.image.w < 0 || (o.image.h > 0 && patches() < 1))
    throw Error(Error::Kind::argument, str_cat("an image of ", sides(o.image.h, o.image.w), " has no patches of ",
                                               sides(o.patch.h, o.patch.w)));
  proj = add("proj", Conv2d(channels, dim, o.patch, {.stride = o.patch, .padding = 0, .bias = o.bias}));
  norm_ = add("norm", token_norm(o.norm, dim));
}

void PatchEmbed::check(int64_t height, int64_t width) const {
  const auto [h, w] = options_.image;
  if (h == 0) return;
  if (options_.strict_size) {
    if (height != h || width != w)
      throw Error(Error::Kind::shape, str_cat("an image of ", sides(height, width), " met a model for ", sides(h, w)),
                  current_scope() + ": create it with img_size, or call set_input_size()");
  } else if (!options_.pad && (height % options_.patch.h != 0 || width % options_.patch.w != 0)) {
    const auto [ph, pw] = options_.patch;
    throw Error(Error::Kind::shape,
                str_cat("an image of ", sides(height, width), " does not divide into patches of ", sides(ph, pw)),
                current_scope());
  }
}

Size2 PatchEmbed::grid_of(int64_t height, int64_t width) const {
  const int64_t up_h = options_.pad ? options_.patch.h - 1 : 0, up_w = options_.pad ? options_.patch.w - 1 : 0;
  return {static_cast<int>((height + up_h) / options_.patch.h), static_cast<int>((width + up_w) / options_.patch.w)};
}

Tensor PatchEmbed::forward(const Tensor& image) {
  check(image.dim(2), image.dim(3));
  Tensor x = image;
  if (options_.pad) {
    const auto [gh, gw] = grid_of(x.dim(2), x.dim(3));
    const int64_t more_h = gh * options_.patch.h - x.dim(2), more_w = gw * options_.patch.w - x.dim(3);
    if (more_h > 0 || more_w > 0) x = pad_last(x, {0, more_w, 0, more_h});
  }
  x = permute(proj(x), {0, 2, 3, 1});
  if (options_.flatten) x = reshape(x, {x.dim(0), x.dim(1) * x.dim(2), x.dim(3)});
  return norm_(x);
}

void PatchEmbed::set_input_size(std::optional<Size2> image, std::optional<Size2> patch) {
  if (patch && *patch != options_.patch) {
    const NoGrad no_grad;
    const Conv2dOptions options{.stride = *patch, .padding = 0, .bias = static_cast<bool>(proj->bias)};
    auto next = std::make_unique<Conv2d>(proj->in_channels(), proj->out_channels(), *patch, options);
    if (proj->weight->has_bytes()) next->weight.set(resample_patch_kernel(proj->weight->detach(), *patch));
    next->weight.slot().init = proj->weight.slot().init;
    if (proj->bias) next->bias.set(proj->bias->detach());
    proj = replace("proj", std::move(next));
    options_.patch = *patch;
  }
  if (image) options_.image = *image;
}

PatchDropout::PatchDropout(double rate, int prefix_tokens, bool ordered)
    : rate_(rate),
      prefix_tokens_(prefix_tokens),
      ordered_(ordered) {
  if (!(rate >= 0 && rate < 1))
    throw Error(Error::Kind::argument, str_cat("the share of dropped patches is at least 0 and below 1, not ", rate));
}

PatchDropout::Kept PatchDropout::keep(const Tensor& x) {
  if (!training() || rate_ == 0) return {x, {}};
  const int64_t n = x.dim(0), length = x.dim(1) - prefix_tokens_, c = x.dim(2);
  const int64_t kept = std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(length) * (1 - rate_)));
  Tensor index = slice(argsort(randn({n, length}, next_key(), DType::f32, x.device())), 1, 0, kept);
  if (ordered_) index = gather(index, 1, argsort(index));
  const Tensor tokens = gather(slice(x, 1, prefix_tokens_, x.dim(1)), 1, expand(unsqueeze(index, -1), {n, kept, c}));
  return {prefix_tokens_ > 0 ? cat({slice(x, 1, 0, prefix_tokens_), tokens}, 1) : tokens, index};
}

}  // namespace fovea
