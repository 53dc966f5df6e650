// SPDX-License-Identifier: Apache-2.0
// data/augment.h — what images go through on their way into training: a random crop, resized, perhaps mirrored.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "data/image.h"
#include "data/resize.h"
#include "engine/core/tensor.h"

namespace fovea::data {

struct TrainConfig {
  std::array<int, 3> input_size{3, 224, 224};      // channels, height, width
  bool augment = true;                             // false: the shorter edge fits, and the centre is taken
  std::array<double, 2> scale{0.08, 1};            // of the crop's area in the image's
  std::array<double, 2> ratio{3.0 / 4, 4.0 / 3};   // of the crop's width to its height
  double hflip = 0.5, vflip = 0;                   // how probable it is that the image is mirrored
  std::optional<Filter> interpolation{};           // absent: bilinear or bicubic, by chance
  std::vector<float> mean{0.485f, 0.456f, 0.406f}, std{0.229f, 0.224f, 0.225f};
};

/// Equal keys give equal numbers.
class Chance {
 public:
  explicit Chance(uint64_t key) : key_(key) {}
  double uniform();                                // in [0, 1)
  double between(double lo, double hi) { return lo + (hi - lo) * uniform(); }
  int upto(int most);                              // 0 ... most

 private:
  uint64_t key_, drawn_ = 0;
};

Image crop(const Image& image, int left, int top, int width, int height);
Image mirrored(Image image, bool across, bool upside_down);
/// The 8-bit image of exactly the input size.
Image train_crop(const Image& image, const TrainConfig& config, Chance& chance);
/// f32[1, C, H, W], normalised.
Tensor train_transform(const Image& image, const TrainConfig& config, uint64_t key);

}  // namespace fovea::data
