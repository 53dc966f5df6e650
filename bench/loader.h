// SPDX-License-Identifier: Apache-2.0
// bench/loader.h — how fast images become batches.
#pragma once
#include <cstdint>
#include <vector>

#include "data/loader.h"

namespace fovea::bench {

/// Seconds for at least so many images, in whole batches; epoch after epoch, from the first batch on.
class LoaderClock {
 public:
  explicit LoaderClock(data::Loader& loader) : loader_(loader) {}
  struct Time {
    int64_t images = 0;
    double seconds = 0;
    double rate() const { return static_cast<double>(images) / seconds; }
  };
  Time run(int64_t images);

 private:
  data::Loader& loader_;
  data::Batch batch_;
  int64_t epoch_ = -1;                             // none is under way
};

/// The median of the rates, in images a second.
double median_rate(std::vector<LoaderClock::Time> times);

}  // namespace fovea::bench
