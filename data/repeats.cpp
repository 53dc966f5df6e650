// SPDX-License-Identifier: Apache-2.0
#include "data/repeats.h"

#include <cmath>

#include "engine/core/error.h"

namespace fovea::data {

int64_t repeated_samples(int64_t images) { return images >= 256 ? images / 256 * 256 : images; }

std::vector<size_t> repeated(std::span<const size_t> order, double times) {
  if (!(times >= 1 && times <= 1000))
    throw Error(Error::Kind::argument, str_cat("images are repeated ", times, " times"), "from 1 to 1000 times");
  std::vector<size_t> out(static_cast<size_t>(repeated_samples(static_cast<int64_t>(order.size()))));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = order[static_cast<size_t>(std::floor(static_cast<double>(i) / times))];
  return out;
}

}  // namespace fovea::data
