// SPDX-License-Identifier: Apache-2.0
// bench/google.h — results in the JSON of google-benchmark, whose tools (compare.py) then work on them.
#pragma once
#include <string>
#include <vector>

#include "bench/result.h"

namespace fovea::bench {

/// Every run that counts as a repetition of one iteration, then mean, median, standard deviation and its share of the
/// mean. Models that failed are left out.
std::string google_json(const std::vector<Result>& results, const Machine& m);

}  // namespace fovea::bench
