// SPDX-License-Identifier: Apache-2.0
#include "bench/loader.h"

#include <algorithm>

#include "bench/progress.h"

namespace fovea::bench {

LoaderClock::Time LoaderClock::run(int64_t images) {
  Time t;
  const double began = now();
  while (t.images < images) {
    if (epoch_ < 0 || !loader_.next(batch_)) {
      loader_.begin(++epoch_);
      continue;
    }
    t.images += static_cast<int64_t>(batch_.samples.size());
  }
  t.seconds = now() - began;
  return t;
}

double median_rate(std::vector<LoaderClock::Time> times) {
  std::ranges::sort(times, {}, &LoaderClock::Time::rate);
  const size_t n = times.size();
  return n % 2 ? times[n / 2].rate() : (times[n / 2 - 1].rate() + times[n / 2].rate()) / 2;
}

}  // namespace fovea::bench
