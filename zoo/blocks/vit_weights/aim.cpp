// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_weights/aim.cpp — AIM v2.
#include "engine/ops/ops.h"
#include "weights_tools/edit.h"
#include "weights_tools/rename.h"
#include "zoo/blocks/vit_weights/sources.h"

namespace fovea::zoo {
namespace {

constexpr Rename kAim[] = {
    {"norm_1", "norm1"},
    {"norm_2", "norm2"},
    {"^preprocessor.patchifier.", "patch_embed."},
    {"^preprocessor.pos_embed", "pos_embed"},
    {"^trunk.", ""},
    {"post_trunk_norm", "norm"},
    {"mlp.fc1", "mlp.fc1_g"},
    {"mlp.fc3", "mlp.fc1_x"},
};

}  // namespace

StateDict from_aim(const StateDict& weights) { return rename(weights, kAim); }

}  // namespace fovea::zoo
