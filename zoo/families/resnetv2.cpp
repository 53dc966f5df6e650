// SPDX-License-Identifier: Apache-2.0
// zoo/families/resnetv2.cpp — ResNets whose norms stand in front of the convolutions, and BiT; timm.models.resnetv2
#include "zoo/blocks/resnetv2.h"

namespace fovea::zoo::resnetv2 {
namespace {

using Cfg = ResNetV2Cfg;
using Stem = ResNetV2Stem;

// BiT's archives: layers are counted from one, kernels are H, W, in, out.
StateDict adapt(ImageModel&, StateDict weights) {
  const std::string kernel = "standardized_conv2d/kernel";
  if (!weights.contains("resnet/root_block/" + kernel)) return weights;
  StateDict w;
  const auto move = [&](const std::string& theirs, const std::string& ours) {
    if (const Tensor* t = weights.find("resnet/" + theirs))
      w.set(ours, t->rank() == 4 ? contiguous(permute(*t, {3, 2, 0, 1})) : *t);
    return w.contains(ours);
  };
  const auto move_norm = [&](const std::string& theirs, const std::string& ours) {
    move(theirs + "group_norm/gamma", ours + ".weight");
    move(theirs + "group_norm/beta", ours + ".bias");
  };
  move("root_block/" + kernel, "stem.conv.weight");
  for (int s = 0; s < 4; ++s)
    for (int b = 0;; ++b) {
      const std::string theirs = cat("block", s + 1, "/unit", b < 9 ? "0" : "", b + 1, '/'),
                        ours = cat("stages.", s, ".blocks.", b, '.');
      if (!move(theirs + "a/" + kernel, ours + "conv1.weight")) break;
      move(theirs + "b/" + kernel, ours + "conv2.weight");
      move(theirs + "c/" + kernel, ours + "conv3.weight");
      for (const auto& [letter, norm] : {std::pair{"a/", "norm1"}, {"b/", "norm2"}, {"c/", "norm3"}})
        move_norm(theirs + letter, ours + norm);
      move(theirs + "a/proj/" + kernel, ours + "downsample.conv.weight");
    }
  move_norm("", "norm");
  move("head/conv2d/kernel", "head.fc.weight");
  move("head/conv2d/bias", "head.fc.bias");
  return w;
}

#include "zoo/families/resnetv2_variants.inc"

}  // namespace

FOVEA_FAMILY(resnetv2, ResNetV2, variants, .accepts = {.output_stride = true}, .adapt = adapt)
}  // namespace fovea::zoo::resnetv2
