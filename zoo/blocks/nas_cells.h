// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/nas_cells.h — what cells of networks that were found by search are made of: separable branches, pooling
// that keeps or halves the map, paths over every other pixel.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/joint.h"
#include "nn/layers/conv.h"
#include "zoo/image_model.h"

namespace fovea::zoo {

/// ReLU, a 1x1 convolution and a norm, as "act", "conv" and "bn".
class ActConvBn final : public Module {
 public:
  ActConvBn(int in, int out, int stride = 1);
  Tensor forward(const Tensor& x) override;

 private:
  Ref<Module> act_, conv_, bn_;
};

/// Twice ReLU, a depthwise and a pointwise convolution and a norm; the first changes size and channels.
class BranchSeparables final : public Module {
 public:
  BranchSeparables(int in, int out, int kernel, int stride = 1, const Padding& padding = Padding::Kind::same);
  Tensor forward(const Tensor& x) override;

 private:
  Ref<Module> act_1_, separable_1_, bn_sep_1_, act_2_, separable_2_, bn_sep_2_;
};

/// 3x3 windows. Where the stride is 2, TensorFlow's zeros count in a mean.
std::unique_ptr<Module> nas_max_pool(int stride, const Padding& padding);
std::unique_ptr<Module> nas_avg_pool(int stride, const Padding& padding);

/// A half of the channels from every other pixel; `shifted`: from those between them.
Sequential every_other_pixel(int in, int out, bool shifted);

struct AfterCell {
  std::string level{};        // what takes the cell's value after a ReLU, which ends a level
  bool keeps_before = false;  // the next cell sees the same value before the last one
};

/// A convolution and a chain of cells, each of which takes the last value and the one before it.
class CellNet : public ImageModel {
 public:
  Tensor forward_features(const Tensor& image) override;

 protected:
  explicit CellNet(const ModelOptions& o) : ImageModel(o) {}
  void stem(std::string_view name, int in, int out);  // halves the image
  void cell(const Ref<Joint>& cell, AfterCell after = {}) { steps_.push_back({cell, std::move(after)}); }
  void end(int channels);  // "act" and "last_linear"
  AfterLevels after_levels() const override { return {.norms = {}, .convs = {}, .beside = {"conv_prev_1x1"}}; }

 private:
  struct Step {
    Ref<Joint> cell;
    AfterCell after;
  };
  Ref<Module> stem_, act_;
  std::vector<Step> steps_;
};

}  // namespace fovea::zoo
