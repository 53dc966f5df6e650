// SPDX-License-Identifier: Apache-2.0
#include "bench/result.h"

#include <algorithm>

#include "bench/counts.h"
#include "engine/core/threads.h"

namespace fovea::bench {
namespace {

double median(std::vector<double>& v) {
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

std::vector<StepTime> profile(Work& work, int runs, const Machine& machine, Progress& progress) {
  const std::vector<StepInfo>& steps = work.session().steps();
  std::vector<std::vector<double>> times(steps.size());
  work.profile();
  for (int r = 0; r < runs; ++r) {
    if (progress.due()) progress.show(str_cat(work.model().full_name(), ": steps of run ", r, " of ", runs));
    const std::vector<double> once = work.profile();
    for (size_t i = 0; i < times.size(); ++i) times[i].push_back(once[i]);
  }
  std::vector<StepTime> out;
  for (size_t i = 0; i < steps.size(); ++i)
    out.push_back({steps[i], median(times[i]), machine.least_seconds(steps[i])});
  return out;
}

// Which stretch of the arena holds something, and for how long. Views keep what they look at alive.
std::vector<Block> memory_of(const Graph& g) {
  const auto at = [](int v) { return static_cast<size_t>(v); };
  std::vector<size_t> root(g.values.size()), first(root), last(root);
  std::vector<const Step*> maker(g.values.size(), nullptr);
  size_t number = 0;                               // among the steps that are no views
  for (size_t v = 0; v < root.size(); ++v) root[v] = v;
  for (const Step& s : g.steps) {
    if (s.op->traits.view) {
      root[at(s.out[0])] = root[at(s.in[0])];
      continue;
    }
    for (const int v : s.in)
      if (v >= 0) last[root[at(v)]] = number;
    for (const int v : s.out) {
      maker[at(v)] = &s;
      first[at(v)] = last[at(v)] = number;
    }
    ++number;
  }
  for (const int v : g.outputs) last[root[at(v)]] = number - 1;
  for (const State& s : g.state) last[root[at(s.out)]] = number - 1;
  std::vector<Block> out;
  for (size_t v = 0; v < root.size(); ++v) {
    if (!maker[v] || g.places[v].kind != Place::Kind::arena) continue;
    const std::string_view op = maker[v]->op->name();
    out.push_back({first[v], last[v], g.places[v].offset, g.values[v].meta.bytes(),
                   str_cat(maker[v]->scope, maker[v]->scope.empty() ? "" : " ", op), op});
  }
  return out;
}

}  // namespace

double Result::steps_seconds() const {
  double sum = 0;
  for (const StepTime& s : steps) sum += s.seconds;
  return sum;
}

double Result::least_seconds() const {
  double sum = 0;
  for (const StepTime& s : steps) sum += s.least_seconds;
  return sum;
}

Result run(const RunOptions& o, const Machine& machine, Progress& progress) {
  progress.show(str_cat(o.work.model, ": getting ready"));
  double mark = now();
  Work work(o.work);
  Result r;
  r.load_seconds = now() - mark;
  r.from_cache = work.from_cache();
  r.model = work.model().full_name();
  r.dtype = o.work.dtype;
  r.train = o.work.train;
  r.batch = o.work.batch;
  r.threads = threads();
  r.height = work.model().input_size()[1];
  r.width = work.model().input_size()[2];
  r.parameters = work.model().parameter_count();
  if (!r.train) {
    const Counts c = count(zoo::trace(work.model()));
    r.macs = c.macs;
    r.activations = c.activations;
  }
  mark = now();
  work();
  r.first_ms = (now() - mark) * 1e3;
  work.keep();
  time_ms(work, 5);
  r.ms = time_ms(work, o.repeat, &progress);
  std::sort(r.ms.begin(), r.ms.end());
  if (!o.work.eager) {
    r.side_by_side = work.side_by_side();
    r.arena_bytes = work.arena_bytes();
    r.constant_bytes = work.session().constant_bytes();
  }
  if (o.profile) {
    r.steps = profile(work, o.repeat, machine, progress);
    r.memory = memory_of(work.session().graph());
  }
  progress.clear();
  return r;
}

}  // namespace fovea::bench
