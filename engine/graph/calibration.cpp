// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/calibration.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/graph/histogram.h"
#include "engine/graph/passes/passes.h"
#include "engine/ops/ops.h"

namespace fovea {
std::vector<std::string> value_names(const Graph& g) {
  std::vector<std::string> names(g.values.size());
  for (int v : g.inputs) names[static_cast<size_t>(v)] = g.values[static_cast<size_t>(v)].name;
  std::map<std::string, int> seen;
  for (const Step& s : g.steps)
    for (int v : s.out) {
      std::string name = str_cat(s.scope, ":", s.op->name());
      if (const int again = ++seen[name]; again > 1) name += str_cat("#", again);
      names[static_cast<size_t>(v)] = std::move(name);
    }
  return names;
}

struct Calibrator::Watch {
  std::string name;
  bool last_axis;                                  // is that of the channels, else the second one
  int64_t channels;
  Histogram histogram;
  std::vector<double> sums;                        // of each channel
  int64_t places = 0;

  void add(const Tensor& seen) {
    const Tensor t = on_host(seen);
    const Meta& m = t.meta();
    const bool innermost = last_axis || m.is_channels_last();          // in memory
    const Tensor dense = last_axis || !innermost ? contiguous(t) : t;
    const std::span<const float> values(reinterpret_cast<const float*>(dense.bytes()),
                                        static_cast<size_t>(m.numel()));
    histogram.add(values);
    const auto c = static_cast<size_t>(channels);
    const size_t each = innermost ? 1 : values.size() / c / static_cast<size_t>(m.shape[0]);
    for (size_t i = 0; i < values.size(); ++i) sums[i / each % c] += static_cast<double>(values[i]);
    places += m.numel() / channels;
  }
};

Calibrator::~Calibrator() = default;

Calibrator::Calibrator(Graph traced, const Target& t) {
  Graph g = before_quantize(std::move(traced), t);
  const std::vector<std::string> names = value_names(g);
  std::vector<bool> wanted(g.values.size(), false), last_axis(g.values.size(), true);
  for (const Step& s : g.steps)
    if (s.op->takes_weights()) {
      for (int v : {s.in[0], s.out[0]}) wanted[static_cast<size_t>(v)] = true;
      last_axis[static_cast<size_t>(s.in[0])] = s.op == &ops::linear;
    }
  g.outputs.clear();
  for (size_t v = 0; v < g.values.size(); ++v) {
    const Meta& m = g.values[v].meta;
    if (!wanted[v] || names[v].empty() || m.dtype != DType::f32 || m.rank() < 2) continue;
    const bool last = last_axis[v];
    const int64_t channels = last ? m.shape[m.rank() - 1] : m.shape[1];
    watches_.push_back({names[v], last, channels, {}, std::vector<double>(static_cast<size_t>(channels))});
    g.outputs.push_back(static_cast<int>(v));
  }
  g.remove_dead();
  session_ = compile(std::move(g), {.device = t.device, .threads = t.threads, .without = passes_but("memory")});
}

void Calibrator::observe(std::span<const Tensor> in) {
  const std::span<const Tensor> values = session_.run_borrowed(in);
  for (size_t i = 0; i < watches_.size(); ++i) watches_[i].add(values[i]);
}

Calibration Calibrator::result() const {
  Calibration c;
  for (const Watch& w : watches_) {
    if (w.places == 0)
      throw Error(Error::Kind::argument, "nothing was observed to calibrate with", "observe() images first");
    const auto [lo, hi] = w.histogram.best_range();
    Observed o{lo, hi, {}};
    for (const double sum : w.sums) o.mean.push_back(static_cast<float>(sum / static_cast<double>(w.places)));
    if (!std::isfinite(lo) || !std::isfinite(hi) ||
        !std::all_of(o.mean.begin(), o.mean.end(), [](float v) { return std::isfinite(v); }))
      throw Error(Error::Kind::weights, str_cat("some values of ", w.name, " are not finite: they have no range"),
                  "weights or images hold NaN, infinity or numbers that overflow");
    c.values[w.name] = std::move(o);
  }
  return c;
}

}  // namespace fovea
