// SPDX-License-Identifier: Apache-2.0
// zoo/sequence_model.h — the interface of models that read images as sequences of patches.
#pragma once
#include "engine/core/tensor.h"
#include "nn/layers/conv.h"

namespace fovea::zoo {

class ImageModel;

/// Images of several sizes as one batch of patches; padding is not valid.
struct PatchSequence {
  Tensor patches;  // [N, L, height * width * channels], or with these as dimensions of their own, in the model's order
  Tensor coords;   // [N, L, 2]: row and column
  Tensor valid;    // bool [N, L]
};

/// Tokens of such a batch [N, tokens, C], prefix first, and which of its patches are valid, bool [N, patches]. While
/// training there may be fewer of them than came in.
struct SequenceFeatures {
  Tensor tokens, valid;
};

/// Models that take such sequences, where takes_sequences() says so.
class SequenceModel {
 public:
  virtual bool takes_sequences() const = 0;
  virtual Size2 sequence_patch() const = 0;
  virtual bool sequence_channels_last() const { return true; }  // a patch is rows of pixels; else channel by channel
  /// Whether patches of this size will do, which then have dimensions of their own: [N, L, height, width, channels].
  virtual bool takes_patches_of(Size2 size) const { return size == sequence_patch(); }
  virtual SequenceFeatures sequence_features(const PatchSequence& s) = 0;
  virtual Tensor sequence_head(const SequenceFeatures& f, bool pre_logits = false) = 0;

 protected:
  ~SequenceModel() = default;
};

/// Of the model, which takes sequences or is refused with an Error(unsupported).
SequenceModel& sequences_of(ImageModel& model);

}  // namespace fovea::zoo
