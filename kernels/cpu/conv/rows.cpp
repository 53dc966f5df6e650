// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv/rows.h"

namespace fovea::kernels::cpu {

namespace {

// May the windows' innermost dimension belong to the depth, in f32 and bf16?
bool may_merge(const ConvShape& s) {
  constexpr int64_t kFew = 16;                     // channels too few to fill a tap
  const bool adjacent = s.groups == 1 && s.dilation[2] == 1 && s.kernel[2] > 1;
  return adjacent && (!s.pads || (s.channels < kFew && *std::min_element(s.pad.begin(), s.pad.end()) >= 0));
}

}  // namespace

ConvShape surrounded(const ConvShape& s) {
  ConvShape inner = s;
  for (size_t i = 0; i < 3; ++i) {
    inner.in[i] = std::max(s.in[i] + s.pad[i], (s.out[i] - 1) * s.stride[i] + (s.kernel[i] - 1) * s.dilation[i] + 1);
    inner.pad[i] = 0;
  }
  inner.pads = false;
  return inner;
}

ConvRows::ConvRows(const ConvShape& s) : ConvRows(may_merge(s) && s.pads ? surrounded(s) : s, may_merge(s)) {
  surrounds = merges && s.pads;
}

ConvRows::ConvRows(const ConvShape& s, bool merges) : inner(s), merges(merges), needs_zeros(s.pads && !merges) {
  const int64_t across = merges ? 1 : s.kernel[2], channels = s.channels / s.groups;
  taps = s.kernel[0] * s.kernel[1] * across;
  depth = merges ? s.kernel[2] * channels : channels;
  for (int64_t z = 0; z < s.kernel[0]; ++z)
    for (int64_t y = 0; y < s.kernel[1]; ++y)
      for (int64_t x = 0; x < across; ++x)
        offsets.push_back(((z * s.dilation[0] * s.in[1] + y * s.dilation[1]) * s.in[2] + x * s.dilation[2]) *
                          s.channels);
}

}  // namespace fovea::kernels::cpu
