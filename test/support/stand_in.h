// SPDX-License-Identifier: Apache-2.0
// test/support/stand_in.h — a far device that computes with kernels/cuda, whose bodies the host runs: a GPU's stand-in.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "engine/core/types.h"

namespace fovea::test {

/// far:2. Its plans are those of kernels/cuda, and `ref`'s where that has none; order, addresses and memory are those
/// of far devices.
constexpr Device stand_in() { return {Device::Kind::far, 2}; }

/// Adds it once; called by whoever uses it.
void add_stand_in();

struct StandInWork {
  int64_t launches = 0;                            // of kernels/cuda
  std::map<std::string, int64_t> planned, lacking; // ops by name: plans of kernels/cuda, plans of ref
};
StandInWork stand_in_work();

/// While alive, launches run in orders that this seed decides; without one, in those of seed 0.
class UseSchedule {
 public:
  explicit UseSchedule(uint64_t seed);
  ~UseSchedule();
  UseSchedule(const UseSchedule&) = delete;
  UseSchedule& operator=(const UseSchedule&) = delete;
};

}  // namespace fovea::test
