// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/efficientnet_trunk.h — EfficientNetTrunk: the stem and the stages with which EfficientNet and MobileNet
// begin.
#pragma once
#include <string_view>
#include <vector>

#include "zoo/blocks/efficientnet_builder.h"
#include "zoo/image_model.h"

namespace fovea::zoo {

/// "conv_stem", "bn1" (or one module of both) and "blocks"; what follows them is the derived model's.
class EfficientNetTrunk : public ImageModel {
 public:
  std::vector<LayerGroup> group_matcher(bool coarse) const override;

 protected:
  explicit EfficientNetTrunk(const ModelOptions& o) : ImageModel(o) {}
  struct Stem {
    int channels, kernel = 3;
    bool one_module = false, bias = false;  // of the convolution
  };
  /// The style's output stride and drop-path rate are taken from the options. Returns the channels of the last stage.
  int trunk(const ModelOptions& o, const Stem& stem, std::vector<StageArgs> stages, StageStyle style);
  struct Reached {
    Tensor x;
    bool enough = false;  // nobody needs what lies behind
  };
  /// With `each`: of the stem and of each stage what it gives.
  Reached run_trunk(const Tensor& image, std::vector<Tensor>* each = nullptr);

  Ref<Conv2d> conv_stem_;

 private:
  Ref<Module> stem_;
  Maybe<Module> bn1_;
  Ref<Sequential> blocks_;
  std::vector<bool> taps_;
};

}  // namespace fovea::zoo
