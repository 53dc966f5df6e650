// SPDX-License-Identifier: Apache-2.0
// data/augment.h — what images go through on their way into training: a random crop, resized, perhaps mirrored, of
// other colours, and with parts erased.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "data/chance.h"
#include "data/image.h"
#include "data/policy.h"
#include "data/resize.h"
#include "engine/core/tensor.h"

namespace fovea::data {

enum class TrainCrop : uint8_t {
  rrc,   // of random area and shape, resized to the input size
  rkrc,  // all of the image, resized by about what it takes to fit, and its centre
  rkrr,  // likewise, and any part of it
};
TrainCrop parse_train_crop(std::string_view name);

/// Rectangles of noise, on what is normalised already. Of 2 to 33 % of the area, from 3 : 10 to 10 : 3; drawn as timm's
/// random_erasing.py does, https://arxiv.org/abs/1708.04896.
struct Erasing {
  enum class Fill : uint8_t { zero, colour, pixel };        // nothing; one random colour; each pixel another one
  double prob = 0;
  Fill fill = Fill::pixel;
  int most = 1;                                    // rectangles; the more there are, the smaller
};
Erasing::Fill parse_fill(std::string_view name);   // const, rand, pixel

struct TrainConfig {
  std::array<int, 3> input_size{3, 224, 224};      // channels, height, width
  bool augment = true;                             // false: the shorter edge fits, and the centre is taken
  TrainCrop crop = TrainCrop::rrc;
  // of the crop's area in the image's, and of its width to its height; absent: 0.08 to 1 and 3/4 to 4/3, or 0.8 to 1
  // and 0.9 to 1/0.9
  std::optional<std::array<double, 2>> scale{}, ratio{};
  double hflip = 0.5, vflip = 0;                   // how probable it is that the image is mirrored
  std::optional<Filter> interpolation{};           // absent: bilinear or bicubic, by chance
  std::shared_ptr<const Policy> policy{};          // what the crop goes through, before the colours below
  // brightness, contrast and saturation change by up to so much, in any order
  double color_jitter = 0;
  double color_jitter_prob = 1, grayscale_prob = 0, blur_prob = 0;
  Erasing erasing{};
  std::vector<float> mean{0.485f, 0.456f, 0.406f}, std{0.229f, 0.224f, 0.225f};
};

/// Where a window begins in an edge: in the middle, or where chance says. Negative where the window is the longer one.
int middle_in(int size, int window);
int somewhere_in(int size, int window, Chance& chance);
Image mirrored(Image image, bool across, bool upside_down);
/// An image of so many channels; an empty one where the given one has them.
Image with_channels(const Image& given, int channels);
/// The one that is asked for, else either by chance.
Filter drawn_filter(const TrainConfig& config, Chance& chance);
/// Through the policy, and of other colours.
Image recoloured(Image image, const TrainConfig& config, Chance& chance);
/// Images f32[N, C, H, W], the first `spared` of which stay as they are.
void erase(Tensor& images, const Erasing& how, Chance& chance, int64_t spared = 0);
/// The 8-bit image of exactly the input size.
Image train_crop(const Image& image, const TrainConfig& config, Chance& chance);
/// The pixels of an image of this size that train_transform() looks at with this key.
Part train_part(int width, int height, const TrainConfig& config, uint64_t key);
/// f32[1, C, H, W], normalised.
Tensor train_transform(const Image& image, const TrainConfig& config, uint64_t key);
/// The same crop so many times: first in its own colours, then each time in others. The first may be spared erasing.
std::vector<Tensor> train_views(const Image& image, const TrainConfig& config, uint64_t key, int views,
                                bool spare_first = false);
/// Each of these into a tensor of its shape that is there, one or several.
void train_views(const Image& image, const TrainConfig& config, uint64_t key, std::span<Tensor> out,
                 bool spare_first = false);

}  // namespace fovea::data
