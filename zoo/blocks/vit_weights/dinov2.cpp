// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_weights/dinov2.cpp — DINOv2 and TIPS v2.
#include "engine/ops/ops.h"
#include "weights_tools/edit.h"
#include "weights_tools/rename.h"
#include "zoo/blocks/vit_weights/sources.h"

namespace fovea::zoo {
namespace {

constexpr Rename kDinov2[] = {{"^mask_token", nullptr}, {"mlp.w12", "mlp.fc1"}, {"mlp.w3", "mlp.fc2"}};

}  // namespace

// With registers, the positions of the class token move into that token: no token in front of the patches has one here.
StateDict from_dinov2(const StateDict& weights) {
  StateDict w = rename(weights, kDinov2);
  const Tensor* registers = w.find("register_tokens");
  if (!registers) return w;
  w.set("reg_token", *registers);
  w.erase("register_tokens");
  const Tensor positions = w.at("pos_embed");
  change(w, "cls_token", [&](const Tensor& t) { return t + slice(positions, 1, 0, 1); });
  change(w, "pos_embed", [](const Tensor& t) { return slice(t, 1, 1, t.dim(1)); });
  return w;
}

}  // namespace fovea::zoo
