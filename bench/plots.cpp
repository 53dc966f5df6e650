// SPDX-License-Identifier: Apache-2.0
#include "bench/plots.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "bench/spans.h"
#include "bench/svg.h"
#include "engine/ops/table.h"

namespace fovea::bench {
namespace {

constexpr std::array<std::string_view, static_cast<size_t>(Role::count_)> kKindNames{
    "other",     "convolutions", "matrix products", "attention", "norms", "pooling, sums, resizing",
    "pointwise", "moving bytes"};

constexpr double kWidth = 1040, kLeft = 64, kRight = 1024;       // of the plots over time

std::string about(const StepTime& t) {
  const double seconds = std::max(t.seconds, 1e-9);
  std::string s =
      str_cat(t.step.scope, "  ", t.step.op, "\n", t.step.plan, "\n", shapes(t.step), "\n", duration_text(t.seconds));
  if (t.step.flops > 0) s += str_cat(", ", digits(static_cast<double>(t.step.flops) / seconds * 1e-9), " GFLOP/s");
  s += str_cat(", ", digits(static_cast<double>(t.step.bytes) / seconds * 1e-9), " GB/s");
  if (t.least_seconds > 0) s += str_cat("\n", percent(t.least_seconds / seconds), " of the roofline");
  return s;
}

void time_axis(Svg& svg, const Axis& x, double top, double bottom) {
  for (const double t : x.ticks(8)) {
    svg.line(x.at(t), top, x.at(t), bottom, "grid");
    svg.text(x.at(t), bottom + 15, t == 0 ? "0" : duration_text(t), "tick middle");
  }
}

// A power of ten as people write it: 0.1, 10, 1000 and what is larger with k, M, G.
std::string power_text(double v) {
  if (v >= 1e9) return str_cat(std::llround(v * 1e-9), "G");
  if (v >= 1e6) return str_cat(std::llround(v * 1e-6), "M");
  if (v >= 1e3) return str_cat(std::llround(v * 1e-3), "k");
  return v >= 1 ? str_cat(std::llround(v)) : digits(v).substr(0, v < 0.1 ? 4 : 3);
}

// The frame of a plot with two logarithmic axes.
struct Scatter {
  static constexpr double kWide = 510, kHigh = 360;
  Svg svg{kWide, kHigh};
  Axis x, y;
  Scatter(double x_low, double x_high, double y_low, double y_high, std::string_view x_name, std::string_view y_name)
      : x{x_low, x_high, 50, kWide - 12, true}, y{y_low, y_high, kHigh - 44, 22, true} {
    for (const double v : x.ticks()) {
      svg.line(x.at(v), y.from, x.at(v), y.to, "grid");
      svg.text(x.at(v), y.from + 15, power_text(v), "tick middle");
    }
    for (const double v : y.ticks()) {
      svg.line(x.from, y.at(v), x.to, y.at(v), "grid");
      svg.text(x.from - 6, y.at(v) + 4, power_text(v), "tick end");
    }
    svg.text((x.from + x.to) / 2, kHigh - 8, x_name, "tick middle");
    svg.text(4, 13, y_name, "tick");
  }
  void points(const Result& r, bool products, const auto& x_of, const auto& y_of) {
    const double total = r.steps_seconds();
    for (const StepTime& t : r.steps) {
      if (products && t.step.flops == 0) continue;
      const double radius = std::clamp(60 * std::sqrt(t.seconds / total), 2.5, 16.0);
      svg.circle(x.at(x_of(t)), y.at(y_of(t)), radius, str_cat("dot ", kind_of(t.step.op)), about(t));
    }
  }
};

// The powers of ten around some values.
std::pair<double, double> decades(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {std::pow(10.0, std::floor(std::log10(*low))), std::pow(10.0, std::ceil(std::log10(*high)))};
}

double seconds_of(const StepTime& t) { return std::max(t.seconds, 1e-9); }
double flops_of(const StepTime& t) { return static_cast<double>(t.step.flops) / seconds_of(t) * 1e-9; }
double intensity_of(const StepTime& t) {
  return static_cast<double>(t.step.flops) / static_cast<double>(std::max<int64_t>(t.step.bytes, 1));
}
double bytes_of(const StepTime& t) { return static_cast<double>(std::max<int64_t>(t.step.bytes, 1)); }
double bandwidth_of(const StepTime& t) { return bytes_of(t) / seconds_of(t) * 1e-9; }

// The fastest of each type that the model computes in, and the bandwidths of a small, a middle and a large working set.
void draw_roofs(Scatter& plot, const Result& r, const Machine& m) {
  double ridge = 0;
  for (const DType t : {DType::f32, parse_dtype(r.dtype)}) {
    const Peak* best = nullptr;
    for (const Peak& p : m.peaks)
      if (p.dtype == t && (!best || p.flops > best->flops)) best = &p;
    if (!best || best->flops * 1e-9 <= ridge) continue;
    ridge = best->flops * 1e-9;
    plot.svg.line(plot.x.from, plot.y.at(ridge), plot.x.to, plot.y.at(ridge), "roof");
    plot.svg.text(plot.x.to - 4, plot.y.at(ridge) - 5, str_cat(name_of(t), " ", best->name, ", ", digits(ridge)),
                  "tick end halo");
  }
  if (m.bandwidths.empty()) return;
  double part = 0.2;                               // of a line, where its text is
  for (const size_t i : {size_t{0}, m.bandwidths.size() / 2, m.bandwidths.size() - 1}) {
    const Bandwidth& b = m.bandwidths[i];
    const double rate = b.best() * 1e-9;           // GFLOP/s at one FLOP per byte
    const double first = std::max(plot.x.low, plot.y.low / rate), last = std::min(plot.x.high, ridge / rate);
    if (last <= first) continue;
    plot.svg.polyline({{plot.x.at(first), plot.y.at(first * rate)}, {plot.x.at(last), plot.y.at(last * rate)}}, "roof");
    const double at = first * std::pow(last / first, part);
    plot.svg.text(plot.x.at(at) + 6, plot.y.at(at * rate) + 6,
                  str_cat(digits(rate), " GB/s, ", size_text(static_cast<double>(b.bytes))), "tick halo");
    part += 0.25;
  }
}

}  // namespace

std::string_view kind_of(std::string_view op) {
  const OpRow* const row = find_op(op);
  return name_of(row ? row->op->role : Role::other);
}

std::string_view name_of_kind(std::string_view kind) {
  for (size_t i = 0; i < kKindNames.size(); ++i)
    if (name_of(static_cast<Role>(i)) == kind) return kKindNames[i];
  return kKindNames[0];
}

std::string kernel_plot(const Result& r) {
  struct Bar {
    std::string kernel;
    std::string_view op;
    double seconds = 0, least = 0;
    int steps = 0;
  };
  std::map<std::string, Bar> sums;
  for (const StepTime& t : r.steps) {
    Bar& b = sums[str_cat(t.step.op, " ", t.step.plan)];
    b = {t.step.plan, t.step.op, b.seconds + t.seconds, b.least + t.least_seconds, b.steps + 1};
  }
  std::vector<Bar> bars;
  for (const auto& [name, b] : sums) bars.push_back(b);
  std::sort(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) { return a.seconds > b.seconds; });
  constexpr size_t kMost = 14;
  if (bars.size() > kMost) {
    Bar rest{str_cat(bars.size() - kMost + 1, " more"), "", 0, 0, 0};
    for (size_t i = kMost - 1; i < bars.size(); ++i)
      rest = {rest.kernel, "", rest.seconds + bars[i].seconds, rest.least + bars[i].least, rest.steps + bars[i].steps};
    bars.resize(kMost - 1);
    bars.push_back(rest);
  }
  constexpr double kRow = 24, kBars = 300;
  Svg svg(kWidth, kRow * static_cast<double>(bars.size()) + 4);
  double longest = 0;
  for (const Bar& b : bars) longest = std::max(longest, b.seconds);
  const Axis x{0, longest, kBars, 800};
  const double total = r.steps_seconds();
  for (size_t i = 0; i < bars.size(); ++i) {
    const Bar& b = bars[i];
    const double y = kRow * static_cast<double>(i) + 2;
    const std::string_view kind = kind_of(b.op);
    svg.fitted_text(kBars - 10, y + 15, str_cat(b.op, b.op.empty() ? "" : "  ", b.kernel), kBars - 12, "end");
    svg.rect(kBars, y, x.at(b.seconds) - kBars, kRow - 6, str_cat("pale ", kind));
    if (b.least > 0)
      svg.rect(kBars, y, x.at(std::min(b.least, b.seconds)) - kBars, kRow - 6, kind,
               str_cat("the roofline allows ", duration_text(b.least)));
    std::string label = str_cat(duration_text(b.seconds), " · ", percent(b.seconds / total), " · ×", b.steps);
    if (b.least > 0) label += str_cat(" · roof ", percent(b.least / std::max(b.seconds, 1e-12)));
    svg.text(x.at(b.seconds) + 8, y + 14, label, "tick");
  }
  return svg.str("time of each kernel");
}

