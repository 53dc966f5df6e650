// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_weights/clip.cpp — the image towers of OpenAI's CLIP and of OpenCLIP.
#include "engine/ops/ops.h"
#include "weights_tools/edit.h"
#include "weights_tools/rename.h"
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights/sources.h"

namespace fovea::zoo {
namespace {

constexpr Rename kClip[] = {
    {"^conv1", "patch_embed.proj"},
    {"^positional_embedding", "pos_embed"},
    {"^class_embedding", "cls_token"},
    {"^transformer.resblocks.", "blocks."},
    {"^ln_pre", "norm_pre"},
    {"^ln_post", "norm"},
    {"ln_1", "norm1"},
    {"ln_2", "norm2"},
    {"in_proj_weight", "qkv.weight"},
    {"in_proj_bias", "qkv.bias"},
    {"out_proj", "proj"},
    {"mlp.c_fc", "mlp.fc1"},
    {"mlp.c_proj", "mlp.fc2"},
    {"^proj", "head.weight"},
};

}  // namespace

StateDict from_clip(const StateDict& weights, std::string_view prefix) {
  StateDict w = rename(below(weights, prefix), kClip);
  change(w, "cls_token", [](const Tensor& t) { return reshape(t, {1, 1, t.dim(0)}); });
  change(w, "pos_embed", [](const Tensor& t) { return unsqueeze(t, 0); });
  change(w, "head.weight", [](const Tensor& t) { return transpose(t, 0, 1); });
  if (const Tensor* head = w.find("head.weight")) w.set("head.bias", zeros({head->dim(0)}, head->dtype()));
  return w;
}

StateDict from_open_clip(const StateDict& weights, std::string_view prefix, const Vit& vit) {
  StateDict w = below(weights, prefix);
  const Tensor* head = weights.find("visual.head.proj.weight");
  if (!head || vit.num_classes() == 0) return w;
  w.set("head.weight", *head);
  w.set("head.bias", zeros({head->dim(0)}, head->dtype()));
  return w;
}

}  // namespace fovea::zoo
