// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/efficientnet_trunk.cpp — building and running the stem and the stages, level by level.
#include "zoo/blocks/efficientnet_trunk.h"

namespace fovea::zoo {

int EfficientNetTrunk::trunk(const ModelOptions& o, const Stem& stem, std::vector<StageArgs> stages, StageStyle style) {
  const int in = o.in_chans.value_or(3);
  const Conv2dOptions conv{.stride = 2, .padding = style.padding, .bias = stem.bias};
  if (stem.one_module) {
    const ConvNormActOptions both{.conv = conv, .norm = style.norm, .act = style.act};
    const Ref<ConvNormAct> one = add("conv_stem", ConvNormAct(in, stem.channels, stem.kernel, both));
    stem_ = one;
    conv_stem_ = one->conv;
  } else {
    stem_ = conv_stem_ = add("conv_stem", Conv2d(in, stem.channels, stem.kernel, conv));
    bn1_ = add("bn1", norm_act2d(style.norm, stem.channels, style.act));
  }
  style.output_stride = o.output_stride.value_or(32);
  style.drop_path_rate = static_cast<double>(o.drop_path_rate.value_or(0.0f));
  Stages built = build_stages(stem.channels, std::move(stages), style);
  taps_ = std::move(built.taps);
  blocks_ = add("blocks", std::move(built.blocks));
  return built.out;
}

EfficientNetTrunk::Reached EfficientNetTrunk::run_trunk(const Tensor& image, std::vector<Tensor>* each) {
  Tensor x = bn1_(stem_(image));
  if (each) each->push_back(x);
  if (taps_[0] && (tap("bn1", x, TapKind::expansion) || tap("bn1", x))) return {x, true};
  const auto& stages = blocks_->children();
  for (size_t i = 0; i < stages.size(); ++i) {
    {
      const Scope scope("blocks");
      x = run(*stages[i], x);
    }
    if (each) each->push_back(x);
    if (taps_[i + 1] && tap(str_cat("blocks.", i), x)) return {x, true};
  }
  return {x, false};
}

std::vector<LayerGroup> EfficientNetTrunk::group_matcher(bool coarse) const {
  return {{0, "^conv_stem"}, {0, "^bn1"}, {1, coarse ? "^blocks.#" : "^blocks.#.#"}};
}

}  // namespace fovea::zoo
