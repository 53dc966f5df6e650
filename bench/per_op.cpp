// SPDX-License-Identifier: Apache-2.0
// bench/per_op.cpp — where a compiled model spends its time: every step with its kernel, its share and its rate.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>

#include "engine/core/threads.h"
#include "engine/ops/ops.h"
#include "zoo/zoo.h"

namespace fovea {
namespace {

struct Options {
  std::string model, dtype = "f32";
  int batch = 1, threads = 0, runs = 20;
  size_t top = 25;
};

std::string text_of(std::string_view s) { return std::string(s); }

// The median of each step over the runs, in seconds.
std::vector<double> medians(Session& session, const Tensor& image, int runs) {
  std::vector<std::vector<double>> times(session.steps().size());
  session.profile(std::span(&image, 1));
  for (int r = 0; r < runs; ++r) {
    const std::vector<double> once = session.profile(std::span(&image, 1));
    for (size_t i = 0; i < times.size(); ++i) times[i].push_back(once[i]);
  }
  std::vector<double> out;
  for (std::vector<double>& t : times) {
    std::nth_element(t.begin(), t.begin() + static_cast<std::ptrdiff_t>(t.size() / 2), t.end());
    out.push_back(t[t.size() / 2]);
  }
  return out;
}

void print_steps(const Session& session, const std::vector<double>& seconds, double total, size_t top) {
  std::vector<size_t> order(seconds.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return seconds[a] > seconds[b]; });
  std::printf("%9s %6s %9s %8s  %-34s %-12s %-26s %s\n", "us", "share", "GFLOP/s", "GB/s", "scope", "op", "kernel",
              "result");
  for (size_t i : std::span(order).first(std::min(top, order.size()))) {
    const StepInfo& s = session.steps()[i];
    const double t = std::max(seconds[i], 1e-9);
    std::printf("%9.1f %5.1f%% %9.1f %8.1f  %-34s %-12s %-26s %s\n", t * 1e6, 100 * t / total,
                static_cast<double>(s.flops) / t * 1e-9, static_cast<double>(s.bytes) / t * 1e-9, s.scope.c_str(),
                text_of(s.op).c_str(), s.plan.c_str(), to_string(s.out[0]).c_str());
  }
}

void print_kernels(const Session& session, const std::vector<double>& seconds, double total) {
  std::map<std::string, std::pair<double, int>> by_kernel;
  for (size_t i = 0; i < seconds.size(); ++i) {
    auto& [time, steps] = by_kernel[cat(session.steps()[i].op, "  ", session.steps()[i].plan)];
    time += seconds[i];
    ++steps;
  }
  std::vector<std::pair<double, std::string>> rows;
  for (const auto& [kernel, sum] : by_kernel) rows.emplace_back(sum.first, cat(kernel, "  x", sum.second));
  std::sort(rows.rbegin(), rows.rend());
  std::printf("\n");
  for (const auto& [time, row] : rows)
    std::printf("%9.1f us %5.1f%%  %s\n", time * 1e6, 100 * time / total, row.c_str());
}

void run(const Options& o) {
  if (o.threads > 0) set_threads(o.threads);
  const auto model = zoo::create(o.model);
  model->materialise();
  const DType dtype = parse_dtype(o.dtype);
  Session session =
      zoo::compile(*model, {.batch = o.batch, .target = {.dtype = dtype == DType::f32 ? DType::none : dtype}});
  const auto [channels, height, width] = model->input_size();
  const std::vector<double> seconds = medians(session, randn({o.batch, channels, height, width}, 1), o.runs);
  double total = 0;
  for (double t : seconds) total += t;
  std::printf("%s  batch %d  %s  %d threads: %.2f ms in %zu steps, %.1f images/s; arena %.1f MB, constants %.1f MB\n",
              o.model.c_str(), o.batch, o.dtype.c_str(), threads(), total * 1e3, seconds.size(), o.batch / total,
              static_cast<double>(session.arena_bytes()) * 1e-6, static_cast<double>(session.constant_bytes()) * 1e-6);
  print_steps(session, seconds, total, o.top);
  print_kernels(session, seconds, total);
}

}  // namespace
}  // namespace fovea

int main(int argc, char** argv) {
  CLI::App app{"times every step of a compiled model (weights are random: speed does not depend on them)", "per_op"};
  fovea::Options o;
  app.add_option("model", o.model, "an architecture")->required();
  app.add_option("--batch", o.batch, "images a run")->check(CLI::PositiveNumber);
  app.add_option("--threads", o.threads, "default: FOVEA_THREADS or all processors");
  app.add_option("--dtype", o.dtype, "f32 or bf16");
  app.add_option("--runs", o.runs, "the median of this many is shown")->check(CLI::PositiveNumber);
  app.add_option("--top", o.top, "how many of the slowest steps are listed");
  CLI11_PARSE(app, argc, argv);
  try {
    fovea::run(o);
  } catch (const fovea::Error& e) {
    std::fprintf(stderr, "per_op: %s\n", e.what());
    return 1;
  }
  return 0;
}
