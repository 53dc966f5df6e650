// SPDX-License-Identifier: Apache-2.0
// nn/layers/one_width_pool.h — pooling in front of a norm, which takes as many channels as the features have.
#pragma once
#include <memory>

#include "nn/layers/pool.h"

namespace fovea {

/// As GlobalPool. Throws Error(argument) for types that give several values a channel.
std::unique_ptr<GlobalPool> one_width_pool(std::string_view type, bool flatten, bool channels_last = false);

}  // namespace fovea
