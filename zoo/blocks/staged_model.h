// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/staged_model.h — StagedModel: a stem and four stages, a norm in front of the pooling or behind it, and a
// classifier; and the strides of such stages.
#pragma once
#include <span>

#include "zoo/blocks/chained.h"
#include "zoo/blocks/headed_model.h"

namespace fovea::zoo {

/// Where a stage stands among the others.
struct StagePlace {
  size_t stage = 0;
  int in = 0, out = 0, depth = 1;
  int stride = 1;
  int first_dilation = 1, dilation = 1;  // of the convolution that begins the stage; of its blocks
  bool halves() const { return stride > 1 || first_dilation != dilation; }
};
/// Stages that halve the map, but for the first behind a stem of stride 4. Behind the output stride dilation stands for
/// it.
std::vector<StagePlace> stage_places(std::span<const int> depths, std::span<const int> dims, int stem_stride = 4,
                                     int output_stride = 32);

struct StagedHead {
  NormSpec norm{.kind = NormSpec::Kind::layer, .eps = 1e-6};
  bool norm_first = false;  // in front of the pooling, as a child of the model; else behind it, in the head
  std::string_view norm_name = "norm_pre";
  int hidden = 0;  // of a layer in front of the classifier; 0: there is none
  Act act = act::tanh;
};

class StagedModel : public Chained<HeadedModel> {
 public:
  std::vector<LayerGroup> group_matcher(bool coarse) const override;

 protected:
  explicit StagedModel(const ModelOptions& o) : Chained(o) {}
  /// "stem", and the children of `name`, each of which ends a level.
  void stem_and_stages(std::string_view name = "stages");
  /// The children of `name`, of which those with these numbers end levels.
  void stages_are(std::string_view name, const std::vector<int>& levels);
  /// Ends the constructor.
  void staged_head(int channels, const StagedHead& h = {});
  AfterLevels after_levels() const override;
  Tensor final_norm(const Tap& tapped) override;

 private:
  std::string stages_, last_level_;
  Maybe<Module> norm_;
};

}  // namespace fovea::zoo
