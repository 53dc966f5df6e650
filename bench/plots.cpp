// SPDX-License-Identifier: Apache-2.0
#include "bench/plots.h"

#include <algorithm>
#include <map>

#include "bench/detail.h"
#include "bench/spans.h"
#include "bench/svg.h"

namespace fovea::bench {
namespace {

constexpr double kLeft = 64, kMargin = 30;         // of the plots over time; the margin holds half of the last number

Axis time_axis(Svg& svg, double seconds, Room room, double top, double bottom) {
  const Axis x{0, std::max(seconds, 1e-9), kLeft, room.width - kMargin};
  for (const double t : x.ticks(room.narrow ? 4 : 8)) {
    svg.line(x.at(t), top, x.at(t), bottom, "grid");
    svg.text(x.at(t), bottom + 15, t == 0 ? "0" : duration_text(t), "tick middle");
  }
  return x;
}

// The time of all steps that one kernel ran.
struct Bar {
  std::string name;
  std::string_view kind;
  double seconds = 0, least = 0;
  int steps = 0;
};

std::vector<Bar> bars_of(const Result& r, size_t most) {
  std::map<std::string, Bar> sums;
  for (const StepTime& t : r.steps) {
    const std::string_view kind = kind_of(t.step);
    Bar& b = sums[str_cat(t.step.op, " ", t.step.plan, kind)];
    b = {str_cat(t.step.op, "  ", t.step.plan), kind, b.seconds + t.seconds, b.least + t.least_seconds, b.steps + 1};
  }
  std::vector<Bar> bars;
  for (const auto& [name, b] : sums) bars.push_back(b);
  std::sort(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) { return a.seconds > b.seconds; });
  if (bars.size() <= most) return bars;
  Bar rest{str_cat(bars.size() - most + 1, " more"), "other"};
  for (size_t i = most - 1; i < bars.size(); ++i)
    rest = {rest.name, rest.kind, rest.seconds + bars[i].seconds, rest.least + bars[i].least,
            rest.steps + bars[i].steps};
  bars.resize(most - 1);
  bars.push_back(rest);
  return bars;
}

std::string bar_label(const Bar& b, double total) {
  std::string label = str_cat(duration_text(b.seconds), " · ", percent(b.seconds / total), " · ×", b.steps);
  if (b.least > 0) label += str_cat(" · roof ", percent(b.least / std::max(b.seconds, 1e-12)));
  return label;
}

}  // namespace

std::string about(const StepTime& t) {
  const double seconds = std::max(t.seconds, 1e-9);
  const std::string more = detail(t.step);
  std::string s = str_cat(t.step.scope, "  ", t.step.op, "\n", t.step.plan, "\n", shapes(t.step),
                          more.empty() ? "" : "\n" + more, "\n", duration_text(t.seconds));
  if (t.high > 0) s += str_cat(" (", duration_text(t.low), " to ", duration_text(t.high), ")");
  if (t.step.flops > 0) s += str_cat(", ", digits(static_cast<double>(t.step.flops) / seconds * 1e-9), " GFLOP/s");
  s += str_cat(", ", digits(static_cast<double>(t.step.bytes) / seconds * 1e-9), " GB/s");
  if (t.least_seconds > 0) s += str_cat("\n", percent(t.least_seconds / seconds), " of the roofline");
  return s;
}

// With room, names stand left of the bars; without, above them.
std::string kernel_plot(const Result& r, Room room) {
  const std::vector<Bar> bars = bars_of(r, 14);
  const double row = room.narrow ? 42 : 24, left = room.narrow ? 0 : 310, down = room.narrow ? 16 : 0;
  Svg svg(room.width, row * static_cast<double>(bars.size()) + 4);
  const double total = r.steps_seconds();
  double longest = 1e-12, widest = 0;
  for (const Bar& b : bars) {
    longest = std::max(longest, b.seconds);
    widest = std::max(widest, text_width(bar_label(b, total)));
  }
  const Axis x{0, longest, left, room.width - widest - 12};
  for (size_t i = 0; i < bars.size(); ++i) {
    const Bar& b = bars[i];
    const double y = row * static_cast<double>(i) + 2;
    if (room.narrow) svg.fitted_text(0, y + 11, b.name, room.width);
    else svg.fitted_text(left - 10, y + 15, b.name, left - 12, "end");
    svg.rect(left, y + down, x.at(b.seconds) - left, 18, str_cat("pale ", b.kind));
    if (b.least > 0)
      svg.rect(left, y + down, x.at(std::min(b.least, b.seconds)) - left, 18, b.kind,
               str_cat("the roofline allows ", duration_text(b.least)));
    svg.text(x.at(b.seconds) + 8, y + down + 13, bar_label(b, total), "tick");
  }
  return svg.str("time of each kernel");
}