std::string timeline_plot(const Result& r) {
  constexpr size_t kDepths = 3;
  constexpr double kRow = 22;
  const std::vector<double> times = boundaries(r);
  const std::vector<Span> spans = module_spans(r);
  size_t rows = 1;
  for (const Span& s : spans) rows = std::max(rows, std::min(s.depth, kDepths - 1) + 2);
  const double bottom = kRow * static_cast<double>(rows) + 12;
  Svg svg(kWidth, bottom + 22);
  const Axis x{0, std::max(times.back(), 1e-9), kLeft, kRight};
  time_axis(svg, x, 0, bottom);
  for (const Span& s : spans) {
    if (s.depth >= kDepths) continue;
    const double from = x.at(times[s.first]), to = x.at(times[s.last + 1]), y = kRow * static_cast<double>(s.depth);
    svg.rect(
        from, y, to - from, kRow - 2, "module",
        str_cat(s.name, "\n", duration_text(times[s.last + 1] - times[s.first]), ", ",
                percent((times[s.last + 1] - times[s.first]) / times.back()), ", ", s.last - s.first + 1, " steps"));
    const size_t dot = s.name.rfind('.');
    svg.fitted_text(from + 4, y + 14, dot == std::string::npos ? s.name : s.name.substr(dot + 1), to - from - 6, "in");
  }
  const double y = kRow * static_cast<double>(rows - 1) + 2;
  for (size_t i = 0; i < r.steps.size(); ++i)
    svg.rect(x.at(times[i]), y, x.at(times[i + 1]) - x.at(times[i]), kRow,
             str_cat("cell ", kind_of(r.steps[i].step.op)), about(r.steps[i]));
  return svg.str("modules and steps over time");
}

