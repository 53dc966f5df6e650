// SPDX-License-Identifier: Apache-2.0
// zoo/families/eva.cpp — EVA and EVA-02, Meta's perception encoders, RoPE-ViT, DINOv3, Sapiens 2: ViTs whose queries
// and keys turn by their places. timm.models.eva
#include "engine/ops/ops.h"
#include "weights_tools/edit.h"
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights.h"

namespace fovea::zoo::eva {
namespace {

using Cfg = VitCfg;

#include "zoo/families/eva_variants.inc"

// ---- checkpoints ------------------------------------------------------------------------------------------------

constexpr Rename kEva[] = {
    {"mlp.ffn_ln", "mlp.norm"}, {"attn.inner_attn_ln", "attn.norm"},
    {"mlp.w12", "mlp.fc1"},     {"mlp.w1", "mlp.fc1_g"},
    {"mlp.w2", "mlp.fc1_x"},    {"mlp.w3", "mlp.fc2"},
};
constexpr Rename kPerception[] = {
    {"^conv1", "patch_embed.proj"},
    {"^positional_embedding", "pos_embed"},
    {"^transformer.resblocks.", "blocks."},
    {"^ln_pre", "norm_pre"},
    {"^ln_post", "norm"},
    {"ln_1", "norm1"},
    {"ln_2", "norm2"},
    {"ls_1.gamma", "gamma_1"},
    {"ls_2.gamma", "gamma_2"},
    {"in_proj_weight", "qkv.weight"},
    {"in_proj_bias", "qkv.bias"},
    {"out_proj", "proj"},
    {"mlp.c_fc", "mlp.fc1"},
    {"mlp.c_proj", "mlp.fc2"},
    {"^attn_pool.attn.", "attn_pool."},
    {"^attn_pool.layernorm", "attn_pool.norm"},
    {"^attn_pool.probe", "attn_pool.latent"},
    {"^class_embedding", "cls_token"},
    {"^proj", "head.weight"},
};
// Layer scale lies within the attention there.
constexpr Rename kSapiens[] = {
    {"^mask_token", nullptr},
    {"^storage_tokens", "reg_token"},
    {"^patch_embed.projection", "patch_embed.proj"},
    {"attn.wq", "attn.q_proj"},
    {"attn.wk", "attn.k_proj"},
    {"attn.wv", "attn.v_proj"},
    {"attn.gamma.weight", "gamma_1"},
    {"ffn", "mlp"},
    {"^ln1", "norm"},
    {"ln1", "norm1"},
    {"ln2", "norm2"},
};
constexpr Rename kDinov3[] = {
    {"mask_token", nullptr},         {"periods", nullptr},
    {"bias_mask", nullptr},          {"^projectors.**", nullptr},
    {"^local_cls_norm.**", nullptr}, {"ls1.gamma", "gamma_1"},
    {"ls2.gamma", "gamma_2"},        {"^storage_tokens", "reg_token"},
};
constexpr Rename kMasked[] = {{"^mask_token", nullptr}, {"^lm_head.**", nullptr}, {"^norm", "fc_norm"}};
constexpr Rename kSplit[] = {{"q_bias", "q_proj.bias"}, {"v_bias", "v_proj.bias"}};

StateDict from_perception(const StateDict& weights) {
  StateDict w = rename(weights, kPerception);
  for (const std::string kind : {"weight", "bias"})
    if (const Tensor* together = w.find("attn_pool.qkv." + kind)) {
      const std::vector<Tensor> each = chunk(*together, 3, 0);
      w.set("attn_pool.q." + kind, contiguous(each[0]));
      w.set("attn_pool.kv." + kind, cat({each[1], each[2]}, 0));
      w.erase("attn_pool.qkv." + kind);
    }
  change(w, "cls_token", [](const Tensor& t) { return reshape(t, {1, 1, -1}); });
  change(w, "pos_embed", [](const Tensor& t) { return t.rank() == 2 ? unsqueeze(t, 0) : t; });
  change(w, "head.weight", [](const Tensor& t) { return transpose(t, 0, 1); });
  if (const Tensor* head = w.find("head.weight")) w.set("head.bias", zeros({head->dim(0)}, head->dtype()));
  return w;
}

// Queries and values keep their biases where the model has them; those of the keys are zero.
StateDict from_dinov3(const ImageModel& model, const StateDict& weights) {
  StateDict w = rename(weights, kDinov3);
  const StateDict own = model.state_dict();
  for (const std::string& name : w.names()) {
    if (!name.ends_with("attn.qkv.bias")) continue;
    const std::string start = name.substr(0, name.size() - std::string_view("qkv.bias").size());
    const std::vector<Tensor> each = chunk(w.at(name), 3, 0);
    if (own.contains(start + "q_bias")) {
      w.set(start + "q_bias", contiguous(each[0]));
      w.set(start + "v_bias", contiguous(each[2]));
    }
    w.erase(name);
  }
  return w;
}

StateDict with_our_names(const ImageModel& model, StateDict w) {
  if (w.contains("visual.trunk.pos_embed")) w = below(w, "visual.trunk.");
  else if (w.contains("visual.pos_embed")) w = below(w, "visual.");
  for (const std::string& name : w.names())  // angles are computed; learned frequencies stay
    if (name.find("rope") != std::string::npos && name != "rope.freqs") w.erase(name);
  if (w.contains("blocks.0.attn.wq.weight")) w = rename(w, kSapiens);
  else if (w.contains("storage_tokens")) w = from_dinov3(model, w);
  else if (w.contains("mask_token")) w = rename(w, kMasked);
  if (w.contains("blocks.0.attn.q_proj.weight")) w = rename(w, kSplit);
  return rename(w, kEva);
}

StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("visual.conv1.weight")) return from_perception(below(weights, "visual."));
  if (weights.contains("conv1.weight")) return from_perception(weights);
  StateDict w = with_our_names(model, std::move(weights));
  const auto& vit = dynamic_cast<const Vit&>(model);
  if (vit.takes_sequences()) return for_sequences(vit, w);
  fit_to_patches(vit, w);
  return w;
}

}  // namespace

FOVEA_FAMILY(eva, Vit, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::eva