std::string timeline_plot(const Result& r, Room room) {
  constexpr size_t kDepths = 3;
  constexpr double kRow = 22;
  const std::vector<double> times = boundaries(r);
  const std::vector<Span> spans = module_spans(r);
  size_t rows = 1;
  for (const Span& s : spans) rows = std::max(rows, std::min(s.depth, kDepths - 1) + 2);
  const double bottom = kRow * static_cast<double>(rows) + 12;
  Svg svg(room.width, bottom + 22);
  const Axis x = time_axis(svg, times.back(), room, 0, bottom);
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
    svg.rect(x.at(times[i]), y, x.at(times[i + 1]) - x.at(times[i]), kRow, str_cat("cell ", kind_of(r.steps[i].step)),
             about(r.steps[i]));
  return svg.str("modules and steps over time");
}

std::string memory_plot(const Result& r, Room room) {
  constexpr double kTop = 6, kBottom = 256;
  const std::vector<double> times = boundaries(r);
  int64_t high = 1;
  for (const Block& b : r.memory) high = std::max(high, b.offset + b.bytes);
  Svg svg(room.width, kBottom + 22);
  const Axis x = time_axis(svg, times.back(), room, kTop, kBottom);
  const Axis y{0, static_cast<double>(high), kBottom, kTop};
  for (const double v : y.ticks(5)) {
    svg.line(kLeft, y.at(v), x.to, y.at(v), "grid");
    svg.text(kLeft - 6, y.at(v) + 4, v < 1 ? "0" : size_text(v), "tick end");
  }
  for (const Block& b : r.memory) {
    const double from = x.at(times[b.first]), to = x.at(times[std::min(b.last, r.steps.size() - 1) + 1]);
    const double top = y.at(static_cast<double>(b.offset + b.bytes)), low = y.at(static_cast<double>(b.offset));
    svg.rect(from, top, to - from, low - top, str_cat("cell ", kind_of(r.steps[b.first].step)),
             str_cat(b.name, "\n", size_text(static_cast<double>(b.bytes)), " for ", b.last - b.first + 1, " steps"));
  }
  return svg.str("working memory over time");
}

std::string histogram_plot(const Result& r, Room room) {
  constexpr double kTop = 20, kBottom = 150;
  const Histogram h = histogram(r.ms);
  Svg svg(room.width, kBottom + 34);
  const double from = h.from, to = h.width > 0 ? from + h.width * static_cast<double>(h.counts.size()) : from * 1.01;
  const Axis x{from, to, 34, room.width - kMargin};
  const int64_t most = *std::max_element(h.counts.begin(), h.counts.end());
  const Axis y{0, static_cast<double>(most), kBottom, kTop};
  for (const double v : x.ticks(room.narrow ? 4 : 6)) {
    svg.line(x.at(v), kTop, x.at(v), kBottom, "grid");
    svg.text(x.at(v), kBottom + 15, duration_text(v * 1e-3), "tick middle");
  }
  svg.text(28, kBottom + 4, "0", "tick end");
  svg.text(28, kTop + 4, str_cat(most), "tick end");
  const double wide = (x.to - x.from) / static_cast<double>(h.counts.size());
  for (size_t i = 0; i < h.counts.size(); ++i)
    if (h.counts[i] > 0)
      svg.rect(x.from + wide * static_cast<double>(i), y.at(static_cast<double>(h.counts[i])), wide - 1,
               kBottom - y.at(static_cast<double>(h.counts[i])), "conv",
               str_cat(h.counts[i], " runs from ", duration_text((from + h.width * static_cast<double>(i)) * 1e-3)));
  double end = 0;                                  // of the last mark's name
  for (const auto& [name, part] : {std::pair{"p50", 0.5}, std::pair{"p90", 0.9}, std::pair{"p99", 0.99}}) {
    const double at = x.at(quantile(r.ms, part)), width = text_width(name);
    svg.line(at, kTop - 4, at, kBottom, "roof dashed");
    if (at - width / 2 > end) svg.text(at, kTop - 8, name, "tick middle"), end = at + width / 2 + 6;
  }
  return svg.str("times of whole runs");
}

}  // namespace fovea::bench
