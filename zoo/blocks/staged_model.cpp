// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/staged_model.cpp — stages in a row and what follows them.
#include "zoo/blocks/staged_model.h"

#include "zoo/blocks/stage_groups.h"

namespace fovea::zoo {

std::vector<StagePlace> stage_places(std::span<const int> depths, std::span<const int> dims, int stem_stride,
                                     int output_stride) {
  std::vector<StagePlace> places;
  Dilator strides{.reached = stem_stride, .limit = output_stride};
  for (size_t i = 0; i < depths.size(); ++i) {
    const Dilator::Step step = strides.next(i > 0 || stem_stride == 2 ? 2 : 1);
    places.push_back({.stage = i,
                      .in = dims[i > 0 ? i - 1 : 0],
                      .out = dims[i],
                      .depth = depths[i],
                      .stride = step.stride,
                      .first_dilation = step.dilation > 2 ? 2 : 1,
                      .dilation = step.dilation});
  }
  return places;
}

void StagedModel::stem_and_stages(std::string_view name) {
  stem(std::string(stem_name_), stem_level_);
  std::vector<int> levels;
  for (size_t i = 0; i < find(name)->children().size(); ++i) levels.push_back(static_cast<int>(i));
  stages_are(name, levels);
}

void StagedModel::stages_are(std::string_view name, const std::vector<int>& levels) {
  stages_ = name;
  parts(stages_, levels);
  last_level_ = str_cat(name, '.', levels.back());
}

void StagedModel::staged_head(int channels, const StagedHead& h) {
  if (h.norm_first) {
    norm_ = add(h.norm_name, norm2d(h.norm, channels));
    stem(std::string(h.norm_name));
    head(channels);
    return;
  }
  const NormMlpHeadOptions options{.pool = wanted_pool("avg"),
                                   .drop_rate = static_cast<double>(drop_rate_),
                                   .hidden = h.hidden,
                                   .act = h.act,
                                   .norm = h.norm};
  head(channels, std::make_unique<NormMlpClassifierHead>(channels, num_classes_, options));
}

AfterLevels StagedModel::after_levels() const {
  if (!norm_) return {};
  return {.norms = {norm_->name()}, .convs = {}};
}

Tensor StagedModel::final_norm(const Tap& tapped) {
  return tapped.module == last_level_ ? norm_(tapped.value) : tapped.value;
}

std::vector<LayerGroup> StagedModel::group_matcher(bool coarse) const {
  return stage_groups(stages_, norm_ ? std::string_view(norm_->name()) : std::string_view(), coarse, stem_name_);
}

}  // namespace fovea::zoo
