// SPDX-License-Identifier: Apache-2.0
// nn/layers/pos_embed.h — fitting learned positions and patch kernels to another grid or patch size.
#pragma once
#include <optional>

#include "engine/core/attrs.h"
#include "engine/ops/attrs.h"
#include "nn/layers/conv.h"
#include "nn/module.h"

namespace fovea {

/// How position embeddings and patch kernels are resized.
struct ResampleOptions {
  Interpolation mode = Interpolation::cubic;
  bool antialias = true, align_corners = false;
};

/// Position embeddings [1, prefix + height * width, C] for another grid, computed in f32. Without `old` the old grid is
/// square.
Tensor resample_positions(const Tensor& positions, Size2 grid, std::optional<Size2> old, int prefix_tokens,
                          const ResampleOptions& o = {});

/// A patch kernel [O, I, h, w] for patches of another size, so that it answers an image of the new size as the old one
/// did the old image: the pseudo-inverse of resizing, as in FlexiViT, https://arxiv.org/abs/2212.08013.
Tensor resample_patch_kernel(const Tensor& kernel, Size2 size, const ResampleOptions& o = {});

}  // namespace fovea
