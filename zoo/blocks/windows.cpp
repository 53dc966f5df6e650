// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/windows.cpp — partition, its way back, and the mask.
#include "zoo/blocks/windows.h"

#include <vector>

#include "engine/ops/ops.h"

namespace fovea::zoo {
namespace {

int64_t missing(int64_t size, int step) { return (step - size % step) % step; }

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

Tensor filled_to_windows(const Tensor& x, Size2 window) {
  const int64_t more_h = missing(x.dim(1), window.h), more_w = missing(x.dim(2), window.w);
  return more_h > 0 || more_w > 0 ? pad_last(x, {0, 0, 0, more_w, 0, more_h}) : x;
}

Tensor filled_map_to_windows(const Tensor& x, Size2 window) {
  const int64_t more_h = missing(x.dim(2), window.h), more_w = missing(x.dim(3), window.w);
  return more_h > 0 || more_w > 0 ? pad_last(x, {0, more_w, 0, more_h}) : x;
}

// Without ops: while tracing, their results would have no values.
Tensor shift_mask(Size2 map, Size2 window, Size2 shift) {
  const int rows = map.h / window.h, columns = map.w / window.w, area = window.h * window.w;
  Tensor mask = empty({static_cast<int64_t>(rows) * columns, area, area});
  float* m = mask.mutable_data<float>().data();
  std::vector<int> of(static_cast<size_t>(area));
  for (int i = 0; i < rows * columns; ++i) {
    const int top = i / columns * window.h, left = i % columns * window.w;
    for (int t = 0; t < area; ++t)
      of[static_cast<size_t>(t)] =
          3 * part(top + t / window.w, map.h, window.h, shift.h) + part(left + t % window.w, map.w, window.w, shift.w);
    for (const int a : of)
      for (const int b : of) *m++ = a == b ? 0.0f : -100.0f;
  }
  return mask;
}

}  // namespace fovea::zoo
