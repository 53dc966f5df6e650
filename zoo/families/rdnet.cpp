// SPDX-License-Identifier: Apache-2.0
// zoo/families/rdnet.cpp — RDNet: DenseNets with the blocks of ConvNeXt, whose outputs are concatenated.
// timm.models.rdnet; https://arxiv.org/abs/2403.19588
#include <charconv>

#include "zoo/blocks/first_values.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"

namespace fovea::zoo::rdnet {
namespace {

enum class Stem : uint8_t { patch, overlap, overlap_tiered };
constexpr std::string_view name_of(Stem s) {
  constexpr std::string_view names[] = {"patch", "overlap", "overlap_tiered"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}

// Lists have an entry for each stage, with commas between.
struct Cfg {
  std::string_view growth_rates = "64,104,128,128,128,128,224", num_blocks_list = "3,3,3,3,3,3,3";
  std::string_view is_downsample_block = "false,true,true,false,false,false,true";
  std::string_view block_type = "Block,Block,BlockESE,BlockESE,BlockESE,BlockESE,BlockESE";
  double bottleneck_width_ratio = 4, transition_compression_ratio = 0.5;
  double ls_init_value = 1e-6;  // what gamma starts as; 0: there is none
  Stem stem_type = Stem::patch;
  int patch_size = 4, num_init_features = 64;
  double head_init_scale = 1;
  bool head_norm_first = false;  // in front of the pooling, not behind it
  bool conv_bias = true;         // of the stem
  Act act_layer = act::gelu;
  NormSpec::Kind norm_layer = NormSpec::Kind::layer;
  double norm_eps = 1e-6;
  double proj_drop_rate = 0;
};
FOVEA_SETTINGS(Cfg, growth_rates, num_blocks_list, is_downsample_block, block_type, bottleneck_width_ratio,
               transition_compression_ratio, ls_init_value, stem_type, patch_size, num_init_features, head_init_scale,
               head_norm_first, conv_bias, act_layer, norm_layer, norm_eps, proj_drop_rate)

NormSpec norm_of(const Cfg& c) { return {.kind = c.norm_layer, .eps = c.norm_eps}; }

struct StageCfg {
  int growth, blocks;
  bool halves, squeezes;
};

int number(std::string_view text) {
  int n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size() || n < 1)
    throw Error(Error::Kind::argument, cat("'", text, "' is no number of channels or blocks"));
  return n;
}

std::vector<StageCfg> stages_of(const Cfg& c) {
  const std::vector<std::string> growth = split_list(c.growth_rates), blocks = split_list(c.num_blocks_list),
                                 halves = split_list(c.is_downsample_block), types = split_list(c.block_type);
  if (growth.empty() || blocks.size() != growth.size() || halves.size() != growth.size() ||
      types.size() != growth.size())
    throw Error(Error::Kind::argument,
                "growth_rates, num_blocks_list, is_downsample_block and block_type have an entry for each stage");
  std::vector<StageCfg> all;
  for (size_t i = 0; i < growth.size(); ++i) {
    if (types[i] != "Block" && types[i] != "BlockESE")
      throw Error(Error::Kind::argument, cat("no block '", types[i], "'"), "there are Block and BlockESE");
    all.push_back({number(growth[i]), number(blocks[i]), halves[i] == "true", types[i] == "BlockESE"});
  }
  return all;
}

// A multiple of eight.
int rounded(double channels) { return static_cast<int>(channels / 8) * 8; }

struct Block final : Module {
  Ref<Module> layers;
  Block(const Cfg& c, int in, int out, bool squeezes) {
    const int inner = rounded(in * c.bottleneck_width_ratio);
    Sequential all;
    all.add(Conv2d(in, in, 7, {.groups = in, .bias = true}));
    all.add(norm2d(norm_of(c), in));
    all.add(Conv2d(in, inner, 1, {.bias = true}));
    all.add(Activation(c.act_layer));
    all.add(Conv2d(inner, out, 1, {.bias = true}));
    if (squeezes) all.add(EffectiveSEModule(out));
    layers = add("layers", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return layers(x); }
};

struct DenseBlock final : Module {
  Param gamma;
  Ref<Module> layers, drop_path, drop;
  DenseBlock(const Cfg& c, const StageCfg& s, int in, double drop_rate) {
    if (c.ls_init_value > 0) gamma = param("gamma", {s.growth}, init::constant(c.ls_init_value));
    drop_path = add("drop_path", DropPath(drop_rate));
    layers = add("layers", Block(c, in, s.growth, s.squeezes));
    drop = add("drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = layers(x);
    return drop(drop_path(gamma ? y * reshape(gamma, {1, -1, 1, 1}) : y));
  }
};

/// Each block sees what came in and what all blocks before it made of it.
struct DenseStage final : Module {
  std::vector<Ref<Module>> blocks;
  DenseStage(const Cfg& c, const StageCfg& s, int in, DropPathRamp& drop_path) {
    for (int i = 0; i < s.blocks; ++i)
      blocks.push_back(add(cat("dense_block", i), DenseBlock(c, s, in + i * s.growth, drop_path.next())));
  }
  Tensor forward(const Tensor& x) override {
    Tensors all{x};
    for (const Ref<Module>& block : blocks) all.push_back(block(all.size() > 1 ? cat(all, 1) : x));
    return cat(all, 1);
  }
};

class RDNet final : public StagedModel {
 public:
  RDNet(const Cfg& c, const ModelOptions& o) : StagedModel(o) {
    add("stem", stem_of(c, o.in_chans.value_or(3)));
    stem("stem");
    const int channels = add_stages(c, static_cast<double>(o.drop_path_rate.value_or(0.0f)));
    staged_head(channels, {.norm = norm_of(c), .norm_first = c.head_norm_first});
    he_normal_convs(*this, Fan::in);
    Module* fc = find("head.fc");
    if (auto* linear = dynamic_cast<Linear*>(fc)) linear->bias.slot().init = init::zeros();
    scale_first_values(fc, c.head_init_scale);
  }
  std::vector<LayerGroup> group_matcher(bool) const override { return {{0, "^stem"}, {1, "^dense_stages.#"}}; }

