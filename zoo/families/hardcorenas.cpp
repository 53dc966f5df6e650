// SPDX-License-Identifier: Apache-2.0
// zoo/families/hardcorenas.cpp — HardCoRe-NAS: MobileNetV3's blocks, searched for under hard limits of latency;
// timm.models.hardcorenas
#include "zoo/blocks/mobilenetv3.h"

namespace fovea::zoo::hardcorenas {
namespace {

using Cfg = MobileNetV3Cfg;

constexpr Cfg searched(std::string_view arch) {
  return {.arch = arch, .stem = 32, .squeeze_act = act::relu, .squeeze_divisor = 8};
}

constexpr Variant<Cfg> variants[] = {
    {"hardcorenas_a",
     searched(
         "ds_r1_k3_s1_e1_c16_nre ir_r1_k5_s2_e3_c24_nre+ir_r1_k5_s1_e3_c24_nre_se0.25 "
         "ir_r1_k5_s2_e3_c40_nre+ir_r1_k5_s1_e6_c40_nre_se0.25 ir_r1_k5_s2_e6_c80_se0.25+ir_r1_k5_s1_e6_c80_se0.25 "
         "ir_r2_k5_s1_e6_c112_se0.25 ir_r1_k5_s2_e6_c192_se0.25+ir_r1_k5_s1_e6_c192_se0.25 cn_r1_k1_s1_c960")},
    {"hardcorenas_b",
     searched("ds_r1_k3_s1_e1_c16_nre ir_r1_k5_s2_e3_c24_nre+ir_r1_k5_s1_e3_c24_nre_se0.25+ir_r1_k3_s1_e3_c24_nre "
              "ir_r1_k5_s2_e3_c40_nre+ir_r2_k5_s1_e3_c40_nre ir_r1_k5_s2_e3_c80+ir_r1_k5_s1_e3_c80+ir_r2_k3_s1_e3_c80 "
              "ir_r1_k5_s1_e3_c112+ir_r3_k3_s1_e3_c112 "
              "ir_r1_k5_s2_e6_c192_se0.25+ir_r1_k5_s1_e6_c192_se0.25+ir_r1_k3_s1_e3_c192_se0.25 cn_r1_k1_s1_c960")},
    {"hardcorenas_c",
     searched("ds_r1_k3_s1_e1_c16_nre ir_r1_k5_s2_e3_c24_nre+ir_r1_k5_s1_e3_c24_nre_se0.25 "
              "ir_r1_k5_s2_e3_c40_nre+ir_r3_k5_s1_e3_c40_nre "
              "ir_r1_k5_s2_e4_c80+ir_r1_k5_s1_e6_c80_se0.25+ir_r2_k3_s1_e3_c80 "
              "ir_r1_k5_s1_e6_c112_se0.25+ir_r3_k3_s1_e3_c112 "
              "ir_r1_k5_s2_e6_c192_se0.25+ir_r1_k5_s1_e6_c192_se0.25+ir_r1_k3_s1_e3_c192_se0.25 cn_r1_k1_s1_c960")},
    {"hardcorenas_d",
     searched(
         "ds_r1_k3_s1_e1_c16_nre ir_r1_k5_s2_e3_c24_nre_se0.25+ir_r1_k5_s1_e3_c24_nre_se0.25 "
         "ir_r1_k5_s2_e3_c40_nre_se0.25+ir_r1_k5_s1_e4_c40_nre_se0.25+ir_r1_k3_s1_e3_c40_nre_se0.25 "
         "ir_r1_k5_s2_e4_c80_se0.25+ir_r3_k3_s1_e3_c80_se0.25 "
         "ir_r1_k3_s1_e4_c112_se0.25+ir_r1_k5_s1_e4_c112_se0.25+ir_r1_k3_s1_e3_c112_se0.25+ir_r1_k5_s1_e3_c112_se0.25 "
         "ir_r1_k5_s2_e6_c192_se0.25+ir_r2_k5_s1_e6_c192_se0.25+ir_r1_k3_s1_e6_c192_se0.25 cn_r1_k1_s1_c960")},
    {"hardcorenas_e",
     searched("ds_r1_k3_s1_e1_c16_nre ir_r1_k5_s2_e3_c24_nre_se0.25+ir_r1_k5_s1_e3_c24_nre_se0.25 "
              "ir_r1_k5_s2_e6_c40_nre_se0.25+ir_r2_k5_s1_e4_c40_nre_se0.25+ir_r1_k3_s1_e3_c40_nre_se0.25 "
              "ir_r1_k5_s2_e4_c80_se0.25+ir_r1_k3_s1_e6_c80_se0.25 "
              "ir_r3_k5_s1_e6_c112_se0.25+ir_r1_k5_s1_e3_c112_se0.25 "
              "ir_r1_k5_s2_e6_c192_se0.25+ir_r2_k5_s1_e6_c192_se0.25+ir_r1_k3_s1_e6_c192_se0.25 cn_r1_k1_s1_c960")},
    {"hardcorenas_f",
     searched("ds_r1_k3_s1_e1_c16_nre ir_r1_k5_s2_e3_c24_nre_se0.25+ir_r1_k5_s1_e3_c24_nre_se0.25 "
              "ir_r1_k5_s2_e6_c40_nre_se0.25+ir_r1_k5_s1_e6_c40_nre_se0.25 "
              "ir_r1_k5_s2_e6_c80_se0.25+ir_r1_k5_s1_e6_c80_se0.25+ir_r2_k3_s1_e3_c80_se0.25 "
              "ir_r1_k3_s1_e6_c112_se0.25+ir_r2_k5_s1_e6_c112_se0.25+ir_r1_k3_s1_e3_c112_se0.25 "
              "ir_r1_k5_s2_e6_c192_se0.25+ir_r1_k5_s1_e6_c192_se0.25+ir_r2_k3_s1_e6_c192_se0.25 cn_r1_k1_s1_c960")},
};

}  // namespace

FOVEA_FAMILY(hardcorenas, MobileNetV3, variants, .accepts = {.output_stride = true})
}  // namespace fovea::zoo::hardcorenas
