// SPDX-License-Identifier: Apache-2.0
// bench/scatter.h — Scatter: a plot with two logarithmic axes, whose labels keep clear of points and of one another.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/plots.h"
#include "bench/svg.h"

namespace fovea::bench {

class Scatter {
 public:
  /// Axes reach to the powers of ten around the values.
  Scatter(Room room, const std::vector<double>& xs, const std::vector<double>& ys, std::string_view x_name,
          std::string_view y_name);
  void point(double x, double y, double radius, std::string_view kind, std::string_view tip);
  /// Between two places in values; what lies outside the axes is cut off. Its label stands beside it where there is
  /// room, and is left out where there is none.
  void line(std::pair<double, double> from, std::pair<double, double> to, std::string_view kind,
            std::string_view label = {});
  void label(double x, double y, double radius, std::string_view text);      // beside a point
  /// The whole element: labels are placed now, when all points are known.
  std::string str(std::string_view name);

  const Axis& x() const { return x_; }
  const Axis& y() const { return y_; }

 private:
  struct Label {
    double x0, y0, x1, y1, radius;                 // along this line of the plot, so far from it
    std::string text;
  };
  void place(const Label& l);

  double high_;
  Svg svg_;
  Axis x_, y_;
  Taken taken_;
  std::vector<Label> labels_;
};

}  // namespace fovea::bench
