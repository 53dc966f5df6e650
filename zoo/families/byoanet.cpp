// SPDX-License-Identifier: Apache-2.0
// zoo/families/byoanet.cpp — residual networks some of whose blocks attend: bottleneck transformers, HaloNets and
// LambdaNetworks; timm.models.byoanet
#include "zoo/blocks/byobnet.h"

namespace fovea::zoo::byoanet {
namespace {

constexpr std::string_view kBot26 =
    "bottle_d2_c256_br0.25 bottle_d2_c512_s2_br0.25 bottle_c1024_s2_br0.25+bot_c1024_br0.25 bot_d2_c2048_s2_br0.25";
constexpr std::string_view kBotNext26 =
    "bottle_d2_c256_gs16_br0.25 bottle_d2_c512_s2_gs16_br0.25 "
    "bottle_c1024_s2_gs16_br0.25+bot_c1024_gs16_br0.25_hd16 bot_d2_c2048_s2_gs16_br0.25_hd16";
constexpr std::string_view kBot33 =
    "bottle_d2_c256_br0.25 bottle_d2_c512_s2_br0.25+bot_c512_br0.25 bottle_d2_c1024_s2_br0.25+bot_c1024_br0.25 "
    "bot_d2_c1536_s2_br0.333";
constexpr std::string_view kBot50 =
    "bottle_d3_c256_br0.25 bottle_d3_c512_s2_br0.25+bot_c512_br0.25 3*bottle_c1024_s2_br0.25+bot_c1024_br0.25 "
    "bottle_c2048_s2_br0.25+bot_c2048_br0.25+bottle_c2048_br0.25";
constexpr std::string_view kHaloH1 = "halo_d3_c64_br1 halo_d3_c128_s2_br1 halo_d10_c256_s2_br1 halo_d3_c512_s2_br1";
constexpr std::string_view kHalo26 =
    "bottle_d2_c256_br0.25 bottle_d2_c512_s2_br0.25 bottle_c1024_s2_br0.25+halo_c1024_br0.25_hs2 "
    "halo_d2_c2048_s2_br0.25_hs2";
constexpr std::string_view kHaloNext26 =
    "bottle_d2_c256_gs16_br0.25 bottle_d2_c512_s2_gs16_br0.25 "
    "bottle_c1024_s2_gs16_br0.25+halo_c1024_gs16_br0.25_hs2_hd16 halo_d2_c2048_s2_gs16_br0.25_hs2_hd16";
constexpr std::string_view kHalo33 =
    "bottle_d2_c256_br0.25 bottle_d2_c512_s2_br0.25+halo_c512_br0.25 bottle_d2_c1024_s2_br0.25+halo_c1024_br0.25 "
    "halo_d2_c1536_s2_br0.333";
constexpr std::string_view kHalo50 =
    "bottle_d3_c256_br0.25 bottle_d3_c512_s2_br0.25+halo_c512_br0.25_h4 3*bottle_c1024_s2_br0.25+halo_c1024_br0.25 "
    "bottle_c2048_s2_br0.25+halo_c2048_br0.25+bottle_c2048_br0.25";
constexpr std::string_view kHaloRegNetZ =
    "bottle_d2_c48_s2_gs16_br3 bottle_d6_c96_s2_gs16_br3 "
    "3*bottle_d3_c192_s2_gs16_br3+halo_c192_gs16_br3_bs7_hs2_qk0.33 halo_d2_c288_s2_gs16_br3_bs7_hs2_qk0.33";
constexpr std::string_view kLambda26 =
    "bottle_d2_c256_br0.25 bottle_d2_c512_s2_br0.25 bottle_c1024_s2_br0.25+lambda_c1024_br0.25_r9 "
    "lambda_d2_c2048_s2_br0.25_r9";
constexpr std::string_view kLambdaTable26 =
    "bottle_d2_c256_br0.25 bottle_d2_c512_s2_br0.25 bottle_c1024_s2_br0.25+lambda_c1024_br0.25 "
    "lambda_d2_c2048_s2_br0.25";
constexpr std::string_view kLambda50 =
    "bottle_d3_c256_br0.25 bottle_d3_c512_s2_br0.25+lambda_c512_br0.25_r9 "
    "3*bottle_c1024_s2_br0.25+lambda_c1024_br0.25_r9 "
    "bottle_c2048_s2_br0.25+lambda_c2048_br0.25_r9+bottle_c2048_br0.25";
constexpr std::string_view kLamHaloBot50 =
    "bottle_d3_c256_br0.25 2*bottle_c512_s2_br0.25+lambda_c512_br0.25_r13 "
    "3*bottle_c1024_s2_br0.25+halo_c1024_br0.25 bottle_c2048_s2_br0.25+bot_c2048_br0.25+bottle_c2048_br0.25";
constexpr std::string_view kHalo2Bot50 =
    "bottle_d3_c256_br0.25 2*bottle_c512_s2_br0.25+halo_c512_br0.25 3*bottle_c1024_s2_br0.25+halo_c1024_br0.25 "
    "bottle_c2048_s2_br0.25+bot_c2048_br0.25+bottle_c2048_br0.25";

constexpr ByobCfg tiered(std::string_view blocks, std::string_view pool = "maxpool", Act act = act::silu) {
  return {.blocks = blocks, .stem_type = ByobStem::tiered, .stem_pool = pool, .stem_chs = "64", .act_layer = act};
}
constexpr ByobCfg with_relu(std::string_view blocks) { return tiered(blocks, "maxpool", act::relu); }
constexpr ByobCfg with_eca(std::string_view blocks) {
  ByobCfg c = tiered(blocks);
  c.attn_layer = "eca";
  return c;
}
constexpr ByobCfg squeezed(std::string_view blocks) {
  ByobCfg c = tiered(blocks, "");
  c.attn_layer = "se";
  c.num_features = 1280;
  return c;
}
constexpr ByobCfg kHaloRegNetZB{.blocks = kHaloRegNetZ,
                                .downsample = "",
                                .stem_pool = "",
                                .num_features = 1536,
                                .act_layer = act::silu,
                                .attn_layer = "se",
                                .attn_rd_ratio = 0.25,
                                .bottle_in = true,
                                .linear_out = true};

constexpr Variant<ByobCfg> variants[] = {
    {"botnet26t_256", with_relu(kBot26)},
    {"botnet50ts_256", tiered(kBot50)},
    {"eca_botnext26ts_256", with_eca(kBotNext26)},
    {"eca_halonext26ts", with_eca(kHaloNext26)},
    {"halo2botnet50ts_256", tiered(kHalo2Bot50, "")},
    {"halonet26t", with_relu(kHalo26)},
    {"halonet50ts", tiered(kHalo50)},
    {"halonet_h1", {.blocks = kHaloH1, .stem_type = ByobStem::conv7, .stem_chs = "64"}},
    {"haloregnetz_b", kHaloRegNetZB},
    {"lambda_resnet26rpt_256", with_relu(kLambdaTable26)},
    {"lambda_resnet26t", with_relu(kLambda26)},
    {"lambda_resnet50ts", tiered(kLambda50)},
    {"lamhalobotnet50ts_256", tiered(kLamHaloBot50, "")},
    {"sebotnet33ts_256", squeezed(kBot33)},
    {"sehalonet33ts", squeezed(kHalo33)},
};

}  // namespace

FOVEA_FAMILY(byoanet, ByobNet, variants, .accepts = {.output_stride = true, .img_size = true})

}  // namespace fovea::zoo::byoanet
