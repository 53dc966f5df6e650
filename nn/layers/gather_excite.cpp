// SPDX-License-Identifier: Apache-2.0
// nn/layers/gather_excite.cpp — surroundings are gathered, and excite.
#include "nn/layers/gather_excite.h"

#include "engine/ops/ops.h"
#include "nn/layers/mlp.h"
#include "nn/layers/norm.h"

namespace fovea {

GatherExcite::GatherExcite(int channels, const GatherExciteOptions& o)
    : extent_(o.extent), max_pool_(o.squeeze.max_pool), gate_(o.squeeze.gate) {
  if (o.extent < 0 || o.extent % 2 != 0)
    throw Error(Error::Kind::argument, str_cat("gathering over an extent of ", o.extent, " pixels"),
                "an extent is even, or 0 for the whole image");
  if (o.learned) add_gatherer(channels, o);
  if (!o.mlp) return;
  mlp_ = add("mlp", ConvMlp(channels, {.hidden = reduced_channels(channels, o.squeeze, 1.0 / 16, 1),
                                       .act = o.squeeze.act.value_or(act::relu)}));
}

void GatherExcite::add_gatherer(int channels, const GatherExciteOptions& o) {
  Sequential all;
  if (o.extent == 0) {
    if (o.feature_size.h < 1 || o.feature_size.w < 1)
      throw Error(Error::Kind::argument, "learned gathering over the whole image needs its size",
                  "feature_size says how many rows and columns there are");
    all.add("conv1", Conv2d(channels, channels, o.feature_size, {.groups = channels}));
    all.add("norm1", BatchNorm2d(channels));
  }
  for (int i = 1, rest = o.extent; rest > 1; ++i, rest /= 2) {
    all.add(str_cat("conv", i), Conv2d(channels, channels, 3, {.stride = 2, .groups = channels}));
    all.add(str_cat("norm", i), BatchNorm2d(channels));
    if (rest > 3) all.add(str_cat("act", i), Activation(o.squeeze.act.value_or(act::relu)));
  }
  gather_ = add("gather", std::move(all));
}

Tensor GatherExcite::gathered(const Tensor& x) const {
  if (gather_) return gather_(x);
  if (extent_ == 0) {
    const Tensor average = mean(x, {2, 3}, keep_dims);
    return max_pool_ ? average * 0.5 + amax(x, {2, 3}, keep_dims) * 0.5 : average;
  }
  const int64_t kernel = 2 * extent_ - 1, side = extent_ - 1;
  PoolOptions o{.kernel = {kernel, kernel}, .stride = {extent_, extent_}, .pad = {side, side}};
  o.count_include_pad = false;
  const Tensor average = avg_pool(x, o);
  return max_pool_ ? average * 0.5 + max_pool(x, o) * 0.5 : average;
}

Tensor GatherExcite::forward(const Tensor& x) {
  Tensor y = mlp_(gathered(x));
  if (y.dim(2) != 1 || y.dim(3) != 1) y = interpolate(y, {x.dim(2), x.dim(3)});
  return x * activate(y, gate_);
}

}  // namespace fovea
