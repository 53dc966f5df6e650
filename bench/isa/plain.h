// SPDX-License-Identifier: Apache-2.0
// bench/isa/plain.h — the loops of bench/loops.h that any processor runs.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fovea::bench {

// Sums stay finite for ever: each tends to add / (1 - multiply).
constexpr float kMultiply = 0.9990234375f, kAdd = 0.0009765625f;

inline bool always() { return true; }

/// Without fused multiply-adds, products and sums are separate instructions: half the chains are made of either.
float plain_f32(int64_t rounds);
constexpr double kPlainFlops = 12 * 4;             // of one round

/// As read_all().
uint64_t plain_read(const std::byte* data, size_t bytes);

}  // namespace fovea::bench
