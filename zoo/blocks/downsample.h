// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/downsample.h — pooling that convolutional networks share: behind the stem, and in shortcuts.
#pragma once
#include <memory>
#include <string_view>

#include "nn/module.h"

namespace fovea::zoo {

/// The 3x3 maximum with stride 2 behind a stem. Against aliasing: the maximum of all windows and then a blur, or plain
/// means ("avg").
std::unique_ptr<Module> stem_pool(std::string_view anti_alias, int channels);

/// The mean of 2x2 pixels in front of a shortcut's convolution, without stride where dilation stands for it; nothing to
/// pool: Identity. https://arxiv.org/abs/1812.01187
std::unique_ptr<Module> shortcut_pool(int stride, int dilation);

}  // namespace fovea::zoo
