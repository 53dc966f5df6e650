// SPDX-License-Identifier: Apache-2.0
// data/transform.h — timm's evaluation transform: resize, crop, normalise.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/image.h"
#include "data/resize.h"
#include "engine/core/tensor.h"

namespace fovea::data {

enum class CropMode : uint8_t {
  center,  // the shorter edge fits, the rest is cut off
  squash,  // both edges fit, the aspect ratio changes
  border,  // the longer edge fits, the rest is filled with the mean colour
};
std::string_view name_of(CropMode mode);
CropMode parse_crop_mode(std::string_view name);  // throws Error

/// What a pretrained configuration says about its input; the defaults are timm's.
struct EvalConfig {
  std::array<int, 3> input_size{3, 224, 224};  // channels (1 or 3), height, width
  Filter interpolation = Filter::bicubic;
  float crop_pct = 0.875f;  // size of the crop over the size that is resized to
  CropMode crop_mode = CropMode::center;
  std::vector<float> mean{0.485f, 0.456f, 0.406f};  // one a channel, or one for all; of pixels in 0..1
  std::vector<float> std{0.229f, 0.224f, 0.225f};
};

/// The 8-bit colour of means from 0 to 1: one a channel, or one for all.
Colour mean_colour(std::span<const float> mean);
/// The 8-bit image of exactly the input size that timm's pipeline holds before it makes a tensor.
Image eval_crop(const Image& image, const EvalConfig& config);
/// The pixels of an image of this size that eval_crop() reads, or a few more; all of it where it cannot be cropped so.
Part eval_part(int width, int height, const EvalConfig& config);
/// f32[1, C, H, W]: (v / 255 - mean) / std, every step rounded to f32 as torchvision does.
Tensor to_tensor(const Image& image, std::span<const float> mean, std::span<const float> std);
/// The same into memory that is there: C * H * W values.
void to_tensor(const Image& image, std::span<const float> mean, std::span<const float> std, std::span<float> out);
Tensor eval_transform(const Image& image, const EvalConfig& config);

}  // namespace fovea::data
