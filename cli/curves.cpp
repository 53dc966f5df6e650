// SPDX-License-Identifier: Apache-2.0
#include "cli/curves.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "bench/svg.h"
#include "engine/core/text.h"

namespace fovea::cli {
namespace {

using Points = std::vector<std::pair<double, double>>;

constexpr double kWidth = 560, kHeight = 270, kLeft = 58, kRight = 548, kTop = 24, kBottom = 232;

Points finite(const Points& all) {
  Points out;
  for (const auto& p : all)
    if (std::isfinite(p.second)) out.push_back(p);
  return out;
}

// At most about as many as there are pixels: each the mean of its neighbours.
Points thinned(const Points& all, size_t most = 400) {
  if (all.size() <= most) return all;
  Points out;
  for (size_t part = 0; part < most; ++part) {
    const size_t first = part * all.size() / most, last = (part + 1) * all.size() / most;
    double x = 0, y = 0;
    for (size_t i = first; i < last; ++i) x += all[i].first, y += all[i].second;
    const auto n = static_cast<double>(last - first);
    out.emplace_back(x / n, y / n);
  }
  return out;
}

std::string tick_text(double v) {
  if (v == 0) return "0";
  const double size = std::fabs(v);
  if (size >= 1e4) return str_cat(bench::digits(v / 1000), "k");
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", v);
  return text;
}

bench::Axis x_axis(const std::vector<Curve>& curves) {
  double low = INFINITY, high = -INFINITY;
  for (const Curve& c : curves)
    for (const auto& [x, y] : c.points) low = std::min(low, x), high = std::max(high, x);
  if (high <= low) low -= 0.5, high += 0.5;
  return {low, high, kLeft, kRight};
}

bench::Axis y_axis(const std::vector<Curve>& curves, bool logarithmic) {
  double low = INFINITY, high = -INFINITY;
  for (const Curve& c : curves)
    for (const auto& [x, y] : c.points) low = std::min(low, y), high = std::max(high, y);
  if (logarithmic && low > 0 && high >= 1.5 * low)
    return {std::pow(10.0, std::floor(std::log10(low))), std::pow(10.0, std::ceil(std::log10(high))), kBottom, kTop,
            true};
  const double room = high > low ? 0.06 * (high - low) : std::max(std::fabs(high), 1e-9) * 0.1;
  low = low >= 0 && low < 0.5 * high ? 0 : low - room;
  return {low, high + room, kBottom, kTop};
}

void draw_axes(bench::Svg& svg, const bench::Axis& x, const bench::Axis& y, const Axes& axes) {
  double before = -100;
  for (const double v : x.ticks(7)) {
    if (v != std::floor(v) || x.at(v) - before < 30) continue;         // steps and epochs are whole
    before = x.at(v);
    svg.line(x.at(v), kTop, x.at(v), kBottom, "grid");
    svg.text(x.at(v), kBottom + 15, tick_text(v), "tick middle");
  }
  for (const double v : y.ticks(5)) {
    svg.line(kLeft, y.at(v), kRight, y.at(v), "grid");
    svg.text(kLeft - 6, y.at(v) + 4, tick_text(v), "tick end");
  }
  svg.text((kLeft + kRight) / 2, kHeight - 5, axes.x, "tick middle");
  svg.text(4, 13, axes.y, "tick");
}

// How dark a cell is, in ten shades.
int shade(double part) { return part <= 0 ? 0 : std::clamp(static_cast<int>(std::ceil(part * 10)), 1, 10); }

}  // namespace

const std::string_view kCurveStyle = R"css(
.curve { fill:none; stroke-width:2; stroke-linejoin:round } .curve.pale { stroke-width:1 }
.curve.conv { stroke:var(--conv); background:none } .curve.depthwise { stroke:var(--depthwise); background:none }
.curve.norm { stroke:var(--norm); background:none } .confusion { max-width:760px; margin:0 auto }
.s0 { fill:var(--module) } .s1,.s2,.s3,.s4,.s5,.s6,.s7,.s8,.s9,.s10 { fill:var(--conv) }
.s1 { fill-opacity:.10 } .s2 { fill-opacity:.19 } .s3 { fill-opacity:.28 } .s4 { fill-opacity:.37 }
.s5 { fill-opacity:.46 } .s6 { fill-opacity:.55 } .s7 { fill-opacity:.66 } .s8 { fill-opacity:.77 }
.s9 { fill-opacity:.88 } .s10 { fill-opacity:1 } svg .strong { fill:var(--card) }
)css";

std::string curve_plot(const std::vector<Curve>& curves, const Axes& axes) {
  std::vector<Curve> shown;
  for (const Curve& c : curves)
    if (Points points = finite(c.points); !points.empty())
      shown.push_back({c.name, c.kind, std::move(points), c.faint});
  if (shown.empty()) return "<p>nothing yet</p>\n";
  for (Curve& c : shown) c.points = thinned(c.points);
  bench::Svg svg(kWidth, kHeight);
  const bench::Axis x = x_axis(shown), y = y_axis(shown, axes.logarithmic);
  draw_axes(svg, x, y, axes);
  std::string legend = "<div class='legend'>";
  for (const Curve& c : shown) {
    Points at;
    for (const auto& [px, py] : c.points) at.emplace_back(x.at(px), y.at(py));
    svg.polyline(at, str_cat("curve ", c.kind, c.faint ? " pale" : ""));
    if (!c.faint && at.size() <= 60)
      for (size_t i = 0; i < at.size(); ++i)
        svg.circle(at[i].first, at[i].second, 2.6, c.kind,
                   str_cat(c.name, ", ", axes.x, " ", tick_text(c.points[i].first), ": ", c.points[i].second));
    legend += str_cat("<span><i class='", c.kind, c.faint ? " pale" : "", "'></i>", bench::escaped(c.name), "</span>");
  }
  return svg.str(axes.y) + legend + "</div>\n";
}

std::string confusion_plot(const train::Mistakes& m, const std::vector<std::string>& classes) {
  constexpr double kNames = 150, kHead = 26;
  const auto n = static_cast<double>(m.classes());
  const double cell = std::min(56.0, 600 / n), width = kNames + cell * n + 4, height = kHead + cell * n + 4;
  const bool numbers = m.classes() <= 16, names = m.classes() <= 40;
  bench::Svg svg(width, height);
  for (size_t is = 0; is < m.classes(); ++is) {
    const double top = kHead + cell * static_cast<double>(is), middle = top + cell / 2 + 4;
    const train::Mistakes::Figures f = m.figures(is);
    if (names) {
      svg.fitted_text(kNames - 8, middle, str_cat(classes[is], "  ", is), kNames - 10, "end");
      svg.text(kNames + cell * (static_cast<double>(is) + 0.5), kHead - 8, str_cat(is), "tick middle");
    }
    for (size_t said = 0; said < m.classes(); ++said) {
      const double left = kNames + cell * static_cast<double>(said);
      const int64_t count = m.count(is, said);
      const int dark = shade(f.is > 0 ? static_cast<double>(count) / static_cast<double>(f.is) : 0);
      svg.rect(left + 0.5, top + 0.5, cell - 1, cell - 1, str_cat("s", dark),
               str_cat(count, " of ", f.is, " of ", classes[is], " taken for ", classes[said]));
      if (numbers && count > 0)
        svg.text(left + cell / 2, middle, str_cat(count), dark >= 7 ? "in middle strong" : "in middle");
    }
  }
  return "<div class='confusion'>" + svg.str("who is taken for whom") + "</div>\n";
}

}  // namespace fovea::cli
