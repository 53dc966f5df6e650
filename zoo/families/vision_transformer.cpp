// SPDX-License-Identifier: Apache-2.0
// zoo/families/vision_transformer.cpp — ViT, CLIP, DINOv2, SigLIP, FlexiViT, BEiT-3, AIM v2, RADIO and relatives;
// timm.models.vision_transformer
#include "zoo/blocks/vit.h"
#include "zoo/blocks/vit_weights.h"

namespace fovea::zoo::vision_transformer {
namespace {

using Cfg = VitCfg;

#include "zoo/families/vision_transformer_variants.inc"

}  // namespace

FOVEA_FAMILY(vision_transformer, Vit, variants, .accepts = {.img_size = true}, .adapt = adapt_vit)

}  // namespace fovea::zoo::vision_transformer
