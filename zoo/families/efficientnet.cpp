// SPDX-License-Identifier: Apache-2.0
// zoo/families/efficientnet.cpp — EfficientNet 1 and 2, lite, edge, X, CondConv; MobileNet 1 and 2, MnasNet, MixNet,
// TinyNet and relatives; timm.models.efficientnet
#include <algorithm>
#include <charconv>

#include "zoo/blocks/efficientnet_trunk.h"
#include "zoo/family.h"

namespace fovea::zoo::efficientnet {
namespace {

/// How wide the last convolution is.
enum class Head : uint8_t { fixed, scaled, at_least };   // features; features times the width; the larger of both
constexpr std::string_view name_of(Head h) {
  constexpr std::string_view names[] = {"fixed", "scaled", "at_least"};
  return static_cast<size_t>(h) < std::size(names) ? names[static_cast<size_t>(h)] : std::string_view();
}

struct Cfg {
  std::string_view arch;                           // block strings: stages between spaces, parts of a stage between '+'
  double width = 1, depth = 1, late_depth = 0;     // late_depth: of the last two stages, when not 0
  bool round_depth = false, fix_first_last = false;
  int divisor = 8;                                 // of channel numbers
  double round_limit = 0.9;
  int group_size = -1, experts = 1;                // -1: depthwise, as the blocks say
  int features = 1280;                             // of the last convolution; 0: there is none
  Head head = Head::fixed;
  int stem = 32, stem_kernel = 3;
  bool fix_stem = false;                           // the stem does not scale
  Padding padding;
  Act act = act::relu;
  NormSpec::Kind norm = NormSpec::Kind::batch;
  double bn_eps = 0;                               // 0: the norm's default
  int norm_group_size = 0;
  std::string_view anti_alias, attention;
  bool tf_trained = false;                         // the published weights want TensorFlow's epsilon
  std::string_view pruned;                         // output channels of every convolution, in order
};
FOVEA_SETTINGS(Cfg, arch, width, depth, late_depth, round_depth, fix_first_last, divisor, round_limit, group_size,
               experts, features, head, stem, stem_kernel, fix_stem, padding, act, norm, bn_eps, norm_group_size,
               anti_alias, attention, tf_trained, pruned)

class EfficientNet final : public EfficientNetTrunk {
 public:
  EfficientNet(const Cfg& c, const ModelOptions& o) : EfficientNetTrunk(o) {
    const ChannelRounding round{.multiplier = c.width, .divisor = c.divisor, .limit = c.round_limit};
    const NormSpec norm{
        .kind = c.norm, .eps = c.tf_trained && o.pretrained ? 1e-3 : c.bn_eps, .group_size = c.norm_group_size};
    DepthScaling depth{.multiplier = c.depth, .late_multiplier = c.late_depth, .round = c.round_depth,
                       .fix_first_last = c.fix_first_last, .experts = c.experts, .group_size = {}};
    if (c.group_size >= 0) depth.group_size = c.group_size;
    int features = trunk(o, {.channels = c.fix_stem ? c.stem : round(c.stem), .kernel = c.stem_kernel},
                         decode_stages(c.arch, depth),
                         {.round = round,
                          .padding = c.padding,
                          .act = c.act,
                          .norm = norm,
                          .anti_alias = c.anti_alias,
                          .attention = c.attention,
                          .squeeze = {}});

    if (const int wide = head_channels(c, round); wide > 0) {
      conv_head_ = add("conv_head", Conv2d(features, wide, 1, {.padding = c.padding}));
      bn2_ = add("bn2", norm_act2d(norm, wide, c.act));
      features = wide;
    }
    if (!c.pruned.empty()) features = prune(c.pruned);
    classifier("classifier", features);
    init_like_tensorflow(*this);
  }

  Tensor forward_features(const Tensor& image) override {
    const Reached r = run_trunk(image);
    return r.enough ? r.x : bn2_(conv_head_(r.x));
  }

  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    std::vector<LayerGroup> rows = EfficientNetTrunk::group_matcher(coarse);
    for (const char* head : {"^conv_head", "^bn2"})
      rows.push_back({.group = 1, .pattern = head, .joins_previous = true});
    return rows;
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {}, .convs = {"conv_head", "bn2"}}; }

 private:
  static int head_channels(const Cfg& c, const ChannelRounding& round) {
    if (c.features == 0 || c.head == Head::fixed) return c.features;
    return c.head == Head::scaled ? round(c.features) : std::max(c.features, round(c.features));
  }

  // Narrows every convolution and the norm behind it; depthwise ones follow what they are given. Returns the channels
  // at the end.
  int prune(std::string_view channels) {
    int in = conv_stem_->in_channels(), out = in;
    visit([&](const std::string& path, Module& m) {
      if (auto* conv = dynamic_cast<Conv2d*>(&m)) {
        in = path == "conv_stem" ? in : out;
        const auto [end, error] = std::from_chars(channels.data(), channels.data() + channels.size(), out);
        if (error != std::errc() || out < 1)
          throw Error(Error::Kind::argument, str_cat("the list of pruned channels has no number for ", path));
        channels.remove_prefix(static_cast<size_t>(end - channels.data()));
        channels.remove_prefix(std::min(channels.size(), channels.find_first_not_of(' ')));
        conv->resize(in, out);
      } else if (auto* norm = dynamic_cast<BatchNorm2d*>(&m)) {
        norm->resize(out);
      }
    });
    return out;
  }

  Maybe<Module> conv_head_, bn2_;
};

// Names of the efficientnet_pytorch packages and of those for the lite nets. The first stage has no expansion, so its
// blocks begin one norm later.
constexpr Rename kUnderscored[] = {
    {"^_conv_stem", "conv_stem"},
    {"^_bn0", "bn1"},
    {"^_conv_head", "conv_head"},
    {"^_bn1", "bn2"},
    {"^_fc", "classifier"},
    {"^blocks.0.#._depthwise_conv", "blocks.0.$1.conv_dw"},
    {"^blocks.0.#._bn1", "blocks.0.$1.bn1"},
    {"^blocks.0.#._project_conv", "blocks.0.$1.conv_pw"},
    {"^blocks.0.#._bn2", "blocks.0.$1.bn2"},
    {"_expand_conv", "conv_pw"},
    {"_bn0", "bn1"},
    {"_depthwise_conv", "conv_dw"},
    {"_bn1", "bn2"},
    {"_project_conv", "conv_pwl"},
    {"_bn2", "bn3"},
    {"_se_reduce", "se.conv_reduce"},
    {"_se_expand", "se.conv_expand"},
};

StateDict adapt(ImageModel& model, StateDict weights) {
  if (!weights.contains("_conv_stem.weight")) return weights;
  std::vector<int> depths;
  for (const auto& stage : model.find("blocks")->children())
    depths.push_back(static_cast<int>(stage->children().size()));
  return rename(renumber_blocks(weights, "_blocks.", "blocks.", depths), kUnderscored);
}

#include "zoo/families/efficientnet_variants.inc"

}  // namespace

FOVEA_FAMILY(efficientnet, EfficientNet, variants, .accepts = {.output_stride = true}, .adapt = adapt)
}  // namespace fovea::zoo::efficientnet
