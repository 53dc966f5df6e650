// SPDX-License-Identifier: Apache-2.0
// zoo/families/byobnet.cpp — networks of blocks of all kinds: GPU-efficient ResNets, RepVGG, MobileOne, RegNetZ,
// ResNets with attention, CLIP's ResNets; timm.models.byobnet
#include "zoo/blocks/byobnet.h"

#include "nn/fuse.h"

namespace fovea::zoo::byobnet {
namespace {

#include "zoo/families/byobnet_variants.inc"

// OpenAI's names within their image tower.
constexpr Rename kClip[] = {
    {"^conv#", "stem.conv$1.conv"},
    {"^bn#", "stem.conv$1.bn"},
    {"^layer1.", "stages.0."},
    {"^layer2.", "stages.1."},
    {"^layer3.", "stages.2."},
    {"^layer4.", "stages.3."},
    {"^stages.#.#.conv1", "stages.$1.$2.conv1_1x1.conv"},
    {"^stages.#.#.conv2", "stages.$1.$2.conv2_kxk.conv"},
    {"^stages.#.#.conv3", "stages.$1.$2.conv3_1x1.conv"},
    {"^stages.#.#.bn1", "stages.$1.$2.conv1_1x1.bn"},
    {"^stages.#.#.bn2", "stages.$1.$2.conv2_kxk.bn"},
    {"^stages.#.#.bn3", "stages.$1.$2.conv3_1x1.bn"},
    {"downsample.0", "shortcut.conv.conv"},
    {"downsample.1", "shortcut.conv.bn"},
};
constexpr Rename kAttentionPool[] = {{"^attnpool.positional_embedding", "head.pos_embed"},
                                     {"^attnpool.q_proj", "head.q"},
                                     {"^attnpool.k_proj", "head.k"},
                                     {"^attnpool.v_proj", "head.v"},
                                     {"^attnpool.c_proj", "head.proj"}};
constexpr Rename kNoAttentionPool[] = {{"^attnpool.**", nullptr}};

// Weights of CLIP come with the text tower. Those of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  const ByobHead head = static_cast<const ByobNet&>(model).head_type();
  const bool attends = head == ByobHead::attn_abs || head == ByobHead::attn_rot;
  if (weights.contains("visual.conv1.weight")) {
    const StateDict tower = rename(below(weights, "visual."), kClip);
    return attends ? rename(tower, kAttentionPool) : rename(tower, kNoAttentionPool);
  }
  if (weights.contains("stem.reparam_conv.weight")) fuse(model);
  return weights;
}

}  // namespace

FOVEA_FAMILY(byobnet, ByobNet, variants, .accepts = {.output_stride = true, .img_size = true}, .adapt = adapt)
}  // namespace fovea::zoo::byobnet
