// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_weights.h — published weights of Vision Transformers, from whatever code base, as a Vit calls them.
#pragma once
#include "engine/core/state_dict.h"
#include "nn/layers/pos_embed.h"
#include "zoo/image_model.h"

namespace fovea::zoo {

class Vit;

/// Family::adapt of the ViT families: knows OpenAI's CLIP, OpenCLIP, DINOv2, TIPS v2, BEiT-3, AIM v2, RADIO and the
/// archives of the JAX code, and resamples position embeddings and patch kernels. `model` is a Vit.
StateDict adapt_vit(ImageModel& model, StateDict weights);

/// Position embeddings and patch kernels, called as a Vit calls them, for its grid and its patches.
void fit_to_patches(const Vit& vit, StateDict& weights, const ResampleOptions& how = {});

/// The same called as a Vit with use_naflex calls them, where names are not yet.
StateDict for_sequences(const Vit& vit, const StateDict& weights);

/// Arrays of big_vision and of the original JAX code; other dicts come back as they are.
StateDict from_jax_vit(const StateDict& weights, int blocks);

}  // namespace fovea::zoo
