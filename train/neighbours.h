// SPDX-License-Identifier: Apache-2.0
// train/neighbours.h — the classifier that learns nothing: an image is what the most similar known images are.
#pragma once
#include <cstdint>
#include <span>

#include "engine/core/tensor.h"

namespace fovea::train {

struct NeighbourOptions {
  int64_t k = 20;
  double temperature = 0.07;                       // neighbours count by exp(cosine / temperature)
  bool leave_one_out = false;                      // queries are the known images, and none is its own neighbour
};

/// The votes of the k nearest rows by the cosine of the angle between features, https://arxiv.org/abs/1805.01978.
/// Known f32[N, D] with N labels below `classes`, queries f32[Q, D] -> f32[Q, classes], sums to 1. Throws
/// Error(argument) for fewer rows than k.
Tensor neighbour_votes(const Tensor& known, std::span<const int64_t> labels, const Tensor& queries, int64_t classes,
                       const NeighbourOptions& o = {});

}  // namespace fovea::train
