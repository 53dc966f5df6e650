// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/adapt.h"

#include "engine/core/error.h"
#include "weights_tools/bytes.h"
#include "weights_tools/foreign.h"

namespace fovea {
namespace {
// out[o, g, p] = sum over the `source` channels of group g.
Tensor sum_channels(const Tensor& w, int64_t source) {
  const int64_t groups = w.dim(1) / source, pixels = w.dim(2) * w.dim(3);
  Tensor out = zeros({w.dim(0), groups, w.dim(2), w.dim(3)});
  const auto from = w.data<float>();
  const auto to = out.mutable_data<float>();
  for (int64_t row = 0; row < w.dim(0) * groups; ++row)
    for (int64_t c = 0; c < source; ++c)
      for (int64_t p = 0; p < pixels; ++p)
        to[static_cast<size_t>(row * pixels + p)] += from[static_cast<size_t>((row * source + c) * pixels + p)];
  return out;
}

Tensor repeat_channels(const Tensor& w, int64_t channels) {
  const int64_t source = w.dim(1), pixels = w.dim(2) * w.dim(3);
  const float scale = static_cast<float>(static_cast<double>(source) / static_cast<double>(channels));
  Tensor out = empty({w.dim(0), channels, w.dim(2), w.dim(3)});
  const auto from = w.data<float>();
  const auto to = out.mutable_data<float>();
  for (int64_t o = 0; o < w.dim(0); ++o)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t p = 0; p < pixels; ++p)
        to[static_cast<size_t>((o * channels + c) * pixels + p)] =
            scale * from[static_cast<size_t>((o * source + c % source) * pixels + p)];
  return out;
}
}  // namespace

Tensor adapt_input_conv(const Tensor& weight, int64_t channels, int64_t source) {
  if (channels < 1 || source < 1)
    throw Error(Error::Kind::argument, str_cat("a first convolution from ", source, " to ", channels, " channels"));
  if (foreign_kind(weight)) return weight;  // whose values nobody can adapt: who asks for them is told why
  if (weight.rank() != 4 || !is_floating(weight.dtype())) return {};
  if (channels == source) return weight;
  const bool sums = channels == 1;
  const int64_t in = weight.dim(1);
  if (in == 0 || (sums ? in > source && in % source != 0 : in != source)) return {};
  const Tensor w = dense(weight, DType::f32);
  return dense(sums ? sum_channels(w, in > source ? source : in) : repeat_channels(w, channels), weight.dtype());
}

}  // namespace fovea
