// SPDX-License-Identifier: Apache-2.0
// engine/autograd/gradient_listener.h — GradientListener: hears of each leaf's gradient as soon as it is complete.
#pragma once
#include <cstddef>
#include <span>

#include "engine/autograd/autograd.h"

namespace fovea {

struct GradientListener {
  virtual ~GradientListener() = default;
  virtual void complete(size_t leaf, const Tensor& gradient) = 0;
};
/// As backward() of autograd.h, and tells of every gradient once, while those of other leaves are still to come. Of a
/// loss with checkpointed segments, which do not show beforehand what they read, it tells at the end.
Gradients backward(const Tensor& loss, std::span<const Tensor> leaves, GradientListener& listener);

}  // namespace fovea
