// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/passes.cpp — the table of passes, in the order in which they run.
#include "engine/graph/passes/passes.h"

#include <algorithm>

#include "engine/graph/quiet.h"

namespace fovea {
namespace {

// precision wants what is constant folded in the traced type; fuse_epilogue asks kernels, so dtypes and layouts are
// settled before it.
constexpr Pass kPasses[] = {
    {"fold", passes::fold, "runs steps on constants"},
    {"fold_norm", passes::fold_norm, "batch norm, layer scale and added tables become weights and bias"},
    {"precision", passes::precision, "computes in the target's dtype"},
    {"layouts", passes::layouts, "runs nets of images channels-last"},
    {"fuse_epilogue", passes::fuse_epilogue, "residual sum and activation join the convolution or product"},
    {"quantize", passes::quantize, "computes in 8-bit integers where ranges were calibrated"},
    {"fuse_norm", passes::fuse_norm, "batch norm that is left joins what it reads and maps what it gives"},
    {"chain", passes::chain, "pointwise steps of a training step become one"},
    {"unread", passes::unread, "results that nobody reads are not computed"},
    {"own_results", passes::own_results, "what is read after a run is the session's own", true},
    {"memory", passes::memory, "values share one arena by lifetime"},
};

}  // namespace

std::span<const Pass> pass_table() { return kPasses; }

std::vector<std::string> passes_but(std::string_view kept) {
  std::vector<std::string> names;
  for (const Pass& p : kPasses)
    if (!p.required && p.name != kept) names.push_back(p.name);
  return names;
}

void run_pass(const Pass& p, Graph& g, const Target& t) {
  if (!p.required && std::find(t.without.begin(), t.without.end(), p.name) != t.without.end()) return;
  try {
    p.run(g, t);
    g.verify();
  } catch (const Error& e) {
    if (e.kind() != Error::Kind::internal) throw;
    throw Error(e.kind(), str_cat("pass ", p.name, ": ", e.summary()));
  }
}

Graph before_quantize(Graph g, const Target& t) {
  const Quiet quiet;
  for (const Pass& p : pass_table()) {
    if (p.run == passes::quantize) break;
    run_pass(p, g, t);
  }
  return g;
}

}  // namespace fovea
