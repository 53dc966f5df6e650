// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/stages.h — what changes from stage to stage and block to block: strides or dilation, and the share of
// dropped paths.
#pragma once
#include <span>

#include "zoo/model_options.h"

namespace fovea::zoo {

/// Hands out the strides of stages; behind the wanted output stride they become dilation instead.
struct Dilator {
  int reached = 1;                                 // image size / map size so far
  int limit = 32;                                  // the output stride
  int dilation = 1;

  struct Step {
    int stride{}, first_dilation{}, dilation{};    // the first block still has the dilation of the stage before
  };
  Step next(int stride);
};

/// Stochastic depth grows linearly over the blocks, from 0 at the first to the rate at the last.
class DropPathRamp {
 public:
  DropPathRamp(double rate, int blocks) : step_(blocks > 1 ? rate / (blocks - 1) : 0) {}
  /// At the rate that the caller wants; `usual`: where it wants none in particular.
  DropPathRamp(const ModelOptions& o, int blocks, float usual = 0)
      : DropPathRamp(static_cast<double>(o.drop_path_rate.value_or(usual)), blocks) {}
  /// `depths`: the blocks of each stage.
  DropPathRamp(const ModelOptions& o, std::span<const int> depths, float usual = 0);
  double next() { return step_ * at_++; }

 private:
  double step_;
  int at_ = 0;
};

}  // namespace fovea::zoo
