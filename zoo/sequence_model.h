// SPDX-License-Identifier: Apache-2.0
// zoo/sequence_model.h — the interface of models that read images as sequences of patches.
#pragma once
#include "engine/core/tensor.h"
#include "nn/layers/conv.h"

namespace fovea::zoo {

/// Images of several sizes as one batch of patches; padding is not valid.
struct PatchSequence {
  Tensor patches;  // [N, L, height * width * channels], or with these as dimensions of their own
  Tensor coords;   // [N, L, 2]: row and column
  Tensor valid;    // bool [N, L]
};

/// Models that take such sequences, where takes_sequences() says so.
class SequenceModel {
 public:
  virtual bool takes_sequences() const = 0;
  virtual Size2 sequence_patch() const = 0;
  virtual bool sequence_channels_last() const { return true; }  // a patch is rows of pixels; else channel by channel
  virtual Tensor sequence_features(const PatchSequence& s) = 0;
  virtual Tensor sequence_head(const Tensor& features, const Tensor& valid, bool pre_logits = false) = 0;

 protected:
  ~SequenceModel() = default;
};

}  // namespace fovea::zoo
