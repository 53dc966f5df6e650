// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/affine.h — what fold_norm knows of steps: which scale and shift channels by constants, and which
// have weights that can take that up.
#pragma once
#include <optional>
#include <vector>

#include "engine/graph/graph.h"

namespace fovea::passes {

struct Affine {
  std::vector<double> scale, shift;  // per channel
};

/// Whether a constant can be computed with: exact in double. 16-bit weights would be rounded twice.
bool is_exact(const Graph& g, int v);
/// Of a step, the numbers of a vector operand; empty where it was not given.
std::vector<double> vector_operand(const Graph& g, const Step& s, size_t i);
/// What a step does to the channels of its operand x, if it scales and shifts them by constants.
std::optional<Affine> affine_of(const Graph& g, const Step& s, int x, int channel_axis);
/// A convolution or product whose weights and bias are constants that may be changed.
bool takes_weights(const Graph& g, const Step& s);
/// Gives such a step another bias.
void set_bias(Graph& g, Step& s, const std::vector<double>& bias);

/// The uses of values and the steps that make them, kept up to date while steps are joined. Constants that passes add
/// are made by none.
struct Links {
  explicit Links(const Graph& g) : uses(g.use_counts()), makers(g.makers()) {}
  int maker(int v) const {
    return v >= 0 && static_cast<size_t>(v) < makers.size() ? makers[static_cast<size_t>(v)] : -1;
  }
  bool read_once(int v) const { return uses[static_cast<size_t>(v)] == 1; }  // of a value that some step makes
  std::vector<int> uses, makers;
};
/// Where steps[n] adds or subtracts two branches over one operand, of convolutions or products or of one and its scaled
/// operand, they become one step.
void join_branches(Graph& g, Links& links, size_t n);

}  // namespace fovea::passes
