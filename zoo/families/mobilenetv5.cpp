// SPDX-License-Identifier: Apache-2.0
// zoo/families/mobilenetv5.cpp — MobileNetV5, the vision encoder of Gemma 3n: MobileNetV4's blocks, and layers that
// join the last levels; timm.models.mobilenetv5; https://arxiv.org/abs/2404.10518
#include <algorithm>

#include "nn/joint.h"
#include "zoo/blocks/conv_headed.h"
#include "zoo/blocks/efficientnet_trunk.h"
#include "zoo/family.h"

namespace fovea::zoo::mobilenetv5 {
namespace {

struct Cfg {
  std::string_view arch{};  // block strings: stages between spaces, parts of a stage between '+'
  double channel_multiplier = 1;
  int group_size = -1;  // -1: depthwise, as the blocks say
  int num_features = 2048, stem_size = 64;
  bool stem_bias = true, fix_stem = false;  // fix_stem: the stem does not scale
  bool use_msfa = true;                     // levels are joined; else there is a convolution behind the pooling
  std::array<int, 2> msfa_indices{-2, -1};  // of those levels
  int msfa_output_resolution = 16;          // of the map that they become
  Padding pad_type{};
  Act act_layer = act::gelu_tanh;
  NormSpec::Kind norm_layer = NormSpec::Kind::rms;
  std::string_view aa_layer{};
  bool se_from_exp = true;  // squeeze ratios count from the expanded channels
  double layer_scale_init_value = 1e-5;
  bool encoder_only = false;  // without classifier and pooling
};
FOVEA_SETTINGS(Cfg, arch, channel_multiplier, group_size, num_features, stem_size, stem_bias, fix_stem, use_msfa,
               msfa_indices, msfa_output_resolution, pad_type, act_layer, norm_layer, aa_layer, se_from_exp,
               layer_scale_init_value, encoder_only)

/// Levels as large as the first of them, all their channels mixed, at one resolution.
struct Fusion final : Joint {
  Ref<Module> ffn, norm;
  int64_t side;
  Fusion(const Cfg& c, int in) : side(c.msfa_output_resolution) {
    const NormSpec n{.kind = c.norm_layer};
    const BlockArgs mix{
        .type = BlockArgs::Type::universal, .kernel{0}, .expand_kernel{0}, .project_kernel{0}, .noskip = true};
    const BlockPlace place{.in = in, .out = c.num_features, .expand = 2, .act = c.act_layer, .norm = n};
    ffn = add("ffn", efficientnet_block(mix, place));
    norm = add("norm", norm2d(n, c.num_features));
  }
  Tensors pass(std::span<const Tensor> levels) override {
    const int64_t h = levels[0].dim(2), w = levels[0].dim(3);
    Tensors same(levels.begin(), levels.end());
    for (Tensor& x : same)
      if (x.dim(2) < h || x.dim(3) < w) x = interpolate(x, {h, w});
    Tensor y = ffn(cat(same, 1));
    if (h % side != 0 || w % side != 0) y = interpolate(y, {side, side}, {.mode = Interpolation::linear});
    else if (h != side || w != side) y = avg_pool(y, {.kernel{h / side, w / side}});
    return {norm(y)};
  }
};

class MobileNetV5 final : public ConvHeaded<EfficientNetTrunk> {
 public:
  MobileNetV5(const Cfg& c, const ModelOptions& o) : ConvHeaded(o), encoder_(c.encoder_only) {
    const ChannelRounding round{.multiplier = c.channel_multiplier};
    const NormSpec norm{.kind = c.norm_layer};
    DepthScaling depth{.group_size = {}};
    if (c.group_size >= 0) depth.group_size = c.group_size;
    const std::vector<StageArgs> stages = decode_stages(c.arch, depth);
    const int first = c.fix_stem ? c.stem_size : round(c.stem_size),
              last = trunk(o, {.channels = first, .one_module = true, .bias = c.stem_bias}, stages,
                           {.round = round,
                            .padding = c.pad_type,
                            .act = c.act_layer,
                            .norm = norm,
                            .anti_alias = c.aa_layer,
                            .attention = {},
                            .se_from_expanded = c.se_from_exp,
                            .layer_scale = c.layer_scale_init_value});
    std::vector<int> widths{first};
    for (const StageArgs& s : stages) widths.push_back(round(s.back().out));
    if (c.use_msfa || encoder_) add_fusion(c, widths);
    if (encoder_) num_classes_ = 0;
    const ConvHeadOptions head{.hidden = msfa_ ? 0 : c.num_features,
                               .conv{.padding = c.pad_type},
                               .norm = norm,
                               .act = c.act_layer,
                               .wide_pooling = true};
    conv_head(msfa_ ? c.num_features : last, head);
    if (encoder_) reset_classifier(0, "");
    init_like_tensorflow(*this);
  }
  Tensor forward_features(const Tensor& image) override {
    std::vector<Tensor> each;
    const Reached r = run_trunk(image, &each);
    if (r.enough || !msfa_ || msfa_->vacant()) return r.x;
    Tensors joined;
    for (const size_t i : joined_) joined.push_back(each[i]);
    return (*msfa_)(joined)[0];
  }
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override {
    if (encoder_ && (num_classes > 0 || !global_pool.value_or("").empty()))
      throw Error(Error::Kind::unsupported, str_cat(architecture(), " has no classifier"), "it is an encoder");
    ConvHeaded::reset_classifier(num_classes, global_pool);
  }
  std::vector<int> prune(const PruneOptions& o) override {
    PruneOptions without = o;  // there is no norm behind the levels
    without.norm = false;
    return ConvHeaded::prune(without);
  }

 protected:
  AfterLevels after_levels() const override {
    if (!msfa_) return {};
    return {.norms = {}, .convs = {"msfa"}};
  }
  // timm calls the stem's level after a norm that other networks of this kind have.
  void vacate_behind(std::string_view level, std::string_view last) override {
    ConvHeaded::vacate_behind(level == "bn1" ? "conv_stem" : level, last);
  }

 private:
  // The stem is a level, and so is each stage.
  void add_fusion(const Cfg& c, const std::vector<int>& widths) {
    int in = 0;
    for (int i : c.msfa_indices) {
      if (i < 0) i += static_cast<int>(widths.size());
      if (i < 0 || i >= static_cast<int>(widths.size()))
        throw Error(Error::Kind::argument, str_cat("msfa_indices: there are ", widths.size(), " levels"));
      joined_.push_back(static_cast<size_t>(i));
      in += widths[static_cast<size_t>(i)];
    }
    std::ranges::sort(joined_);
    msfa_ = add("msfa", Fusion(c, in));
  }
  std::vector<size_t> joined_;
  Ref<Fusion> msfa_;
  bool encoder_;
};

// Of Gemma 3n the encoder is wanted.
StateDict adapt(ImageModel&, StateDict weights) {
  constexpr std::string_view kTower = "model.vision_tower.timm_model.";
  return weights.contains(str_cat(kTower, "conv_stem.conv.weight")) ? below(weights, kTower) : weights;
}

#include "zoo/families/mobilenetv5_variants.inc"

}  // namespace

FOVEA_FAMILY(mobilenetv5, MobileNetV5, variants, .adapt = adapt)

}  // namespace fovea::zoo::mobilenetv5
