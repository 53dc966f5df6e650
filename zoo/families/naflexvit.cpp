// SPDX-License-Identifier: Apache-2.0
// zoo/families/naflexvit.cpp — Vision Transformers for images of any aspect ratio: NaFlex of SigLIP 2, C-RADIO v3 and
// v4. timm.models.naflexvit; https://arxiv.org/abs/2502.14786
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights.h"

namespace fovea::zoo::naflexvit {
namespace {

using Cfg = VitCfg;

constexpr Cfg kBase{.tokens = {.class_token = false, .reg_tokens = 4},
                    .ends = {.global_pool = "avg", .fc_norm = FcNorm::yes},
                    .block = {.init_values = 1e-5},
                    .naflex = {.use_naflex = true, .pos_embed_grid_size = {16, 16}}};

constexpr Cfg so150m(Cfg c) {
  c.embed_dim = 832;
  c.depth = 21;
  c.num_heads = 13;
  c.mlp_ratio = 34 / 13.0;
  c.block.qkv_bias = false;
  c.tokens.reg_tokens = 1;
  return c;
}
constexpr Cfg map(Cfg c) {
  c.ends.global_pool = "map";
  c.ends.fc_norm = FcNorm::no;
  c.tokens.reg_tokens = 1;
  return c;
}
constexpr Cfg aspect(Cfg c, VitPositions positions = VitPositions::learned) {
  c.naflex.pos_embed_ar_preserving = true;
  c.tokens.pos_embed = positions;
  return c;
}
constexpr Cfg siglip(Cfg c) {
  c = map(c);
  c.tokens.reg_tokens = 0;
  c.block.init_values = 0;
  c.block.act_layer = act::gelu_tanh;
  c.naflex.pos_embed_interp_mode = NaflexResample::bilinear;
  return c;
}
// There is a position for each patch of 2,048 pixels; an image takes the top left of a square.
constexpr Cfg radio(int dim, int depth, int heads, int registers, bool corners = false) {
  Cfg c{.embed_dim = dim, .depth = depth, .num_heads = heads};
  c.tokens.reg_tokens = registers;
  c.ends.final_norm = false;
  c.naflex = {.use_naflex = true,
              .pos_embed_grid_size = {128, 128},
              .pos_embed_interp_mode = NaflexResample::bilinear,
              .pos_embed_ar_preserving = true,
              .pos_embed_antialias = false,
              .pos_embed_align_corners = corners};
  return c;
}
constexpr Cfg scaled(Cfg c) {
  c.block.init_values = 1e-5;
  return c;
}
constexpr Cfg so400m(Cfg c, double mlp_ratio) {
  c.embed_dim = 1152;
  c.depth = 27;
  c.num_heads = 16;
  c.mlp_ratio = mlp_ratio;
  return c;
}

constexpr Variant<Cfg> variants[] = {
    {"naflexvit_base_patch16_gap", kBase},
    {"naflexvit_base_patch16_par_gap", aspect(kBase)},
    {"naflexvit_base_patch16_parfac_gap", aspect(kBase, VitPositions::factorized)},
    {"naflexvit_base_patch16_map", map(kBase)},
    {"naflexvit_so150m2_patch16_reg1_gap", so150m(kBase)},
    {"naflexvit_so150m2_patch16_reg1_map", so150m(map(kBase))},
    {"naflexvit_base_patch16_siglip", siglip(kBase)},
    {"naflexvit_so400m_patch16_siglip", so400m(siglip(kBase), 3.7362)},
    {"naflexvit_base_patch16_radio_v3", scaled(radio(768, 12, 12, 7, true))},
    {"naflexvit_large_patch16_radio_v3", scaled(radio(1024, 24, 16, 7))},
    {"naflexvit_huge_patch16_radio_v3", radio(1280, 32, 16, 7, true)},
    {"naflexvit_giant_patch16_radio_v3", radio(1536, 40, 24, 7)},
    {"naflexvit_so400m_patch16_radio_v4", so400m(radio(1152, 27, 16, 9), 4304 / 1152.0)},
    {"naflexvit_huge_patch16_radio_v4", radio(1280, 32, 16, 9)},
};

}  // namespace

FOVEA_FAMILY(naflexvit, Vit, variants, .accepts = {.img_size = true}, .adapt = adapt_vit)

}  // namespace fovea::zoo::naflexvit
