// SPDX-License-Identifier: Apache-2.0
#include "bench/phases.h"

namespace fovea::bench {
namespace {

size_t at(int v) { return static_cast<size_t>(v); }

// For every value: whether it is computed from this input.
std::vector<bool> computed_from(const Graph& g, int input) {
  std::vector<bool> yes(g.values.size(), false);
  yes[at(input)] = true;
  for (const Step& s : g.steps)
    for (const int v : s.in)
      if (v >= 0 && yes[at(v)])
        for (const int out : s.out) yes[at(out)] = true;
  return yes;
}

std::vector<bool> needed_by(const Graph& g, int result) {
  std::vector<bool> yes(g.values.size(), false);
  yes[at(result)] = true;
  for (size_t i = g.steps.size(); i-- > 0;)
    for (const int out : g.steps[i].out)
      if (yes[at(out)])
        for (const int v : g.steps[i].in)
          if (v >= 0) yes[at(v)] = true;
  return yes;
}

}  // namespace

std::vector<Phase> phases_of(const Graph& g) {
  const std::vector<bool> rated = computed_from(g, g.inputs[2]), judged = computed_from(g, g.inputs[1]),
                          wanted = needed_by(g, g.outputs[0]);
  std::vector<Phase> out;
  for (const Step& s : g.steps) {
    if (s.op->traits.view) continue;
    const size_t v = at(s.out[0]);
    out.push_back(rated[v] ? Phase::update : wanted[v] || !judged[v] ? Phase::forward : Phase::backward);
  }
  return out;
}

}  // namespace fovea::bench
