// SPDX-License-Identifier: Apache-2.0
// cli/curves.h — plots of a training: values over steps or epochs, and who is taken for whom.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "train/mistakes.h"

namespace fovea::cli {

struct Curve {
  std::string name, kind;                          // for the legend; a class of the page's colours
  std::vector<std::pair<double, double>> points{};
  bool faint = false;                              // single values, around which another curve lies
};

struct Axes {
  std::string x, y;                                // what they count
  bool logarithmic = false;                        // of y
};

/// Curves with a legend, as HTML; values that are not finite are left out. Says so where there is nothing to show yet.
std::string curve_plot(const std::vector<Curve>& curves, const Axes& axes);
/// A row a class that images are of, a column a class that they are taken for; with numbers where there is room.
std::string confusion_plot(const train::Mistakes& m, const std::vector<std::string>& classes);

/// The style of both, beside that of bench/page_parts.h.
extern const std::string_view kCurveStyle;

}  // namespace fovea::cli
