// SPDX-License-Identifier: Apache-2.0
#include "bench/result.h"

#include <algorithm>
#include <ctime>
#include <new>

#include "bench/counters.h"
#include "bench/counts.h"
#include "bench/phases.h"
#include "engine/core/out_of_memory.h"
#include "engine/core/threads.h"

namespace fovea::bench {
namespace {

std::vector<StepTime> profile(Work& work, int runs, const Machine& machine, Noise& noise, Progress& progress) {
  const std::vector<StepInfo>& steps = work.session().steps();
  std::vector<std::vector<double>> times(steps.size());
  work.profile();
  const std::vector<size_t> count = run_calmly(static_cast<size_t>(runs), noise, [&](size_t r) {
    if (progress.due()) progress.show(str_cat(work.model().full_name(), ": steps of run ", r, " of ", runs));
    const std::vector<double> once = work.profile();
    for (size_t i = 0; i < times.size(); ++i) times[i].push_back(once[i]);
  });
  std::vector<StepTime> out;
  for (size_t i = 0; i < steps.size(); ++i) {
    std::vector<double> counted;
    for (const size_t r : count) counted.push_back(times[i][r]);
    std::sort(counted.begin(), counted.end());
    out.push_back({.step = steps[i],
                   .seconds = quantile(counted, 0.5),
                   .low = quantile(counted, 0.1),
                   .high = quantile(counted, 0.9),
                   .least_seconds = machine.least_seconds(steps[i])});
  }
  return out;
}

double cpu_now() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// One more run, for what its threads do.
std::vector<LaneSlice> follow_threads(Work& work) {
  Lanes lanes;
  const UseWatch use(lanes);
  work.profile();
  return lanes.slices();
}

void add_counts(Work& work, int runs, Result& r) {
  const Counters counters;                         // the pool's threads are there by now
  CountingWatch counting(counters);
  const UseWatch use(counting);
  for (int i = 0; i < runs; ++i) {
    counting.run_begins();
    work.profile();
  }
  r.counters = counters.names();
  r.no_counters = counters.refused();
  for (size_t i = 0; i < r.steps.size(); ++i)
    for (const uint64_t sum : counting.sums()[i]) r.steps[i].counts.push_back(static_cast<double>(sum) / runs);
}

// Of the runs that count, fastest first.
void time_runs(Work& work, int runs, Result& r, Progress& progress) {
  struct Run {
    double ms, cpu_ms;
  };
  std::vector<Run> all, counted;
  const std::vector<size_t> count = run_calmly(static_cast<size_t>(runs), r.noise, [&](size_t i) {
    if (progress.due()) progress.show(str_cat(work.model().full_name(), ": run ", i, " of ", runs));
    const double cpu = cpu_now();
    const double ms = time_ms(work, 1)[0];
    all.push_back({ms, (cpu_now() - cpu) * 1e3});
  });
  for (const size_t i : count) counted.push_back(all[i]);
  std::stable_sort(counted.begin(), counted.end(), [](const Run& a, const Run& b) { return a.ms < b.ms; });
  for (const Run& one : counted) {
    r.ms.push_back(one.ms);
    r.cpu_ms.push_back(one.cpu_ms);
  }
}

void add_phases(Result& r, const Graph& g) {
  const std::vector<Phase> phases = phases_of(g);
  for (size_t i = 0; i < r.steps.size(); ++i) {
    double& sum = phases[i] == Phase::forward    ? r.forward_ms
                  : phases[i] == Phase::backward ? r.backward_ms
                                                 : r.update_ms;
    sum += r.steps[i].seconds * 1e3;
  }
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
    out.push_back({first[v], last[v], g.places[v].offset, g.values[v].meta.bytes(),
                   str_cat(maker[v]->scope, maker[v]->scope.empty() ? "" : " ", maker[v]->op->name())});
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

namespace {

Result run_once(const RunOptions& o, const Machine& machine, Progress& progress) {
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
  time_runs(work, o.repeat, r, progress);
  if (!o.work.eager) {
    r.side_by_side = work.side_by_side();
    r.arena_bytes = work.arena_bytes();
    r.constant_bytes = work.session().constant_bytes();
  }
  if (o.profile || o.detail) {
    r.steps = profile(work, o.repeat, machine, r.step_noise, progress);
    r.memory = memory_of(work.session().graph());
    r.lanes = follow_threads(work);
    if (o.counters) add_counts(work, o.repeat, r);
    if (r.train && o.detail) add_phases(r, work.session().graph());
  }
  progress.clear();
  return r;
}

}  // namespace

Result run(const RunOptions& o, const Machine& machine, Progress& progress) {
  RunOptions smaller = o;
  for (;;) {
    const bool last = !o.smaller_batches || smaller.work.batch == 1;
    try {
      return run_once(smaller, machine, progress);
    } catch (const OutOfMemory&) {
      if (last) throw;
    } catch (const std::bad_alloc&) {
      if (last) throw;
    }
    smaller.work.batch = (smaller.work.batch + 1) / 2;
  }
}

}  // namespace fovea::bench
