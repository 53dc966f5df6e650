// SPDX-License-Identifier: Apache-2.0
// zoo/families/vovnet.cpp — VoVNet: chains of convolutions whose values are gathered once at the end;
// timm.models.vovnet
#include "zoo/blocks/chained.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::vovnet {
namespace {

struct Cfg {
  std::array<int, 3> stem_chs{64, 64, 128};
  std::array<int, 4> stage_conv_chs{128, 160, 192, 224}, stage_out_chs{256, 512, 768, 1024};
  int layer_per_block = 5;
  std::array<int, 4> block_per_stage{1, 1, 2, 2};
  bool residual = true;  // of all blocks of a stage but the first
  bool depthwise = false;
  std::string_view attn = "ese";  // of the last block of a stage
  Act act_layer = act::relu;
  NormSpec::Kind norm_layer = NormSpec::Kind::batch;
};
FOVEA_SETTINGS(Cfg, stem_chs, stage_conv_chs, stage_out_chs, layer_per_block, block_per_stage, residual, depthwise,
               attn, act_layer, norm_layer)

ConvNormActOptions options(const Cfg& c, int stride = 1) {
  return {.conv{.stride = stride}, .norm{.kind = c.norm_layer}, .act = c.act_layer};
}
std::unique_ptr<Module> conv3x3(const Cfg& c, int in, int out, int stride = 1) {
  if (c.depthwise) return std::make_unique<SeparableConvNormAct>(in, out, 3, options(c, stride));
  return std::make_unique<ConvNormAct>(in, out, 3, options(c, stride));
}

struct BlockOptions {
  int in, mid, out;
  bool residual, attends;
  double drop_path;
};

// One-shot aggregation.
struct OsaBlock final : Module {
  Maybe<Module> conv_reduction, attn, drop_path;
  Ref<Sequential> conv_mid;
  Ref<Module> conv_concat;
  bool residual;
  OsaBlock(const Cfg& c, const BlockOptions& p) : residual(p.residual) {
    int channels = p.in;
    if (c.depthwise && channels != p.mid) {
      conv_reduction = add("conv_reduction", ConvNormAct(channels, p.mid, 1, options(c)));
      channels = p.mid;
    }
    Sequential chain;
    for (int i = 0; i < c.layer_per_block; ++i) chain.add(conv3x3(c, i == 0 ? channels : p.mid, p.mid));
    conv_mid = add("conv_mid", std::move(chain));
    conv_concat = add("conv_concat", ConvNormAct(p.in + c.layer_per_block * p.mid, p.out, 1, options(c)));
    if (p.attends) attn = add("attn", channel_attention(c.attn, p.out));
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
  }
  Tensor forward(const Tensor& x) override {
    Tensors all{x};
    Tensor y = conv_reduction(x);
    {
      const Scope scope("conv_mid");
      for (const auto& conv : conv_mid->children()) all.push_back(y = (*conv)(y));
    }
    y = drop_path(attn(conv_concat(cat(all, 1))));
    return residual ? y + x : y;
  }
};

struct OsaStage final : Module {
  Maybe<Module> pool;
  Ref<Module> blocks;
  OsaStage(const Cfg& c, int in, size_t s, DropPathRamp& drop_path) {
    if (s > 0) pool = add("pool", MaxPool2d(3, {.stride = 2, .padding = 0, .ceil_mode = true}));
    Sequential all;
    const int depth = c.block_per_stage[s];
    for (int i = 0; i < depth; ++i) {
      all.add(OsaBlock(c, {.in = i == 0 ? in : c.stage_out_chs[s],
                           .mid = c.stage_conv_chs[s],
                           .out = c.stage_out_chs[s],
                           .residual = c.residual && i > 0,
                           .attends = i == depth - 1,
                           .drop_path = drop_path.next()}));
    }
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(pool(x)); }
};

class VovNet final : public Chained<HeadedModel> {
 public:
  VovNet(const Cfg& c, const ModelOptions& o) : Chained(o) {
    Sequential stem, stages;
    stem.add(ConvNormAct(o.in_chans.value_or(3), c.stem_chs[0], 3, options(c, 2)));
    stem.add(conv3x3(c, c.stem_chs[0], c.stem_chs[1]));
    stem.add(conv3x3(c, c.stem_chs[1], c.stem_chs[2], 2));
    add("stem", std::move(stem));
    parts("stem", {1});
    DropPathRamp drop_path(o, c.block_per_stage);
    for (size_t s = 0; s < 4; ++s)
      stages.add(OsaStage(c, s == 0 ? c.stem_chs[2] : c.stage_out_chs[s - 1], s, drop_path));
    add("stages", std::move(stages));
    parts("stages", {0, 1, 2, 3});
    head(c.stage_out_chs[3]);
    he_normal_convs(*this, Fan::out);
    if (auto* fc = dynamic_cast<Linear*>(find("head.fc"))) fc->bias.slot().init = init::zeros();
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return {{0, "^stem"}, {1, coarse ? "^stages.#" : "^stages.#.blocks.#"}};
  }
};

constexpr std::array<int, 4> kSlimMid{64, 80, 96, 112}, kSlimOut{112, 256, 384, 512}, kOnes{1, 1, 1, 1};

constexpr Variant<Cfg> variants[] = {
    {"eca_vovnet39b", {.attn = "eca"}},
    {"ese_vovnet19b_dw", {.stem_chs{64, 64, 64}, .layer_per_block = 3, .block_per_stage = kOnes, .depthwise = true}},
    {"ese_vovnet19b_slim",
     {.stage_conv_chs = kSlimMid, .stage_out_chs = kSlimOut, .layer_per_block = 3, .block_per_stage = kOnes}},
    {"ese_vovnet19b_slim_dw",
     {.stem_chs{64, 64, 64},
      .stage_conv_chs = kSlimMid,
      .stage_out_chs = kSlimOut,
      .layer_per_block = 3,
      .block_per_stage = kOnes,
      .depthwise = true}},
    {"ese_vovnet39b", {}},
    {"ese_vovnet39b_evos", {.norm_layer = NormSpec::Kind::evo_s0}},
    {"ese_vovnet57b", {.block_per_stage{1, 1, 4, 3}}},
    {"ese_vovnet99b", {.block_per_stage{1, 3, 9, 3}}},
    {"vovnet39a", {.residual = false, .attn = ""}},
    {"vovnet57a", {.block_per_stage{1, 1, 4, 3}, .residual = false, .attn = ""}},
};

}  // namespace

FOVEA_FAMILY(vovnet, VovNet, variants)
}  // namespace fovea::zoo::vovnet
