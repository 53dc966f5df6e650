// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/device/map.h — result i from element i of each operand: cast, unary, binary, where, chains, affine.
#pragma once
#include "engine/ops/lowered/chain.h"
#include "kernels/cuda/device/functions.h"

namespace fovea::cuda {

struct MapParams {
  Grid grid;
  Elements y, x[2];                                // unary_dx: x[0] is the gradient, x[1] the operand
  Link::Kind kind;                                 // none: cast
  Unary fn;
  Binary op;
  float a, b;
};

/// cast, unary, unary_dx and binary. T is what is calculated in.
template <class T, class Thread>
FOVEA_DEVICE void map(const Thread& t, const MapParams& p) {
  const auto a = static_cast<T>(p.a), b = static_cast<T>(p.b);
  bool failed = false;
  share(t, p.grid.count, [&](int64_t i) {
    int64_t at[3] = {};
    unravel(p.grid, i, [&](int d, int64_t place) {
      at[0] += place * p.y.strides[d], at[1] += place * p.x[0].strides[d], at[2] += place * p.x[1].strides[d];
    });
    T v = load<T>(p.x[0], at[1]);
    if constexpr (is_real<T>) {
      if (p.kind == Link::Kind::unary) v = apply(p.fn, a, b, v);
      else if (p.kind == Link::Kind::unary_dx) v *= slope(p.fn, a, b, load<T>(p.x[1], at[2]));
      else if (p.kind == Link::Kind::binary) v = combine(p.op, v, load<T>(p.x[1], at[2]));
    } else {
      if (p.kind == Link::Kind::unary) v = apply(p.fn, static_cast<double>(p.a), static_cast<double>(p.b), v);
      else if (p.kind == Link::Kind::binary) v = combine(p.op, v, load<T>(p.x[1], at[2]), failed);
    }
    store(p.y, at[0], v);
  });
  if (failed) t.fail(Failure::division_by_zero);
}

struct WhereParams {
  Grid grid;
  Elements y, x[3];                                // condition, then, else
};

/// T: an unsigned integer as wide as the elements, which only move.
template <class T, class Thread>
FOVEA_DEVICE void choose(const Thread& t, const WhereParams& p) {
  share(t, p.grid.count, [&](int64_t i) {
    int64_t at[4] = {};
    unravel(p.grid, i, [&](int d, int64_t place) {
      at[0] += place * p.y.strides[d];
      for (int k = 0; k < 3; ++k) at[k + 1] += place * p.x[k].strides[d];
    });
    const bool first = static_cast<const uint8_t*>(p.x[0].data)[at[1]] != 0;
    static_cast<T*>(p.y.data)[at[0]] =
        first ? static_cast<const T*>(p.x[1].data)[at[2]] : static_cast<const T*>(p.x[2].data)[at[3]];
  });
}

struct ChainParams {
  static constexpr int kMostOperands = 32;
  int64_t count;
  const void* x[kMostOperands];
  bool single[kMostOperands];                      // one element for all
  float* y[ChainAttrs::kMostResults];
  int16_t results[ChainAttrs::kMostResults];
  int16_t size, given;
  Link links[ChainAttrs::kMostLinks];
};

/// All links of a chain for one element, in f32.
template <class Thread>
FOVEA_DEVICE void chain(const Thread& t, const ChainParams& p) {
  share(t, p.count, [&](int64_t i) {
    float made[ChainAttrs::kMostLinks] = {};
    const auto value = [&](int v) {
      return v < 0 ? made[-v - 1] : static_cast<const float*>(p.x[v])[p.single[v] ? 0 : i];
    };
    for (int k = 0; k < p.size; ++k) {
      const Link& l = p.links[k];
      switch (l.kind) {
        case Link::Kind::unary: made[k] = apply(l.fn, l.a, l.b, value(l.x)); break;
        case Link::Kind::unary_dx: made[k] = value(l.x) * slope(l.fn, l.a, l.b, value(l.y)); break;
        case Link::Kind::binary: made[k] = combine(l.op, value(l.x), value(l.y)); break;
        case Link::Kind::where: made[k] = value(static_cast<const uint8_t*>(p.x[l.x])[0] ? l.y : l.z); break;
        case Link::Kind::none: made[k] = 0; break;
      }
    }
    for (int k = 0; k < p.given; ++k) p.y[k][i] = made[p.results[k]];
  });
}

struct AffineParams {                              // strides of gain, shift, mean and var: those of channels, else 0
  Grid grid;
  Elements y, x, gain, shift, mean, var;           // absent ones have no address
  int64_t first_channel;                           // of y, gain and shift, that x begins with
  float eps;                                       // with mean and var: (x - mean) gain / sqrt(var + eps) + shift
  Unary act;
  float a, b;
};

/// act(x gain + shift), the factors along channels: batch norm as it is used, and what passes make of it.
template <class T, class Thread>
FOVEA_DEVICE void affine(const Thread& t, const AffineParams& p) {
  share(t, p.grid.count, [&](int64_t i) {
    const int64_t c = p.first_channel;
    int64_t at_y = c * p.y.strides[1], at_x = 0, channel[4] = {c * p.gain.strides[1], c * p.shift.strides[1]};
    unravel(p.grid, i, [&](int d, int64_t place) {
      at_y += place * p.y.strides[d], at_x += place * p.x.strides[d];
      channel[0] += place * p.gain.strides[d], channel[1] += place * p.shift.strides[d];
      channel[2] += place * p.mean.strides[d], channel[3] += place * p.var.strides[d];
    });
    T v = load<T>(p.x, at_x), gain = p.gain.data ? load<T>(p.gain, channel[0]) : T{1};
    if (p.mean.data) {
      v -= load<T>(p.mean, channel[2]);
      gain /= std::sqrt(load<T>(p.var, channel[3]) + static_cast<T>(p.eps));
    }
    v = v * gain + (p.shift.data ? load<T>(p.shift, channel[1]) : T{0});
    store(p.y, at_y, apply(p.act, static_cast<T>(p.a), static_cast<T>(p.b), v));
  });
}

}  // namespace fovea::cuda
