// SPDX-License-Identifier: Apache-2.0
// engine/graph/calibration.h — what values of a graph were seen to be like, so that they can be quantised.
#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/graph/session.h"

namespace fovea {

/// One value of the graph, over all images that were looked at.
struct Observed {
  float lo = 0, hi = 0;                            // what u8 shall cover: outliers may lie outside
  std::vector<float> mean;                         // of each channel
};

/// By the names of value_names().
struct Calibration {
  std::map<std::string, Observed> values;
};

/// A name for every value that stays the same when the graph is traced again, for another batch size, too:
/// "layer1.0.conv1:conv". Constants have none.
std::vector<std::string> value_names(const Graph& g);

/// Runs the graph as it would be before quantisation and watches what convolutions and products read and give.
class Calibrator {
 public:
  explicit Calibrator(Graph traced, const Target& t = {});
  ~Calibrator();
  Calibrator(const Calibrator&) = delete;
  Calibrator& operator=(const Calibrator&) = delete;

  /// Inputs as Session::run() wants them. The more images (batches count as one), the better the ranges: hundreds.
  void observe(std::span<const Tensor> in);
  void observe(const Tensor& in) { observe(std::span(&in, 1)); }
  /// Ranges that make the squared error of quantised values smallest. Throws Error(argument) when nothing was observed.
  Calibration result() const;

 private:
  struct Watch;
  Session session_;
  std::vector<Watch> watches_;
};

}  // namespace fovea
