// SPDX-License-Identifier: Apache-2.0
// nn/layers/median_pool.cpp — windows are sorted as far as their middle.
#include "nn/layers/median_pool.h"

#include "engine/ops/ops.h"

namespace fovea {

Tensor MedianPool2d::forward(const Tensor& x) {
  const auto [kernel, stride, padding, same] = options_;
  std::pair<int64_t, int64_t> rows{padding.h, padding.h}, columns{padding.w, padding.w};
  if (same) {
    rows = same_padding(x.dim(2), kernel.h, stride.h, 1);
    columns = same_padding(x.dim(3), kernel.w, stride.w, 1);
  }
  const Tensor padded = pad_last(x, {columns.first, columns.second, rows.first, rows.second}, PadMode::reflect);
  const int64_t n = x.dim(0), c = x.dim(1), area = static_cast<int64_t>(kernel.h) * kernel.w,
                h = (padded.dim(2) - kernel.h) / stride.h + 1, w = (padded.dim(3) - kernel.w) / stride.w + 1;
  const Tensor windows =
      unfold(padded, {.kernel = kernel.dims(), .stride = stride.dims(), .pad = {0, 0}, .dilation = {1, 1}});
  const int64_t middle = (area - 1) / 2;
  const Tensor lowest = topk(reshape(windows, {n, c, area, h * w}), middle + 1, 2, false).first;
  return reshape(select(lowest, 2, middle), {n, c, h, w});
}

}  // namespace fovea
