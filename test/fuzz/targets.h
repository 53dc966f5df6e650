// SPDX-License-Identifier: Apache-2.0
// test/fuzz/targets.h — what reads bytes that nobody vouches for, each as a function of these bytes alone.
#pragma once
#include <span>

#include "weights_tools/bytes.h"

namespace fovea::test {

struct FuzzTarget {
  const char* name;
  void (*run)(Bytes content);  // whatever comes out but an Error of bad input is a finding
};
std::span<const FuzzTarget> fuzz_targets();

}  // namespace fovea::test
