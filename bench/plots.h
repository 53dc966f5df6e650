// SPDX-License-Identifier: Apache-2.0
// bench/plots.h — the plots of the page, as SVG elements, each in a wide and a narrow form.
#pragma once
#include <string>
#include <string_view>

#include "bench/compare.h"
#include "bench/result.h"

namespace fovea::bench {

/// How wide a plot is drawn, in units of its texts: pages show one form where there is room, the other on a phone.
struct Room {
  double width;
  bool narrow;
};
constexpr Room kWide{1180, false}, kHalf{580, false}, kNarrow{430, true};

// the time of each kernel, and what the roofline leaves of it
std::string kernel_plot(const Result& r, Room room);
std::string timeline_plot(const Result& r, Room room);     // modules and steps in order
std::string memory_plot(const Result& r, Room room);       // the arena over the same time
std::string histogram_plot(const Result& r, Room room);    // how often whole runs took how long
std::string roofline_plot(const Result& r, const Machine& m, Room room);   // products: FLOP a byte, FLOP a second
std::string bandwidth_plot(const Result& r, const Machine& m, Room room);  // all steps: bytes, bytes a second
/// Models as points: multiply-adds of an image, images a second.
std::string speed_plot(const std::vector<Result>& results, Room room);
/// Steps as points: their time before and now; what lies on the diagonal takes as long as it did.
std::string change_plot(const Comparison& c, Room room);
/// The steps whose time changed most, before and now.
std::string difference_plot(const Comparison& c, Room room);

/// What the tooltips say of a step.
std::string about(const StepTime& t);

}  // namespace fovea::bench
