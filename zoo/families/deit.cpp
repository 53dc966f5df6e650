// SPDX-License-Identifier: Apache-2.0
// zoo/families/deit.cpp — DeiT with and without a distillation token, DeiT III; timm.models.deit
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights.h"

namespace fovea::zoo::deit {
namespace {

constexpr VitCfg plain(int dim, int heads) {
  VitCfg c;
  c.embed_dim = dim;
  c.num_heads = heads;
  return c;
}
constexpr VitCfg distilled(VitCfg c) {
  c.tokens.distilled = true;
  return c;
}
constexpr VitCfg deit3(int dim, int heads, int depth = 12, int patch = 16) {
  VitCfg c = plain(dim, heads);
  c.depth = depth;
  c.patch_size = patch;
  c.tokens.no_embed_class = true;
  c.block.init_values = 1e-6;
  return c;
}

constexpr Variant<VitCfg> variants[] = {
    {"deit_tiny_patch16_224", plain(192, 3)},
    {"deit_small_patch16_224", plain(384, 6)},
    {"deit_base_patch16_224", plain(768, 12)},
    {"deit_base_patch16_384", plain(768, 12)},
    {"deit_tiny_distilled_patch16_224", distilled(plain(192, 3))},
    {"deit_small_distilled_patch16_224", distilled(plain(384, 6))},
    {"deit_base_distilled_patch16_224", distilled(plain(768, 12))},
    {"deit_base_distilled_patch16_384", distilled(plain(768, 12))},
    {"deit3_small_patch16_224", deit3(384, 6)},
    {"deit3_small_patch16_384", deit3(384, 6)},
    {"deit3_medium_patch16_224", deit3(512, 8)},
    {"deit3_base_patch16_224", deit3(768, 12)},
    {"deit3_base_patch16_384", deit3(768, 12)},
    {"deit3_large_patch16_224", deit3(1024, 16, 24)},
    {"deit3_large_patch16_384", deit3(1024, 16, 24)},
    {"deit3_huge_patch14_224", deit3(1280, 16, 32, 14)},
};

// DeiT III calls the factors of its branches gamma_1 and gamma_2.
constexpr Rename kScales[] = {{"gamma_1", "ls1.gamma"}, {"gamma_2", "ls2.gamma"}};

}  // namespace

FOVEA_FAMILY(deit, Vit, variants, .accepts = {.img_size = true}, .renames = kScales, .adapt = adapt_vit)

}  // namespace fovea::zoo::deit
