// SPDX-License-Identifier: Apache-2.0
// data/sequence.h — images that keep their aspect ratio and become sequences of patches, with timm's roundings.
// https://arxiv.org/abs/2307.06304
#pragma once
#include <array>
#include <optional>
#include <span>

#include "data/augment.h"
#include "data/image.h"
#include "data/resize.h"
#include "data/transform.h"
#include "engine/core/tensor.h"

namespace fovea::data {

struct SequenceLimits {
  std::array<int, 2> patch{16, 16};   // height, width
  int max_seq_len = 576;              // patches
  bool divisible = true;              // both edges are multiples of the patch
  bool channels_last = true;          // a patch is rows of pixels; else one channel after the other
  std::optional<double> max_ratio{};  // of enlarging
};

/// The size that an image is resized to, and by which factor before it is rounded up to patches.
struct SequenceFit {
  double ratio;
  int height, width;
};
/// The largest size that has at most so many patches. Throws Error(argument) where there is none.
SequenceFit fit_sequence(int height, int width, const SequenceLimits& limits);

Image resize_to_sequence(const Image& image, const SequenceLimits& limits, Filter filter = Filter::bicubic);

/// How resize_keep_ratio_to_sequence() strays from the size that fits.
struct KeepRatio {
  double longest = 0;  // 0: one factor for both edges from the one that fits first, 1: last; and between
  double scale_prob = 0, aspect_prob = 0;
  std::array<double, 2> scale{0.85, 1.05}, aspect{0.9, 1.11};
  bool scale_area = false;
};
/// One factor for both edges, drawn where `how` says so; then both are rounded up to patches.
Image resize_keep_ratio_to_sequence(const Image& image, const SequenceLimits& limits, const KeepRatio& how,
                                    Chance& chance, Filter filter = Filter::bilinear);

/// A part of the image; `fill` (one value a channel, or one for all) where it has no pixels.
Image crop_or_pad(const Image& image, int top, int left, int height, int width, std::span<const uint8_t> fill = {});
Image center_crop_to_sequence(const Image& image, const SequenceLimits& limits, std::span<const uint8_t> fill = {});
/// Never enlarged.
Image random_crop_to_sequence(const Image& image, const SequenceLimits& limits, Chance& chance,
                              std::span<const uint8_t> fill = {});

struct RandomSequenceCrop {
  std::array<double, 2> scale{0.08, 1}, ratio{0.8, 1.25};  // of the image's area and of its aspect ratio
  std::optional<std::array<double, 2>> final_scale{};      // a factor of the size that fits
  int attempts = 10;
};
/// Which part of an image of that size is taken, and what it is resized to.
struct SequenceCrop {
  Part part;
  int height, width;
};
SequenceCrop draw_sequence_crop(int height, int width, const SequenceLimits& limits, const RandomSequenceCrop& how,
                                Chance& chance);
Image random_resized_crop_to_sequence(const Image& image, const SequenceLimits& limits, const RandomSequenceCrop& how,
                                      Chance& chance, Filter filter = Filter::bicubic);

/// Patches row by row.
struct Patches {
  Tensor patches;  // f32[L, height * width * C]: a patch's rows of pixels, or its channels one after the other
  Tensor coords;   // i64[L, 2]: row, column
};
/// Of f32[1, C, H, W]; zeros fill up patches at the bottom and on the right.
Patches patchify(const Tensor& image, std::array<int, 2> patch, bool channels_last = true);
/// timm's evaluation transform: resized to the sequence, normalised, cut into patches. Of `config` it takes channels,
/// interpolation, mean and deviation.
Patches sequence_transform(const Image& image, const EvalConfig& config, const SequenceLimits& limits);

/// Sequences of so many patches: longer ones are cut, shorter ones filled up with what is not valid.
struct SequenceBatch {
  Tensor patches;  // f32[N, L, height * width * C]
  Tensor coords;   // i64[N, L, 2]
  Tensor valid;    // bool[N, L]
};
SequenceBatch collate(std::span<const Patches> sequences, int64_t length);
/// What patchify() cut: pictures f32[N, C, H, W] of a batch, as large as the largest, 0 where there are no patches.
/// Heights and widths of patches may be dimensions of their own.
Tensor unpatchify(const SequenceBatch& batch, std::array<int, 2> patch, bool channels_last = true);

}  // namespace fovea::data
