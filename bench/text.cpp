// SPDX-License-Identifier: Apache-2.0
// bench/text.cpp — results as lines for people.
#include <algorithm>
#include <map>

#include "bench/detail.h"
#include "bench/lines.h"
#include "bench/result.h"

namespace fovea::bench {
namespace {

std::string shape_text(const Meta& m) {
  std::string s;
  for (const int64_t d : m.shape) s += str_cat(s.empty() ? "" : "x", d);
  return s.empty() ? "scalar" : s;
}

// "  [cycles 123456, instructions 234567]"
std::string counts_text(const Result& r, const StepTime& t) {
  std::string s;
  for (size_t i = 0; i < t.counts.size(); ++i)
    s += str_cat(s.empty() ? "  [" : ", ", r.counters[i], " ", format("%.0f", t.counts[i]));
  return s.empty() ? s : s + "]";
}

std::string step_line(const Result& r, const StepTime& t, double total, bool measured) {
  const double seconds = std::max(t.seconds, 1e-9);
  std::string line = format("%9.1f %5.1f%% %9.1f %8.1f", t.seconds * 1e6, 100 * t.seconds / total,
                            static_cast<double>(t.step.flops) / seconds * 1e-9,
                            static_cast<double>(t.step.bytes) / seconds * 1e-9);
  if (measured) line += format(" %7.1f%%", 100 * t.least_seconds / seconds);
  line += format("  %-32s %-12s %-26s ", t.step.scope.c_str(), std::string(t.step.op).c_str(), t.step.plan.c_str());
  const std::string more = detail(t.step);
  return line + shapes(t.step) + (more.empty() ? "" : str_cat("  (", more, ")")) + counts_text(r, t) + "\n";
}

// The time of each kernel, the slowest first.
std::string kernel_lines(const Result& r, double total, bool measured) {
  struct Sum {
    double seconds = 0, least = 0;
    int steps = 0;
  };
  std::map<std::string, Sum> sums;
  for (const StepTime& t : r.steps) {
    Sum& s = sums[str_cat(t.step.op, "  ", t.step.plan)];
    s.seconds += t.seconds;
    s.least += t.least_seconds;
    ++s.steps;
  }
  std::vector<std::pair<std::string, Sum>> rows(sums.begin(), sums.end());
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  std::string out;
  for (const auto& [name, s] : rows) {
    out += format("%9.1f %5.1f%%", s.seconds * 1e6, 100 * s.seconds / total);
    if (measured) out += format(" %7.1f%%", 100 * s.least / std::max(s.seconds, 1e-9));
    out += format("  x%-4d ", s.steps) + name + "\n";
  }
  return out;
}

}  // namespace

std::string short_text(const Meta& m) { return m.present() ? str_cat(name_of(m.dtype), " ", shape_text(m)) : "-"; }

std::string shapes(const StepInfo& s) {
  std::string out;
  DType told = DType::none;                        // a type is said when it changes
  const auto add = [&](const Meta& m, const char* between) {
    out += str_cat(out.empty() ? "" : between, !m.present() ? "-" : m.dtype == told ? shape_text(m) : short_text(m));
    if (m.present()) told = m.dtype;
  };
  for (const Meta& m : s.in) add(m, ", ");
  for (size_t i = 0; i < s.out.size(); ++i) add(s.out[i], i == 0 ? " -> " : ", ");
  return out;
}

std::string noise_text(const Noise& n) {
  if (!n.noisy) return {};
  return format(
      "noisy: others used the machine, only %d of %d runs were calm (a fixed piece of work took %.2f times as "
      "long as at best; preempted %lld times)",
      n.calm, n.runs, n.slowdown(), static_cast<long long>(n.preempted));
}

std::string summary(const Result& r) {
  const std::string noise = noise_text(r.noise);
  return format("%s  batch %d  %s  %d threads  %s: median %.3f ms, fastest %.3f, p90 %.3f, slowest %.3f over %zu runs; "
                "%.1f images/s",
                r.model.c_str(), r.batch, r.dtype.c_str(), r.threads, r.train ? "training step" : "inference",
                r.median_ms(), r.ms.front(), quantile(r.ms, 0.9), r.ms.back(), r.ms.size(), r.images_per_second()) +
         (noise.empty() ? "" : "\n  " + noise);
}

std::string step_table(const Result& r, size_t top) {
  const double total = r.steps_seconds();
  const bool measured = r.least_seconds() > 0;
  std::string out = format("%zu steps add up to %.3f ms, whole runs take %.3f ms; arena %.1f MB, constants %.1f MB",
                           r.steps.size(), total * 1e3, r.median_ms(), static_cast<double>(r.arena_bytes) * 1e-6,
                           static_cast<double>(r.constant_bytes) * 1e-6);
  if (r.side_by_side) out += "; images run side by side: steps are those of one image on one thread";
  if (measured) out += format("; %.1f%% of the roofline", 100 * r.least_seconds() / total);
  if (const std::string noise = noise_text(r.step_noise); !noise.empty()) out += "\nsteps, " + noise;
  if (!r.no_counters.empty()) out += "\nno counters of the processor: " + r.no_counters;
  out += format("\n\n%9s %6s %9s %8s%s  %-32s %-12s %-26s %s\n", "us", "share", "GFLOP/s", "GB/s",
                measured ? "    roof" : "", "module", "op", "kernel", "operands -> result");
  std::vector<const StepTime*> order;
  for (const StepTime& t : r.steps) order.push_back(&t);
  if (top > 0) {
    std::stable_sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->seconds > b->seconds; });
    order.resize(std::min(top, order.size()));
  }
  for (const StepTime* t : order) out += step_line(r, *t, total, measured);
  return out + "\n" + kernel_lines(r, total, measured);
}

std::string machine_table(const Machine& m) {
  std::string out = format("%s, %d processor%s, measured with %d thread%s\n", m.cpu.c_str(), m.processors,
                           m.processors == 1 ? "" : "s", m.threads, m.threads == 1 ? "" : "s");
  for (const Peak& p : m.peaks)
    out += format("%9.1f GFLOP/s  %s %s%s\n", p.flops * 1e-9, std::string(name_of(p.dtype)).c_str(), p.name.c_str(),
                  p.settled ? "" : "  (did not settle: others used the machine)");
  for (const Bandwidth& b : m.bandwidths)
    out += format("%9.1f GB/s read %9.1f GB/s copy  of %lld KiB\n", b.read * 1e-9, b.copy * 1e-9,
                  static_cast<long long>(b.bytes >> 10));
  return out;
}

}  // namespace fovea::bench
