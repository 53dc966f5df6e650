// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/arrange/transpose.h — batches of matrices turned over: how images change between contiguous and
// channels-last.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fovea::kernels::cpu {

/// to[batch][column][row] = from[batch][row][column] for elements of 1, 2, 4 or 8 bytes. Steps in elements.
struct Transpose {
  int64_t batch, rows, columns;
  int64_t from_batch, from_row, to_batch, to_column;
};
void transpose(const Transpose& t, size_t element, const std::byte* from, std::byte* to);

/// Images [batch][channels][places] to [batch][places][channels], and back.
void to_channels_last(int64_t batch, int64_t channels, int64_t places, const float* from, float* to);
void to_contiguous(int64_t batch, int64_t channels, int64_t places, const float* from, float* to);

}  // namespace fovea::kernels::cpu
