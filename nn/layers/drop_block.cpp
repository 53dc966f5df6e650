// SPDX-License-Identifier: Apache-2.0
// nn/layers/drop_block.cpp — where regions begin is drawn, a maximum over windows grows them.
#include "nn/layers/drop_block.h"

#include <algorithm>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"

namespace fovea {

DropBlock2d::DropBlock2d(const DropBlockOptions& o) : options_(o) {
  if (!(o.rate >= 0 && o.rate <= 1) || o.size < 1 || !(o.gamma_scale > 0))
    throw Error(Error::Kind::argument,
                str_cat("a drop block with rate ", o.rate, ", size ", o.size, " and scale ", o.gamma_scale));
}

// [batch, 1, height, width]: 0 inside of dropped regions, elsewhere the factor that makes up for them.
Tensor DropBlock2d::kept(int64_t batch, int64_t height, int64_t width, Device d) {
  const int64_t kh = std::min<int64_t>(options_.size, height), kw = std::min<int64_t>(options_.size, width);
  const double begins = static_cast<double>((height - kh + 1) * (width - kw + 1));
  const double gamma = options_.gamma_scale * options_.rate * static_cast<double>(height * width) /
                       static_cast<double>(kh * kw) / begins;
  Tensor dropped = bernoulli({batch, 1, height, width}, std::min(gamma, 1.0), next_key(), DType::f32, d);
  dropped = max_pool(dropped, {.kernel = {kh, kw}, .stride = {1, 1}, .pad = {kh / 2, kw / 2}});
  // even windows give one more
  dropped = slice(slice(dropped, 2, (kh + 1) % 2, dropped.dim(2)), 3, (kw + 1) % 2, dropped.dim(3));
  const Tensor keep = 1.0 - dropped;
  return keep * (static_cast<double>(keep.numel()) / (sum(keep) + 1e-7));
}

Tensor DropBlock2d::forward(const Tensor& x) {
  if (!training() || options_.rate == 0) return x;
  Tensor factor;
  {
    const NoGrad no_grad;
    factor = cast(kept(x.dim(0), x.dim(2), x.dim(3), x.device()), x.dtype());
  }
  return x * factor;
}

}  // namespace fovea
