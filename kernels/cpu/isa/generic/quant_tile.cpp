// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/isa/generic/quant_tile.cpp — integer products in plain loops, for processors without
// their own and as the twin that the fast ones are compared with.
#include "kernels/cpu/isa/generic/sets.h"

namespace fovea::kernels::cpu {
namespace {

#include "kernels/cpu/simd/quant_rounding.inc"

float finished(const QuantFinish& f, int32_t sum, int64_t column, int64_t row) {
  float v = static_cast<float>(sum + f.bias[column]) * f.scale[column];
  if (f.residual) {
    const int64_t at = row * f.residual_step + column;
    v += f.residual_u8
             ? static_cast<float>(static_cast<const uint8_t*>(f.residual)[at]) * f.residual_scale + f.residual_shift
             : static_cast<const float*>(f.residual)[at];
  }
  if (f.hard_swish) {
    const float gate = v + 3 < 0 ? 0 : v + 3 > 6 ? 6 : v + 3;
    v = v * gate * (1 / 6.f);
  }
  v = v < f.lo ? f.lo : v;
  return v > f.hi ? f.hi : v;
}

void store(const QuantFinish& f, float v, int64_t column, int64_t row) {
  const int64_t at = row * f.y_step + column;
  if (f.y_u8) static_cast<uint8_t*>(f.y)[at] = rounded_u8(v * f.inverse + f.zero);
  else static_cast<float*>(f.y)[at] = v;
}

void panel_of_row(const QuantTile& t, const int8_t* b, int row, int32_t (&sum)[kQuantPanel]) {
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const uint8_t* a = t.a[tap * t.a_step + row] + t.a_offset;
    for (int64_t q = 0; q < t.quads; ++q, a += 4, b += 4 * kQuantPanel) {
      const int32_t a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
      for (int c = 0; c < kQuantPanel; ++c)
        sum[c] += a0 * b[4 * c] + a1 * b[4 * c + 1] + a2 * b[4 * c + 2] + a3 * b[4 * c + 3];
    }
  }
}

void tile(const QuantTile& t, int panels) {
  for (int p = 0; p < panels; ++p)
    for (int r = 0; r < t.rows; ++r) {
      int32_t sum[kQuantPanel] = {};
      panel_of_row(t, t.b + p * t.b_step, r, sum);
      const int64_t first = int64_t{p} * kQuantPanel,
                    end = t.columns < first + kQuantPanel ? t.columns : first + kQuantPanel;
      for (int64_t c = first; c < end; ++c) store(t.finish, finished(t.finish, sum[c - first], c, r), c, r);
    }
}

}  // namespace

constinit const QuantSet quant_plain{.name = "plain",
                                     .rows = 12,
                                     .panels_at_once = [](int) { return 1; },
                                     .tile = tile};

}  // namespace fovea::kernels::cpu
