// SPDX-License-Identifier: Apache-2.0
// train/together.h — what processes that train one model make alike: slots, statistics of batch norms, and what they
// say of images.
#pragma once
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "engine/core/peers.h"
#include "engine/graph/trace.h"

namespace fovea::train {

/// Everybody's slots become those of rank 0. They are the same slots everywhere, of the same shapes.
void share(Peers& all, const std::vector<Slot>& slots);

/// Those that batch norms follow while they train, by their names: "bn1.running_mean", also below "ema.".
std::vector<Slot> statistics(const std::vector<Slot>& slots);
/// Means and variances become their means over the processes, timm's --dist-bn reduce.
void average_statistics(Peers& all, const std::vector<Slot>& slots);

/// Samples and why they could not be read, of all processes, on rank 0; elsewhere those that are given.
std::map<size_t, std::string> gathered(Peers& all, const std::map<size_t, std::string>& bad);

}  // namespace fovea::train
