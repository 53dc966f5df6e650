// SPDX-License-Identifier: Apache-2.0
// zoo/families/beit.cpp — BEiT and BEiT v2: ViTs whose attention knows relative positions by a table of its own.
// timm.models.beit; https://arxiv.org/abs/2106.08254, 2208.06366
#include "weights_tools/edit.h"
#include "zoo/blocks/relative_tables.h"
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights.h"

namespace fovea::zoo::beit {
namespace {

constexpr VitCfg beit(int dim, int depth, int heads, double init_values) {
  VitCfg c;
  c.embed_dim = dim;
  c.depth = depth;
  c.num_heads = heads;
  c.tokens.pos_embed = VitPositions::none;
  c.rel_pos.rel_pos_type = RelPosType::own_bias;
  c.ends.global_pool = "avg";
  c.ends.fc_norm = FcNorm::for_avg;
  c.block.block_fn = VitBlockKind::gamma;
  c.block.k_bias = false;
  c.block.init_values = init_values;
  c.training.weight_init = VitInit::eva;
  return c;
}

constexpr Variant<VitCfg> variants[] = {
    {"beit_base_patch16_224", beit(768, 12, 12, 0.1)},      {"beit_base_patch16_384", beit(768, 12, 12, 0.1)},
    {"beit_large_patch16_224", beit(1024, 24, 16, 1e-5)},   {"beit_large_patch16_384", beit(1024, 24, 16, 1e-5)},
    {"beit_large_patch16_512", beit(1024, 24, 16, 1e-5)},   {"beitv2_base_patch16_224", beit(768, 12, 12, 1e-5)},
    {"beitv2_large_patch16_224", beit(1024, 24, 16, 1e-5)},
};

constexpr Rename kComputed[] = {{"relative_position_index", nullptr}};

StateDict adapt(ImageModel& model, StateDict weights) {
  StateDict w = rename(weights, kComputed);
  fit_to_patches(dynamic_cast<const Vit&>(model), w);
  resample_relative_tables(model, w);
  return w;
}

}  // namespace

FOVEA_FAMILY(beit, Vit, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::beit
