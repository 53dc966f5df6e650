// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/conv/depthwise_pairs.h — depthwise convolutions of bf16 and of u8 that multiply two neighbouring taps at
// once.
#pragma once
#include "kernels/cpu/conv/shape.h"
#include "kernels/cpu/isa/processor.h"

namespace fovea::kernels::cpu {

/// Packed weights of kPairedChannels are contiguous, one kernel row after the other. Columns of the image are read in
/// pairs. A kernel row holds its taps paired for a window that starts at the first column of a pair. With a stride of
/// one column, the same taps follow, paired for a window that starts at the second column of a pair.
struct DepthwisePairs {
  // on this processor, with windows of a usual kind
  static bool possible_bf16(const ConvShape& s);
  static bool possible_u8(const ConvShape& s);
  static int64_t channel_pairs(const ConvShape& s);
  static int64_t pairs(const ConvShape& s);        // of all channels
  /// From elements of 16 bits that lie so far apart.
  static void pack(const ConvShape& s, const bfloat16* w, int64_t channel, int64_t down, int64_t across, Pair* to);
  /// The same for u8, from contiguous weights: 16 bits of each, and behind the pairs the scale of each channel.
  static void pack(const ConvShape& s, const float* w, Pair* to);
  static int64_t pairs_and_scales(const ConvShape& s) { return pairs(s) + s.channels; }
};

}  // namespace fovea::kernels::cpu