 private:
  static Sequential stem_of(const Cfg& c, int in) {
    const int out = c.num_init_features;
    Sequential s;
    if (c.stem_type == Stem::patch) {
      s.add(Conv2d(in, out, c.patch_size, {.stride = c.patch_size, .padding = 0, .bias = c.conv_bias}));
    } else {
      const int middle = c.stem_type == Stem::overlap_tiered ? make_divisible(out / 2) : out;
      s.add(Conv2d(in, middle, 3, {.stride = 2, .bias = c.conv_bias}));
      s.add(Conv2d(middle, out, 3, {.stride = 2, .bias = c.conv_bias}));
    }
    s.add(norm2d(norm_of(c), out));
    return s;
  }

  int add_stages(const Cfg& c, double drop_rate) {
    const std::vector<StageCfg> cfgs = stages_of(c);
    int depth = 0, channels = c.num_init_features;
    for (const StageCfg& s : cfgs) depth += s.blocks;
    DropPathRamp drop_path(drop_rate, depth);
    Sequential stages;
    std::vector<int> levels;
    for (size_t i = 0; i < cfgs.size(); ++i) {
      Sequential stage;
      if (i > 0) {
        const int fewer = rounded(channels * c.transition_compression_ratio), step = cfgs[i].halves ? 2 : 1;
        stage.add(norm2d(norm_of(c), channels));
        stage.add(Conv2d(channels, fewer, step, {.stride = step, .padding = 0, .bias = true}));
        channels = fewer;
      }
      stage.add(DenseStage(c, cfgs[i], channels, drop_path));
      channels += cfgs[i].blocks * cfgs[i].growth;
      if (i + 1 == cfgs.size() || cfgs[i + 1].halves) levels.push_back(static_cast<int>(i));
      stages.add(std::move(stage));
    }
    add("dense_stages", std::move(stages));
    stages_are("dense_stages", levels);
    return channels;
  }
};

constexpr Rename kOriginal[] = {{"^stem.stem", "stem"}};

constexpr std::string_view kEleven = "3,3,3,3,3,3,3,3,3,3,3",
                           kElevenHalve = "false,true,true,false,false,false,false,false,false,true,false",
                           kElevenTypes =
                               "Block,Block,BlockESE,BlockESE,BlockESE,BlockESE,BlockESE,BlockESE,BlockESE,"
                               "BlockESE,BlockESE";
constexpr Variant<Cfg> variants[] = {
    {"rdnet_base",
     {.growth_rates = "96,128,168,168,168,168,168,168,168,336,336",
      .num_blocks_list = kEleven,
      .is_downsample_block = kElevenHalve,
      .block_type = kElevenTypes,
      .num_init_features = 120}},
    {"rdnet_large",
     {.growth_rates = "128,192,256,256,256,256,256,256,256,256,360,360",
      .num_blocks_list = "3,3,3,3,3,3,3,3,3,3,3,3",
      .is_downsample_block = "false,true,true,false,false,false,false,false,false,false,true,false",
      .block_type = "Block,Block,BlockESE,BlockESE,BlockESE,BlockESE,BlockESE,BlockESE,BlockESE,BlockESE,BlockESE,"
                    "BlockESE",
      .num_init_features = 144}},
    {"rdnet_small",
     {.growth_rates = "64,128,128,128,128,128,128,128,128,240,240",
      .num_blocks_list = kEleven,
      .is_downsample_block = kElevenHalve,
      .block_type = kElevenTypes,
      .num_init_features = 72}},
    {"rdnet_tiny", {}},
};

}  // namespace

FOVEA_FAMILY(rdnet, RDNet, variants, .renames = kOriginal)

}  // namespace fovea::zoo::rdnet
