// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/passes.h — the passes that compile() runs, in order, and the one table that lists them.
#pragma once
#include <span>

#include "engine/graph/session.h"

namespace fovea {
namespace passes {

void fold(Graph& g, const Target& t);              // steps on constants are run now
void fold_norm(Graph& g, const Target& t);         // batch norm, scale or bias after conv or linear: into its weights
void precision(Graph& g, const Target& t);         // Target::dtype: casts constants, inputs and activations
void layouts(Graph& g, const Target& t);           // nets of images run channels-last
void fuse_epilogue(Graph& g, const Target& t);     // residual sum and activation into conv and linear
void quantize(Graph& g, const Target& t);          // Target::calibration: convolutions and products in 8-bit integers
// batch norm that is left, the cat before and the activation after it
void fuse_norm(Graph& g, const Target& t);
void chain(Graph& g, const Target& t);             // pointwise steps of a training step, one after the other, as one
void unread(Graph& g, const Target& t);            // results that nobody reads are not computed
void own_results(Graph& g, const Target& t);       // copies results and state that would be somebody else's bytes
void memory(Graph& g, const Target& t);            // liveness -> one arena; pointwise steps in place

/// Without the memory pass: every value has a place of its own.
void place_apart(Graph& g);
/// Throws Error(internal) when a step of the planned graph would read bytes that were overwritten.
void check_places(const Graph& g);

}  // namespace passes

struct Pass {
  const char* name;
  void (*run)(Graph&, const Target&);
  const char* does;                                // one line for `fovea help` and the tests' names
  bool required = false;                           // cannot be left out
};
std::span<const Pass> pass_table();
/// For Target::without: the passes that may be left out, except one.
std::vector<std::string> passes_but(std::string_view kept);

/// Unless the target leaves it out; throws Error(internal) with its name where the graph it leaves contradicts itself.
void run_pass(const Pass& p, Graph& g, const Target& t);
/// A traced graph as the quantize pass will find it.
Graph before_quantize(Graph g, const Target& t);

}  // namespace fovea
