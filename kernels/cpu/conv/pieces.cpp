// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv/pieces.h"

#include <algorithm>

namespace fovea::kernels::cpu {
namespace {

constexpr int64_t kPieces = 16;
constexpr int64_t kMostSums = 8;                   // of dense weights: each takes their room again
constexpr int64_t kOutputs = 16;                   // whole vectors of every instruction set
constexpr int64_t kRows = 4;                       // fewer cost more at their borders than a thread gains

int64_t pieces_for(int64_t shares, int64_t most) {
  return std::clamp<int64_t>((kPieces + shares - 1) / shares, 1, std::max<int64_t>(1, most));
}

// The rows of x that `rows` rows of gy from `row` on read, and what they see outside.
void set_rows(const ConvAttrs& a, int64_t size, int64_t kernel, int64_t row, int64_t rows, WeightPiece& p) {
  const int64_t first = row * a.stride[0] - a.pad_lo[0],
                end = first + (rows - 1) * a.stride[0] + a.dilation[0] * (kernel - 1) + 1;
  p.gy_row = row;
  p.gy_rows = rows;
  p.x_row = std::clamp<int64_t>(first, 0, size);
  p.x_rows = std::clamp<int64_t>(end, 0, size) - p.x_row;
  p.pad_lo = p.x_row - first;
  p.pad_hi = end - p.x_row - p.x_rows;
}

}  // namespace

std::vector<WeightPiece> weight_pieces(const ConvAttrs& a, const Meta& gy, const Meta& x, const Meta& gw) {
  const bool dense = a.groups == 1;
  const int64_t batch = gy.shape[0], outputs = gy.shape[1], rows = gy.shape[2];
  const int64_t shares = std::clamp<int64_t>(batch, 1, dense ? kMostSums : kPieces);
  const int64_t parts = dense ? pieces_for(shares, outputs / (2 * kOutputs)) : 1;
  const bool lines = gy.rank() == 4 && gy.is_channels_last() && x.is_channels_last();    // rows lie together
  const int64_t bands = !dense && shares == batch && lines ? pieces_for(shares, rows / kRows) : 1;
  std::vector<WeightPiece> all;
  for (int64_t i = 0; i < shares; ++i)
    for (int64_t b = 0; b < bands; ++b)
      for (int64_t p = 0; p < parts; ++p) {
        const auto output = [&](int64_t part) {
          return part == parts ? outputs : outputs * part / parts / kOutputs * kOutputs;
        };
        WeightPiece one{.image = batch * i / shares, .output = output(p), .sum = i * bands + b};
        one.images = batch * (i + 1) / shares - one.image;
        one.outputs = output(p + 1) - one.output;
        const int64_t row = rows * b / bands;
        set_rows(a, x.shape[2], gw.shape[2], row, rows * (b + 1) / bands - row, one);
        if (bands == 1) one.x_row = 0, one.x_rows = x.shape[2], one.pad_lo = a.pad_lo[0], one.pad_hi = a.pad_hi[0];
        all.push_back(one);
      }
  return all;
}

}  // namespace fovea::kernels::cpu
