// SPDX-License-Identifier: Apache-2.0
// bench/page.h — html_page(): results and comparisons as one page with plots that needs nothing else.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bench/compare.h"

namespace fovea::bench {

std::string html_page(const std::vector<Result>& results, const Machine& m, const std::string& version,
                      const std::vector<std::unique_ptr<Comparison>>& comparisons = {});

}  // namespace fovea::bench
