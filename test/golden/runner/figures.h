// SPDX-License-Identifier: Apache-2.0
// test/golden/runner/figures.h — one recorded figure of a tensor (shape, mean, std, absmax, samples) against what fovea
// computed.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "engine/core/tensor.h"

namespace fovea::golden {

/// Empty when `t` agrees with `figure` within `tol` (relative to the recorded absmax), else what differs most and by
/// how much. `most` is raised to the largest difference.
std::string compare(const std::string& what, const nlohmann::json& figure, const Tensor& t, double tol,
                    double* most = nullptr);
/// A single figure, or a list of figures against as many tensors.
std::string compare_all(const std::string& what, const nlohmann::json& figures, const Tensors& ts, double tol,
                        double* most = nullptr);
/// The largest |a - b| over all elements, relative to the largest |b|; infinite where a number is not finite.
double largest_difference(const Tensor& a, const Tensor& b);

}  // namespace fovea::golden
