// SPDX-License-Identifier: Apache-2.0
// engine/core/checksum.h — a fast 64-bit number that tells bytes apart: for files that might be damaged or exchanged,
// not against those who forge.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace fovea {

/// The same on every machine and for any number of threads. Bytes that differ within one aligned word always differ.
uint64_t checksum(std::span<const std::byte> bytes, uint64_t seed = 0);

}  // namespace fovea
