// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/staged_model.h — StagedModel: a stem and four stages, a norm in front of the pooling or behind it, and a
// classifier; and the strides of such stages.
#pragma once
#include <span>

#include "zoo/blocks/chained.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/blocks/stages.h"

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

/// What shrinks the map, where something does, and blocks.
struct ShrinkingStage : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

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
  /// Behind the stem: a Stage(cfg, place, drop_path) for each place, together the child `name`; each ends a
  /// level.
  /// `drop_path_rate` is what stochastic depth grows to where nobody asks for another rate.
  template <class Stage, class Cfg>
  void add_stages(const Cfg& c, const std::vector<StagePlace>& places, const ModelOptions& o,
                  std::string_view name = "stages", float drop_path_rate = 0) {
    int depth = 0;
    for (const StagePlace& p : places) depth += p.depth;
    DropPathRamp drop_path(o, depth, drop_path_rate);
    Sequential stages;
    for (const StagePlace& p : places) stages.add(Stage(c, p, drop_path));
    add(name, std::move(stages));
    stem_and_stages(name);
  }
  /// The children of `name`, of which those with these numbers end levels.
  void stages_are(std::string_view name, const std::vector<int>& levels);
  /// Ends the constructor.
  void staged_head(int channels, const StagedHead& h = {});
  AfterLevels after_levels() const override;
  Tensor final_norm(const Tap& tapped) override;
  Level stem_level_ = Level::no;  // whether what the stem gives ends a feature level
  std::string_view stem_name_ = "stem";

 private:
  void stem_and_stages(std::string_view name);
  std::string stages_, last_level_;
  Maybe<Module> norm_;
};

}  // namespace fovea::zoo
