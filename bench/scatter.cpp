// SPDX-License-Identifier: Apache-2.0
#include "bench/scatter.h"

#include <algorithm>
#include <cmath>

namespace fovea::bench {
namespace {

constexpr double kLeft = 52, kBottom = 44, kTop = 24, kRight = 16, kLine = 13;

// The powers of ten around some values.
std::pair<double, double> decades(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double least = std::max(*low, 1e-9);
  const double from = std::floor(std::log10(least)), to = std::ceil(std::log10(std::max(*high, least)));
  return {std::pow(10.0, from), std::pow(10.0, std::max(to, from + 1))};
}

// A power of ten as people write it: 0.1, 10, 1000 and what is larger with k, M, G.
std::string power_text(double v) {
  if (v >= 1e9) return str_cat(std::llround(v * 1e-9), "G");
  if (v >= 1e6) return str_cat(std::llround(v * 1e-6), "M");
  if (v >= 1e3) return str_cat(std::llround(v * 1e-3), "k");
  if (v >= 1) return str_cat(std::llround(v));
  std::string text = "0.";
  for (double rest = v * 10; rest < 0.999; rest *= 10) text += "0";
  return text + "1";
}

Axis axis(const std::vector<double>& values, double from, double to) {
  const auto [low, high] = decades(values);
  return {low, high, from, to, true};
}

}  // namespace

Scatter::Scatter(Room room, const std::vector<double>& xs, const std::vector<double>& ys, std::string_view x_name,
                 std::string_view y_name)
    : high_(room.narrow ? 330 : 380),
      svg_(room.width, high_),
      x_(axis(xs, kLeft, room.width - kRight)),
      y_(axis(ys, high_ - kBottom, kTop)),
      taken_(room.width - 2, high_ - kBottom) {
  for (const double v : x_.ticks()) {
    svg_.line(x_.at(v), y_.from, x_.at(v), y_.to, "grid");
    svg_.text(x_.at(v), y_.from + 15, power_text(v), "tick middle");
  }
  for (const double v : y_.ticks()) {
    svg_.line(x_.from, y_.at(v), x_.to, y_.at(v), "grid");
    svg_.text(x_.from - 6, y_.at(v) + 4, power_text(v), "tick end");
  }
  svg_.text((x_.from + x_.to) / 2, high_ - 8, x_name, "tick middle");
  svg_.text(4, 13, y_name, "tick");
  taken_.add({0, 0, kLeft + 3, high_});            // the axis and its numbers
  taken_.add({0, 0, 4 + text_width(y_name), kTop - 6});
}

void Scatter::point(double x, double y, double radius, std::string_view kind, std::string_view tip) {
  const double px = x_.at(x), py = y_.at(y);
  svg_.circle(px, py, radius, kind, tip);
  taken_.add({px - radius, py - radius, 2 * radius, 2 * radius});
}

void Scatter::line(std::pair<double, double> from, std::pair<double, double> to, std::string_view kind,
                   std::string_view label) {
  const double x0 = x_.at(from.first), y0 = y_.at(from.second), x1 = x_.at(to.first), y1 = y_.at(to.second);
  svg_.line(x0, y0, x1, y1, kind);
  constexpr double kApart = 5;                     // labels keep clear of lines, too
  const int pieces = static_cast<int>(std::hypot(x1 - x0, y1 - y0) / kApart) + 1;
  for (int i = 0; i <= pieces; ++i)
    taken_.add({x0 + (x1 - x0) * i / pieces - 1, y0 + (y1 - y0) * i / pieces - 1, 2, 2});
  if (!label.empty()) labels_.push_back({x0, y0, x1, y1, 3, std::string(label)});
}

void Scatter::label(double x, double y, double radius, std::string_view text) {
  labels_.push_back({x_.at(x), y_.at(y), x_.at(x), y_.at(y), radius + 2, std::string(text)});
}

// Along the line, on either side of it: the first place that is free.
void Scatter::place(const Label& l) {
  constexpr int kPlaces = 24;
  const double w = text_width(l.text), slope = (l.y1 - l.y0) / std::max(l.x1 - l.x0, 1e-9);
  const bool dot = l.x0 == l.x1 && l.y0 == l.y1;
  for (int i = 0; i <= (dot ? 0 : kPlaces); ++i) {
    const double part = static_cast<double>(i) / kPlaces, x = l.x0 + part * (l.x1 - l.x0),
                 y = l.y0 + part * (l.y1 - l.y0);
    const double rise = dot ? 0 : std::fabs(slope) * w;      // how far the line climbs over the text
    const std::pair<double, double> corners[] = {
        {x + l.radius, dot ? y - kLine / 2 : y + l.radius},                          // right, or below
        {x - l.radius - w, dot ? y - kLine / 2 : y - kLine - l.radius},              // left, or above
        {x - w / 2, y - l.radius - kLine - rise / 2},
        {x - w / 2, y + l.radius + rise / 2}};
    for (const auto& [left, top] : corners) {
      const Taken::Box box{left, top, w, kLine};
      if (!taken_.free(box)) continue;
      svg_.text(left, top + 10.5, l.text, "tick halo");
      taken_.add(box);
      return;
    }
  }
}

std::string Scatter::str(std::string_view name) {
  for (const Label& l : labels_) place(l);
  return svg_.str(name);
}

}  // namespace fovea::bench
