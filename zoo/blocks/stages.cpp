// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/stages.cpp — trading strides for dilation.
#include "zoo/blocks/stages.h"

#include <numeric>

namespace fovea::zoo {

Dilator::Step Dilator::next(int stride) {
  const int before = dilation;
  if (reached >= limit) {
    dilation *= stride;
    stride = 1;
  } else {
    reached *= stride;
  }
  return {.stride = stride, .first_dilation = before, .dilation = dilation};
}

DropPathRamp::DropPathRamp(const ModelOptions& o, std::span<const int> depths, float usual)
    : DropPathRamp(o, std::accumulate(depths.begin(), depths.end(), 0), usual) {}

}  // namespace fovea::zoo
