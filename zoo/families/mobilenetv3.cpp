// SPDX-License-Identifier: Apache-2.0
// zoo/families/mobilenetv3.cpp — MobileNetV3 and V4, FBNetV3, LCNet; timm.models.mobilenetv3
#include "zoo/blocks/mobilenetv3.h"

namespace fovea::zoo::mobilenetv3 {
namespace {

using Cfg = MobileNetV3Cfg;

#include "zoo/families/mobilenetv3_variants.inc"

}  // namespace

FOVEA_FAMILY(mobilenetv3, MobileNetV3, variants, .accepts = {.output_stride = true})

}  // namespace fovea::zoo::mobilenetv3
