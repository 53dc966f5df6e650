// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/images.h — images of one to three dimensions as kernels see them: [N, C, D, H, W].
#pragma once
#include <algorithm>
#include <array>

#include "kernels/cuda/device/window.h"
#include "kernels/cuda/plan.h"

namespace fovea::cuda {

using Triple = std::array<int64_t, 3>;

/// The last up to three of `d`, preceded by `missing` where there are fewer.
inline Triple triple(const Dims& d, int64_t missing) {
  Triple t{missing, missing, missing};
  for (int i = 0; i < std::min(d.size(), 3); ++i) t[static_cast<size_t>(2 - i)] = d[d.size() - 1 - i];
  return t;
}
inline Triple spatial_of(const Shape& s) { return triple(Dims(s.begin() + 2, s.end()), 1); }

inline Elements image_elements(const Meta& m) {
  Elements e{nullptr, m.dtype, {}};
  const int missing = 5 - m.rank();
  for (int d = 0; d < m.rank(); ++d) e.strides[d < 2 ? d : d + missing] = m.strides[d];
  return e;
}

/// In the order of memory, so that neighbouring threads write neighbouring elements.
inline Places places_of(const Meta& m) {
  const Elements e = image_elements(m);
  const Triple size = spatial_of(m.shape);
  const int64_t sizes[5] = {m.shape[0], m.shape[1], size[0], size[1], size[2]};
  Places p{};
  std::array<int32_t, 5> order{0, 1, 2, 3, 4};
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    if (sizes[a] == 1 || sizes[b] == 1) return sizes[a] == 1 && sizes[b] != 1;
    return e.strides[a] > e.strides[b];
  });
  Shape ordered;
  for (int32_t d : order) ordered.push_back(sizes[d]);
  p.grid = grid_of(ordered);
  std::copy(order.begin(), order.end(), p.order);
  return p;
}

}  // namespace fovea::cuda
