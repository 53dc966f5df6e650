// SPDX-License-Identifier: Apache-2.0
// zoo/families/resnet.cpp — ResNet, ResNeXt, Wide-, SE-, ECA- and Blur-ResNet, SENet, ResNet-RS; timm.models.resnet
#include "zoo/blocks/resnet.h"

namespace fovea::zoo::resnet {
namespace {

using Cfg = ResNetCfg;
using Stem = ResNetStem;

#include "zoo/families/resnet_variants.inc"

}  // namespace

FOVEA_FAMILY(resnet, ResNet, variants, .accepts = {.output_stride = true, .least_output_stride = 8})
}  // namespace fovea::zoo::resnet
