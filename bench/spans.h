// SPDX-License-Identifier: Apache-2.0
// bench/spans.h — a profiled run as stretches of time: its modules one inside the other, and the memory in use.
#pragma once
#include <vector>

#include "bench/result.h"

namespace fovea::bench {

/// Neighbouring steps of one module.
struct Span {
  std::string name;                                // "layer1.0"
  size_t depth = 0;                                // 0: an outermost module
  size_t first = 0, last = 0;                      // steps, both included
};
/// Outer modules stand in front of those inside them.
std::vector<Span> module_spans(const Result& r);

/// When each step begins, in seconds from the first; one more for the end of the last.
std::vector<double> boundaries(const Result& r);
/// During each step.
std::vector<int64_t> bytes_in_use(const Result& r);

}  // namespace fovea::bench
