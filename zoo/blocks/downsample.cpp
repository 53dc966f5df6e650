// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/downsample.cpp — pooling behind stems and in shortcuts.
#include "zoo/blocks/downsample.h"

#include "nn/layers/pool.h"

namespace fovea::zoo {

std::unique_ptr<Module> stem_pool(std::string_view anti_alias, int channels) {
  if (anti_alias.empty()) return std::make_unique<MaxPool2d>(3, Pool2dOptions{.stride = 2, .padding = 1});
  std::unique_ptr<Module> blur = fovea::anti_alias(anti_alias, channels, 2);
  if (anti_alias.starts_with("avg")) return blur;
  auto both = std::make_unique<Sequential>();
  both->add(MaxPool2d(3, {.stride = 1, .padding = 1}));
  both->add(std::move(blur));
  return both;
}

std::unique_ptr<Module> shortcut_pool(int stride, int dilation) {
  if (stride == 1 && dilation == 1) return std::make_unique<Identity>();
  // TensorFlow's padding puts a zero row and column at the end, which count.
  if (dilation > 1) return std::make_unique<AvgPool2d>(2, Pool2dOptions{.stride = 1, .padding = Padding::Kind::same});
  return std::make_unique<AvgPool2d>(2, Pool2dOptions{.stride = stride, .ceil_mode = true, .count_include_pad = false});
}

}  // namespace fovea::zoo
