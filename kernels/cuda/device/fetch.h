// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/fetch.h — elements that only move: each comes from a place that is found a dimension at a time.
#pragma once
#include "engine/ops/attrs.h"
#include "kernels/cuda/device/vocabulary.h"

namespace fovea::cuda {

/// Where place i of a dimension comes from: (sign * i + offset) / step of `size`, which lies outside where there is a
/// remainder; outside, what `mode` says.
struct Source {
  PadMode mode;
  int32_t sign;
  int64_t offset, size, step;
};

struct FetchParams {
  Grid grid;
  void* y;
  const void* x;
  int64_t start;                                   // of what is written, in y
  int64_t to[kRank], from[kRank];                  // strides
  Source sources[kRank];
  uint64_t outside;                                // bits of the element outside x
};

FOVEA_DEVICE int64_t found(const Source& s, int64_t i) {     // -1: outside
  int64_t at = s.sign * i + s.offset;
  if (s.step != 1) {
    if (at % s.step != 0) return -1;
    at /= s.step;
  }
  if (at >= 0 && at < s.size) return at;
  switch (s.mode) {
    case PadMode::constant: return -1;
    case PadMode::replicate: return at < 0 ? 0 : s.size - 1;
    case PadMode::circular: return (at % s.size + s.size) % s.size;
    case PadMode::reflect: {
      const int64_t period = s.size > 1 ? 2 * (s.size - 1) : 1, place = (at % period + period) % period;
      return place < s.size ? place : period - place;
    }
  }
  return -1;
}

/// T: an unsigned integer as wide as the elements.
template <class T, class Thread>
FOVEA_DEVICE void fetch(const Thread& t, const FetchParams& p) {
  share(t, p.grid.count, [&](int64_t i) {
    int64_t to = p.start, from = 0;
    bool inside = true;
    unravel(p.grid, i, [&](int d, int64_t place) {
      const int64_t at = found(p.sources[d], place);
      to += place * p.to[d], from += at * p.from[d];
      inside = inside && at >= 0;
    });
    static_cast<T*>(p.y)[to] = inside ? static_cast<const T*>(p.x)[from] : static_cast<T>(p.outside);
  });
}

}  // namespace fovea::cuda
