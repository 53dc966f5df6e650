// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/local_convs.cpp — the chains, and attention of smaller maps.
#include "zoo/blocks/local_convs.h"

#include <algorithm>
#include <cmath>

#include "engine/ops/ops.h"
#include "nn/layers/conv_transpose.h"
#include "zoo/blocks/map_heads.h"
#include "zoo/blocks/windows.h"

namespace fovea::zoo {
namespace {

struct Enlarge final : Module {
  int times;
  explicit Enlarge(int n) : times(n) {}
  Tensor forward(const Tensor& x) override { return interpolate(x, {x.dim(2) * times, x.dim(3) * times}); }
};

int hidden(int in, double ratio) { return static_cast<int>(std::nearbyint(in * ratio)); }

}  // namespace

NamedConv::NamedConv(int in, int out, const NamedConvOptions& o)
    : fills_(o.kernel == 2 && o.stride == 1),
      act_(o.norm ? act::none : o.act) {
  Conv2d conv(in, out, o.kernel,
              {.stride = o.stride, .groups = o.groups, .padding = o.kernel == 2 ? 0 : o.kernel / 2, .bias = o.bias});
  if (fills_) {
    Sequential behind;
    conv_ = behind.add("1", std::move(conv));
    add("conv", std::move(behind));
  } else {
    conv_ = add("conv", std::move(conv));
  }
  if (o.norm) norm_ = add("norm", BatchNorm2d(out, {.eps = o.eps}, o.act));
}

Tensor NamedConv::forward(const Tensor& x) {
  const auto filled = [&] {
    const Scope scope("conv.1");
    return conv(x, conv_->weight, conv_->bias, {.pad = {1, 1}, .pad_hi = {0, 0}, .groups = conv_->groups()});
  };
  const Tensor y = norm_(fills_ ? filled() : conv_(x));
  return act_.identity() ? y : activate(y, act_);
}

Sequential inverted_convs(int in, int out, const LocalConvs& o) {
  const int mid = hidden(in, o.ratio);
  Sequential s;
  s.add("inverted_conv", NamedConv(in, mid,
                                   {.kernel = 1,
                                    .groups = o.groups,
                                    .bias = o.bias && !o.first_norm,
                                    .norm = o.first_norm,
                                    .act = o.act,
                                    .eps = o.eps}));
  s.add("depth_conv", NamedConv(mid, mid,
                                {.kernel = o.kernel,
                                 .stride = o.stride,
                                 .groups = mid,
                                 .bias = o.bias && !o.depth_norm,
                                 .norm = o.depth_norm,
                                 .act = o.act,
                                 .eps = o.eps}));
  s.add("point_conv", NamedConv(mid, out, {.kernel = 1, .groups = o.last_groups, .eps = o.eps}));
  return s;
}

Sequential fused_convs(int in, int out, const LocalConvs& o) {
  const int mid = hidden(in, o.ratio);
  Sequential s;
  s.add("spatial_conv", NamedConv(in, mid,
                                  {.kernel = o.kernel,
                                   .stride = o.stride,
                                   .groups = o.groups,
                                   .bias = o.bias,
                                   .norm = o.first_norm,
                                   .act = o.act,
                                   .eps = o.eps}));
  s.add("point_conv", NamedConv(mid, out, {.kernel = 1, .groups = o.last_groups, .eps = o.eps}));
  return s;
}

Tensor MainPath::forward(const Tensor& x) { return adds_ ? drop_path_(main_(x)) + x : main_(x); }

ShrunkAttention::ShrunkAttention(int dim, const ShrunkAttentionOptions& o)
    : heads_(std::max(1, dim / 60)),
      stride_(o.stride),
      fills_(o.kernel == 2 && o.stride > 1) {
  const int head = dim / heads_ / 2, inner = head * heads_;
  conv_proj_ = add("conv_proj", NamedConv(dim, dim, {.kernel = o.kernel, .stride = o.stride, .groups = dim}));
  pwise_ = add("pwise", Conv2d(dim, 3 * inner, 1));
  if (!o.fused) o_proj_ = add("o_proj", Conv2d(inner, dim, 1, {.bias = true}));
  if (o.nearest) {
    Sequential up;
    if (o.fused) up.add(Conv2d(inner, dim, 1, {.bias = true}));
    if (o.stride > 1) up.add(Enlarge(o.stride));
    upsampling_ = add("upsampling", std::move(up));
  } else {
    upsampling_ =
        add("upsampling",
            ConvTranspose2d(
                o.fused ? inner : dim, dim, o.stride == 1 ? 3 : 2 * o.stride,
                {.stride = o.stride, .padding = o.stride == 1 ? 1 : o.stride / 2, .groups = o.fused ? 1 : dim}));
  }
}

Tensor ShrunkAttention::forward(const Tensor& x) {
  const int64_t height = x.dim(2), width = x.dim(3);
  const Tensor all = fills_ ? filled_map_to_windows(x, stride_) : x;
  const Tensor products = pwise_(conv_proj_(all));
  const std::vector<Tensor> part = chunk(split_map_heads(products, heads_), 3, 3);
  const Tensor answer = merge_map_heads(sdpa(part[0], part[1], part[2]), products.dim(2), products.dim(3));
  const Tensor y = upsampling_(o_proj_(answer));
  return narrow(narrow(y, 2, 0, height), 3, 0, width);
}

Sequential normed_conv_mlp(int dim, int ratio, double drop_rate) {
  Sequential s;
  s.add(GroupNorm(dim, 1));
  s.add(Conv2d(dim, dim * ratio, 1, {.bias = true}));
  s.add(Activation(act::gelu));
  s.add(Conv2d(dim * ratio, dim, 1, {.bias = true}));
  s.add(Dropout(drop_rate));
  return s;
}

}  // namespace fovea::zoo
