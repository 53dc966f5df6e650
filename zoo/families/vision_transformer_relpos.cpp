// SPDX-License-Identifier: Apache-2.0
// zoo/families/vision_transformer_relpos.cpp — ViTs without absolute positions: scores depend on the offset of tokens.
// timm.models.vision_transformer_relpos
#include "zoo/blocks/relative_tables.h"
#include "zoo/blocks/vit.h"

namespace fovea::zoo::vision_transformer_relpos {
namespace {

constexpr VitCfg relpos(int dim, int heads, FcNorm fc_norm = FcNorm::yes) {
  VitCfg c;
  c.embed_dim = dim;
  c.num_heads = heads;
  c.tokens.class_token = false;
  c.tokens.pos_embed = VitPositions::none;
  c.rel_pos.rel_pos_type = RelPosType::mlp;
  c.ends.global_pool = "avg";
  c.ends.fc_norm = fc_norm;
  c.block.qkv_bias = false;
  c.block.init_values = 1e-6;
  c.training.weight_init = VitInit::reset;
  return c;
}
constexpr VitCfg qkv_bias(VitCfg c) {
  c.block.qkv_bias = true;
  return c;
}
// One network for all blocks.
constexpr VitCfg shared(int hidden, VitCfg c) {
  c.rel_pos.shared_rel_pos = true;
  c.rel_pos.rel_pos_dim = hidden;
  return c;
}
constexpr VitCfg cls(VitCfg c, std::string_view pool = "token", int hidden = 128) {
  c.tokens.class_token = true;
  c.ends.global_pool = pool;
  c.rel_pos.rel_pos_dim = hidden;
  return c;
}
// Norms at the ends of branches.
constexpr VitCfg rpn(VitCfg c) {
  c.block.block_fn = VitBlockKind::post_norm;
  return c;
}
constexpr VitCfg patch32(VitCfg c) {
  c.patch_size = 32;
  return c;
}
constexpr VitCfg test(VitCfg c) {
  c.depth = 9;
  c.mlp_ratio = 2;
  return c;
}

constexpr FcNorm before = FcNorm::no;  // the pooling
constexpr Variant<VitCfg> variants[] = {
    {"vit_relpos_base_patch32_plus_rpn_256", qkv_bias(patch32(rpn(relpos(896, 14, before))))},
    {"vit_relpos_base_patch16_plus_240", qkv_bias(relpos(896, 14, before))},
    {"vit_relpos_small_patch16_224", relpos(384, 6)},
    {"vit_relpos_medium_patch16_224", relpos(512, 8)},
    {"vit_relpos_base_patch16_224", relpos(768, 12)},
    {"vit_srelpos_small_patch16_224", shared(384, relpos(384, 6, before))},
    {"vit_srelpos_medium_patch16_224", shared(512, relpos(512, 8, before))},
    {"vit_relpos_medium_patch16_cls_224", cls(relpos(512, 8, before), "token", 256)},
    {"vit_relpos_base_patch16_cls_224", cls(relpos(768, 12, before))},
    {"vit_relpos_base_patch16_clsgap_224", cls(relpos(768, 12), "avg")},
    {"vit_relpos_small_patch16_rpn_224", rpn(relpos(384, 6, before))},
    {"vit_relpos_medium_patch16_rpn_224", rpn(relpos(512, 8, before))},
    {"vit_relpos_base_patch16_rpn_224", rpn(relpos(768, 12, before))},
    {"test_vit_relpos", test(relpos(96, 3))},
};

StateDict adapt(ImageModel& model, StateDict weights) {
  resample_relative_tables(model, weights);
  return weights;
}

}  // namespace

FOVEA_FAMILY(vision_transformer_relpos, Vit, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::vision_transformer_relpos
