// SPDX-License-Identifier: Apache-2.0
// bench/loops.h — loops that do nothing but multiply, and nothing but move bytes: what a processor can do at most.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/core/types.h"

namespace fovea::bench {

/// Multiply-adds that live in registers, in one instruction set.
struct Loop {
  const char* name;                                // "avx512", "amx"
  DType dtype;                                     // of the factors
  double flops;                                    // of one round; two a multiply-add
  bool (*supported)();
  float (*run)(int64_t rounds);                    // returns what it computed, so that it must compute
};
/// All that were built in.
std::span<const Loop> known_loops();
/// Those that this processor has; of one type, the widest comes last.
std::span<const Loop* const> supported_loops();

/// Reads every byte once; `bytes` is a multiple of 256, `data` aligned to 64.
uint64_t read_all(const std::byte* data, size_t bytes);

}  // namespace fovea::bench
