// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/resize/taps.h — which elements of a dimension a result is made of, and how much of each.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/ops/attrs.h"

namespace fovea::kernels::cpu {

struct Tap {
  int64_t at;
  float weight;
};

/// One list of taps for each place of a result.
class Taps {
 public:
  void begin() { ends_.push_back(taps_.size()); }  // the next place, which has no taps yet
  void add(int64_t at, double weight) {
    taps_.push_back({at, static_cast<float>(weight)});
    ends_.back() = taps_.size();
  }
  int64_t places() const { return static_cast<int64_t>(ends_.size()); }
  std::span<const Tap> of(int64_t place) const {
    const auto i = static_cast<size_t>(place);
    const size_t first = i ? ends_[i - 1] : 0;
    return {taps_.data() + first, ends_[i] - first};
  }

 private:
  std::vector<size_t> ends_;
  std::vector<Tap> taps_;
};

/// What goes to each of `size` elements from the places that read it: the taps of the adjoint, in the order of places.
Taps turned(const Taps& t, int64_t size);

/// Of `out` places along a dimension of `size` elements. Coordinates and kernels are PyTorch's: of
/// torch.nn.functional.interpolate, for `given` the scale that the caller named (0: none).
Taps interpolation_taps(const InterpolateAttrs& a, int64_t size, int64_t out, double given);

}  // namespace fovea::kernels::cpu
