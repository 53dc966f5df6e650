// SPDX-License-Identifier: Apache-2.0
// bench/scatter_plots.cpp — the plots whose points are steps or models: roofline, bandwidth, speed, change.
#include <algorithm>
#include <cmath>

#include "bench/detail.h"
#include "bench/scatter.h"

namespace fovea::bench {
namespace {

double seconds_of(const StepTime& t) { return std::max(t.seconds, 1e-9); }
double bytes_of(const StepTime& t) { return static_cast<double>(std::max<int64_t>(t.step.bytes, 1)); }
double flops_of(const StepTime& t) { return static_cast<double>(t.step.flops) / seconds_of(t) * 1e-9; }
double intensity_of(const StepTime& t) { return static_cast<double>(t.step.flops) / bytes_of(t); }
double bandwidth_of(const StepTime& t) { return bytes_of(t) / seconds_of(t) * 1e-9; }

double radius_of(double share) { return std::clamp(60 * std::sqrt(share), 2.5, 16.0); }

void add_points(Scatter& plot, const Result& r, bool products, double (*x)(const StepTime&),
                double (*y)(const StepTime&)) {
  const double total = r.steps_seconds();
  for (const StepTime& t : r.steps)
    if (!products || t.step.flops > 0)
      plot.point(x(t), y(t), radius_of(t.seconds / total), str_cat("dot ", kind_of(t.step)), about(t));
}

// The roofs of the types that the model computes in, and the bandwidths of a small, a middle and a large working set.
void add_roofs(Scatter& plot, const Result& r, const Machine& m) {
  double ridge = 0;
  for (const DType t : {DType::f32, r.dtype == "int8" ? DType::i8 : parse_dtype(r.dtype)}) {
    const Peak* roof = m.roof(t);
    if (!roof || roof->flops * 1e-9 <= ridge) continue;
    ridge = roof->flops * 1e-9;
    plot.line({plot.x().high, ridge}, {plot.x().low, ridge}, "roof",
              str_cat(name_of(t), " ", roof->name, ", ", digits(ridge)));
  }
  for (const size_t i : {size_t{0}, m.bandwidths.size() / 2, m.bandwidths.size() - 1}) {
    const Bandwidth& b = m.bandwidths[i];
    const double rate = b.best() * 1e-9;           // GFLOP/s at one FLOP per byte
    const double first = std::max(plot.x().low, plot.y().low / rate), last = std::min(plot.x().high, ridge / rate);
    if (last > first)
      plot.line({first, first * rate}, {last, last * rate}, "roof",
                str_cat(digits(rate), " GB/s, ", size_text(static_cast<double>(b.bytes))));
  }
}

}  // namespace

std::string roofline_plot(const Result& r, const Machine& m, Room room) {
  std::vector<double> intensities{0.1, 100}, rates{10};
  for (const Peak& p : m.peaks) rates.push_back(p.flops * 1e-9);
  for (const StepTime& t : r.steps) {
    if (t.step.flops == 0) continue;
    intensities.push_back(intensity_of(t));
    rates.push_back(std::max(flops_of(t), 0.1));
  }
  Scatter plot(room, intensities, rates, "FLOP per byte", "GFLOP/s");
  if (!m.bandwidths.empty()) add_roofs(plot, r, m);
  add_points(plot, r, true, intensity_of, flops_of);
  return plot.str("roofline");
}

std::string bandwidth_plot(const Result& r, const Machine& m, Room room) {
  std::vector<double> sizes, rates;
  for (const Bandwidth& b : m.bandwidths) {
    sizes.push_back(static_cast<double>(b.bytes));
    rates.insert(rates.end(), {b.read * 1e-9, b.copy * 1e-9});
  }
  for (const StepTime& t : r.steps) {
    sizes.push_back(std::max(bytes_of(t), 1e3));
    rates.push_back(std::max(bandwidth_of(t), 0.1));
  }
  Scatter plot(room, sizes, rates, "bytes read and written", "GB/s");
  for (size_t i = m.bandwidths.size(); i-- > 1;) {   // the last pieces carry the names
    const Bandwidth &a = m.bandwidths[i - 1], &b = m.bandwidths[i];
    const auto from = static_cast<double>(a.bytes), to = static_cast<double>(b.bytes);
    const bool last = i + 1 == m.bandwidths.size();
    plot.line({from, a.read * 1e-9}, {to, b.read * 1e-9}, "roof", last ? "read" : "");
    plot.line({from, a.copy * 1e-9}, {to, b.copy * 1e-9}, "roof dashed", last ? "copy" : "");
  }
  add_points(plot, r, false, bytes_of, bandwidth_of);
  return plot.str("bandwidth");
}

std::string speed_plot(const std::vector<Result>& results, Room room) {
  std::vector<double> macs, rates;
  for (const Result& r : results)
    if (r.error.empty() && r.macs > 0) {
      macs.push_back(r.macs * 1e-9);
      rates.push_back(r.images_per_second());
    }
  if (macs.empty()) return {};
  Scatter plot(room, macs, rates, "G multiply-adds an image", "images a second");
  for (const Result& r : results) {
    if (!r.error.empty() || r.macs <= 0) continue;
    plot.point(r.macs * 1e-9, r.images_per_second(), 4, "dot conv",
               str_cat(r.model, "\n", digits(r.macs * 1e-9), " GMAC, ", digits(r.images_per_second()), " images/s"));
    plot.label(r.macs * 1e-9, r.images_per_second(), 4, r.model.substr(0, r.model.find('.')));
  }
  return plot.str("speed against multiply-adds");
}

std::string change_plot(const Comparison& c, Room room) {
  std::vector<double> before, now;
  for (const StepPair& p : c.pairs)
    if (p.before && p.now) {
      before.push_back(std::max(p.before->us, 0.1));
      now.push_back(std::max(p.now->us, 0.1));
    }
  if (before.empty()) return {};
  std::vector<double> all = before;                // both axes alike
  all.insert(all.end(), now.begin(), now.end());
  Scatter plot(room, all, all, "µs before", "µs now");
  plot.line({plot.x().low, plot.y().low}, {plot.x().high, plot.y().high}, "roof", "as before");
  for (const StepPair& p : c.pairs)
    if (p.before && p.now)
      plot.point(std::max(p.before->us, 0.1), std::max(p.now->us, 0.1), p.changed_kernel() ? 5 : 3.5,
                 str_cat("dot ", p.now->kind, p.changed_kernel() ? " ringed" : ""),
                 str_cat(p.now->module, "  ", p.now->op, "\n", p.before->kernel,
                         p.changed_kernel() ? " → " + p.now->kernel : "", "\n", p.now->operands, "\n",
                         duration_text(p.before->us * 1e-6), " → ", duration_text(p.now->us * 1e-6)));
  return plot.str("time of each step before and now");
}

}  // namespace fovea::bench
