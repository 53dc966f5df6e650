// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/windows.cpp — partition, its way back, and the mask.
#include "zoo/blocks/windows.h"

#include "engine/ops/ops.h"

namespace fovea::zoo {
namespace {

// Which part of a rolled side a place belongs to: whole windows, the rest that stayed, what came from the other end.
int part(int at, int size, int window, int shift) {
  if (shift == 0 || at < size - window) return 0;
  return at < size - shift ? 1 : 2;
}

}  // namespace

Tensor window_partition(const Tensor& x, Size2 window) {
  const Tensor parts = reshape(x, {x.dim(0), x.dim(1) / window.h, window.h, x.dim(2) / window.w, window.w, x.dim(3)});
  return reshape(permute(parts, {0, 1, 3, 2, 4, 5}), {-1, static_cast<int64_t>(window.h) * window.w, x.dim(3)});
}

Tensor window_reverse(const Tensor& tokens, Size2 window, Size2 map) {
  const int64_t c = tokens.dim(2);
  const Tensor parts = reshape(tokens, {-1, map.h / window.h, map.w / window.w, window.h, window.w, c});
  return reshape(permute(parts, {0, 1, 3, 2, 4, 5}), {-1, map.h, map.w, c});
}

Tensor shift_mask(Size2 map, Size2 window, Size2 shift) {
  Tensor parts = empty({1, map.h, map.w, 1});
  float* p = parts.mutable_data<float>().data();
  for (int y = 0; y < map.h; ++y)
    for (int x = 0; x < map.w; ++x)
      *p++ = static_cast<float>(3 * part(y, map.h, window.h, shift.h) + part(x, map.w, window.w, shift.w));
  const Tensor tokens = contiguous(window_partition(parts, window));
  const std::span<const float> of = tokens.data<float>();
  const int64_t windows = tokens.dim(0), area = tokens.dim(1);
  Tensor mask = empty({windows, area, area});
  float* m = mask.mutable_data<float>().data();
  for (int64_t i = 0; i < windows; ++i) {
    const auto own = of.subspan(static_cast<size_t>(i * area), static_cast<size_t>(area));
    for (const float a : own)
      for (const float b : own) *m++ = a == b ? 0.0f : -100.0f;
  }
  return mask;
}

}  // namespace fovea::zoo
