// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv/winograd_tiles.h"

namespace fovea::kernels::cpu {

bool winograd_fits(const ConvShape& s) {
  using Three = ConvShape::Three;
  return s.kernel == Three{1, 3, 3} && s.stride == Three{1, 1, 1} && s.dilation == Three{1, 1, 1} && s.in[0] == 1;
}

bool winograd_gains(const ConvShape& s, const WinogradRates& r, const Costs& c) {
  constexpr double kPoints = WinogradTiles::kPoints, kTaps = 9, kSumBytes = 4;
  const auto places = static_cast<double>(s.batch * s.out[1] * s.out[2]), in = static_cast<double>(s.channels),
             out = static_cast<double>(s.outputs), depth = in / static_cast<double>(s.groups),
             tiles = static_cast<double>(WinogradTiles(s).count);
  const double weights = kPoints * depth * out * r.weight_bytes;
  const double direct = places * kTaps * depth * out / r.direct;
  const double winograd = tiles * kPoints * depth * out / r.products +
                          tiles * kPoints * (in * r.pixel_bytes + out * kSumBytes) / c.transforms +
                          (weights > c.near ? weights / c.far : 0);
  return winograd < 0.95 * direct;
}

}  // namespace fovea::kernels::cpu
