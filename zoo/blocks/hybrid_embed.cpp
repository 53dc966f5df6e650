// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/hybrid_embed.cpp — a backbone, whose map is measured on an image without bytes, and patches of the map.
#include "zoo/blocks/hybrid_embed.h"

#include "engine/autograd/autograd.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "nn/layers/pos_embed.h"
#include "zoo/blocks/windows.h"
#include "zoo/taps.h"

namespace fovea::zoo {
namespace {

Conv2d projection(int in, int out, Size2 patch, bool bias) {
  return {in, out, patch, {.stride = patch, .padding = 0, .bias = bias}};
}

int parts(int64_t size, int step, bool up) { return static_cast<int>((size + (up ? step - 1 : 0)) / step); }

}  // namespace

HybridEmbed::HybridEmbed(std::unique_ptr<Module> backbone, const HybridEmbedOptions& o) : options_(o) {
  backbone_ = add("backbone", std::move(backbone));
  measure();
  if (o.proj) proj_ = add("proj", projection(map_channels_, o.dim, o.patch, o.bias));
  else if (map_channels_ != o.dim)
    throw Error(Error::Kind::argument, str_cat("a map of ", map_channels_, " channels cannot give tokens of ", o.dim,
                                               " without a projection"));
}

void HybridEmbed::measure() {
  const EvalMode eval(*backbone_);
  const NoGrad no_grad;
  const auto [h, w] = options_.image;
  DType dtype = DType::f32;
  for (const NamedParameter& p : backbone_->named_parameters())
    if (is_floating(p.tensor().dtype())) dtype = p.tensor().dtype();
  Shape map;
  trace(
      [&](const Tensor& image) {
        const TapCollector unheard(TapKind::block, {}, false);
        const Tensor y = backbone_(image);
        map = y.shape();
        return y;
      },
      {make_meta(dtype, {1, options_.channels, h, w})});
  map_channels_ = static_cast<int>(map[1]);
  ratio_ = {h / static_cast<int>(map[2]), w / static_cast<int>(map[3])};
  const Size2 patch = options_.patch;
  if (!options_.pad && (map[2] % patch.h != 0 || map[3] % patch.w != 0))
    throw Error(Error::Kind::argument, str_cat("a map of ", map[2], " x ", map[3], " does not divide into patches of ",
                                               patch.h, " x ", patch.w));
}

Size2 HybridEmbed::grid_of(int64_t height, int64_t width) const {
  return {parts(height / ratio_.h, options_.patch.h, options_.pad),
          parts(width / ratio_.w, options_.patch.w, options_.pad)};
}

Tensor HybridEmbed::forward(const Tensor& image) {
  const auto [h, w] = options_.image;
  if (options_.strict_size && (image.dim(2) != h || image.dim(3) != w))
    throw Error(Error::Kind::shape,
                str_cat("an image of ", image.dim(2), " x ", image.dim(3), " met a model for ", h, " x ", w),
                current_scope() + ": create it with img_size, or call set_input_size()");
  Tensor x;
  {
    const TapCollector unheard(TapKind::block, {}, false);  // the backbone's levels are not the model's
    x = backbone_(image);
  }
  if (options_.pad) x = filled_map_to_windows(x, options_.patch);
  x = permute(proj_(x), {0, 2, 3, 1});
  return options_.flatten ? flatten(x, 1, 2) : x;
}

void HybridEmbed::set_input_size(std::optional<Size2> image, std::optional<Size2> patch) {
  if (patch && *patch != options_.patch) {
    if (!proj_) throw Error(Error::Kind::unsupported, "patches of the map cannot change where nothing projects them");
    const NoGrad no_grad;
    const bool bias = static_cast<bool>(proj_->bias);
    auto next = std::make_unique<Conv2d>(projection(map_channels_, options_.dim, *patch, bias));
    if (proj_->weight->has_bytes()) next->weight.set(resample_patch_kernel(proj_->weight->detach(), *patch));
    if (bias) next->bias.set(proj_->bias->detach());
    proj_ = replace("proj", std::move(next));
    options_.patch = *patch;
  }
  if (image) options_.image = *image;
  measure();
}

}  // namespace fovea::zoo
