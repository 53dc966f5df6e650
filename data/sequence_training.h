// SPDX-License-Identifier: Apache-2.0
// data/sequence_training.h — what images go through on their way into training as sequences of patches: crops that
// keep the shape, mixtures of images of several sizes, and patches that are erased. https://arxiv.org/abs/2307.06304
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/augment.h"
#include "data/mix.h"
#include "data/sequence.h"

namespace fovea::data {

/// The pixels of an image of this size that sequence_view() looks at with this key.
Part sequence_part(int width, int height, const TrainConfig& config, const SequenceLimits& limits, uint64_t key);
/// f32[1, C, H, W], normalised, both edges whole patches and no more of these than `limits` says: a random part,
/// mirrored and in other colours, as `config` says. Nothing is erased. Of `config` it takes no crop but `rrc`, whose
/// shapes are relative to the image's. Without `augment` all of the image is resized.
Tensor sequence_view(const Image& image, const TrainConfig& config, const SequenceLimits& limits, uint64_t key);

/// Images f32[1, C, H, W] of any sizes, mixed in place, each with one whose shape is near its own, where the middles of
/// both overlap; the last one of an odd number stays. Targets as of mix(): f32[N, classes], in the shares of pixels.
/// `mode`, `cutmix_minmax` and `off_epoch` do not count. Drawn and added up as timm's data/naflex_mixup.py does.
/// Throws Error for configurations and batches that cannot be mixed.
Tensor mix_sequences(std::span<Tensor> images, const Tensor& targets, const MixConfig& config, Chance& chance,
                     bool on = true);

/// How the values of a patch lie.
struct PatchLayout {
  int channels = 3;
  bool channels_last = true;
};
/// Rectangles of patches of a batch f32[N, L, values], of which only valid ones count; the first `spared` sequences
/// stay as they are. Each rectangle has 2 to 33 % of the image's patches, from 3 : 10 to 10 : 3. Drawn as timm's
/// data/naflex_random_erasing.py does in its mode "region".
void erase_patches(SequenceBatch& batch, const Erasing& how, const PatchLayout& layout, Chance& chance,
                   int64_t spared = 0);

}  // namespace fovea::data
