// SPDX-License-Identifier: Apache-2.0
// engine/graph/sensitivity.h — what integers cost in accuracy, value by value, and which values had better stay in f32.
#pragma once
#include <map>
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

/// Measures on a few inputs, as Session::run() wants them. Throws Error(argument) without any.
class SensitivityMeter {
 public:
  SensitivityMeter(Graph traced, const Target& t, std::vector<Tensor> inputs);
  /// Compiles the graph with this value calibrated alone and runs it on all inputs.
  Sensitivity measure(const std::string& value, const Observed& o) const;

 private:
  Graph traced_;
  Target target_;
  std::vector<Tensor> inputs_;
  std::vector<Tensors> wanted_;
  std::map<std::string, double> work_;             // of what reads each value
};

/// Leaves out values, those with the most error for their work first, until the next one would bring the work that
/// stays in f32 above `share` of all. `each`: of every value of c.
Calibration spare_most_sensitive(Calibration c, std::vector<Sensitivity> each, double share);

}  // namespace fovea
