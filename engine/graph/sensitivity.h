// SPDX-License-Identifier: Apache-2.0
// engine/graph/sensitivity.h — what integers cost in accuracy, value by value, and which values had better stay in f32.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/graph/calibration.h"

namespace fovea {

/// What follows when only those convolutions and products become integers that read one value.
struct Sensitivity {
  std::string value;                               // a name of the calibration
  double error = 0;                                // mean squared difference of the results from those of f32
  double work = 0;                                 // multiply-adds, and what moving elements takes in terms of them
};

/// Compiles once for each calibrated value, and runs that on all inputs. `shown` hears how many of how many are done.
std::vector<Sensitivity> sensitivities(const Graph& traced, const Target& t, const Calibration& c,
                                       std::span<const Tensor> inputs,
                                       const std::function<void(size_t, size_t)>& shown = {});

/// Leaves out the values with the most error for their work, until the next one would bring the work that stays in f32
/// above `share` of all.
Calibration spare_most_sensitive(Calibration c, std::vector<Sensitivity> s, double share);

}  // namespace fovea
