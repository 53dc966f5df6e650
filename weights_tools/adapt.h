// SPDX-License-Identifier: Apache-2.0
// weights_tools/adapt.h — fits first convolutions to another number of input channels, as timm does.
#pragma once
#include <cstdint>

#include "engine/core/tensor.h"

namespace fovea {

/// A convolution's weight [out, in, kh, kw] for `channels` input channels, from one for `source` of them: summed over
/// the source channels for one channel (stems that fold pixels into channels keep their groups), else repeated, cut off
/// and scaled by source / channels. Absent when there is no such rule: not of rank 4, not floating, or `in` is not
/// `source`. Throws Error(argument) unless both are positive.
Tensor adapt_input_conv(const Tensor& weight, int64_t channels, int64_t source = 3);

}  // namespace fovea
