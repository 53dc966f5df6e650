// SPDX-License-Identifier: Apache-2.0
// data/transpose.h — rows and columns of bytes swapped, so that loops which go along one of them run along memory.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fovea::data {

/// to[i * to_pitch + r] = from[r * from_pitch + i]
void transpose(const uint8_t* from, size_t from_pitch, size_t rows, size_t columns, uint8_t* to, size_t to_pitch);

}  // namespace fovea::data