std::string memory_plot(const Result& r) {
  constexpr double kTop = 6, kBottom = 256;
  const std::vector<double> times = boundaries(r);
  int64_t high = 1;
  for (const Block& b : r.memory) high = std::max(high, b.offset + b.bytes);
  Svg svg(kWidth, kBottom + 22);
  const Axis x{0, std::max(times.back(), 1e-9), kLeft, kRight};
  const Axis y{0, static_cast<double>(high), kBottom, kTop};
  time_axis(svg, x, kTop, kBottom);
  for (const double v : y.ticks(5)) {
    svg.line(kLeft, y.at(v), kRight, y.at(v), "grid");
    svg.text(kLeft - 6, y.at(v) + 4, v < 1 ? "0" : size_text(v), "tick end");
  }
  for (const Block& b : r.memory) {
    const double from = x.at(times[b.first]), to = x.at(times[std::min(b.last, r.steps.size() - 1) + 1]);
    const double top = y.at(static_cast<double>(b.offset + b.bytes)), low = y.at(static_cast<double>(b.offset));
    svg.rect(from, top, to - from, low - top, str_cat("cell ", kind_of(b.op)),
             str_cat(b.name, "\n", size_text(static_cast<double>(b.bytes)), " for ", b.last - b.first + 1, " steps"));
  }
  return svg.str("working memory over time");
}

std::string roofline_plot(const Result& r, const Machine& m) {
  std::vector<double> intensities{0.1, 100}, rates{10};
  for (const Peak& p : m.peaks) rates.push_back(p.flops * 1e-9);
  for (const StepTime& t : r.steps) {
    if (t.step.flops == 0) continue;
    intensities.push_back(intensity_of(t));
    rates.push_back(std::max(flops_of(t), 0.1));
  }
  const auto [x_low, x_high] = decades(intensities);
  const auto [y_low, y_high] = decades(rates);
  Scatter plot(x_low, x_high, y_low, y_high, "FLOP per byte", "GFLOP/s");
  draw_roofs(plot, r, m);
  plot.points(r, true, intensity_of, flops_of);
  return plot.svg.str("roofline");
}

std::string bandwidth_plot(const Result& r, const Machine& m) {
  std::vector<double> sizes, rates;
  for (const Bandwidth& b : m.bandwidths) {
    sizes.push_back(static_cast<double>(b.bytes));
    rates.insert(rates.end(), {b.read * 1e-9, b.copy * 1e-9});
  }
  for (const StepTime& t : r.steps) {
    sizes.push_back(std::max(bytes_of(t), 1e3));
    rates.push_back(std::max(bandwidth_of(t), 0.1));
  }
  const auto [x_low, x_high] = decades(sizes);
  const auto [y_low, y_high] = decades(rates);
  Scatter plot(x_low, x_high, y_low, y_high, "bytes read and written", "GB/s");
  std::vector<std::pair<double, double>> read, copy;
  for (const Bandwidth& b : m.bandwidths) {
    read.emplace_back(plot.x.at(static_cast<double>(b.bytes)), plot.y.at(b.read * 1e-9));
    copy.emplace_back(plot.x.at(static_cast<double>(b.bytes)), plot.y.at(b.copy * 1e-9));
  }
  plot.svg.polyline(read, "roof");
  plot.svg.polyline(copy, "roof dashed");
  if (!read.empty()) {
    plot.svg.text(read.back().first, read.back().second - 6, "read", "tick end");
    plot.svg.text(copy.back().first, copy.back().second + 14, "copy", "tick end");
  }
  plot.points(r, false, bytes_of, bandwidth_of);
  return plot.svg.str("bandwidth");
}

}  // namespace fovea::bench
