// SPDX-License-Identifier: Apache-2.0
#include "bench/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "engine/core/text.h"

namespace fovea::bench {
namespace {

constexpr double kLetter = 6.6;                    // the width of one in the plots' font, in wide ones of systems

bool starts_letter(char c) { return (c & 0xC0) != 0x80; }

std::string place(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", v);
  std::string s = text;
  if (s.ends_with(".0")) s.resize(s.size() - 2);
  return s == "-0" ? "0" : s;
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text)
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  return out;
}

std::string digits(double v) {
  char text[32];
  const double size = std::fabs(v);
  std::snprintf(text, sizeof text, size >= 99.95 ? "%.0f" : size >= 9.995 ? "%.1f" : "%.2f", v);
  return text;
}

std::string percent(double share) { return str_cat(digits(100 * share), " %"); }
std::string size_text(double bytes) {
  return bytes < 1e6 ? str_cat(digits(bytes * 1e-3), " kB") : str_cat(digits(bytes * 1e-6), " MB");
}

std::string duration_text(double seconds) {
  if (seconds < 1e-3) return str_cat(digits(seconds * 1e6), " µs");
  return seconds < 1 ? str_cat(digits(seconds * 1e3), " ms") : str_cat(digits(seconds), " s");
}

double text_width(std::string_view text) {
  return kLetter * static_cast<double>(std::count_if(text.begin(), text.end(), starts_letter));
}

bool Taken::free(const Box& b) const {
  if (b.x < 0 || b.y < 0 || b.x + b.w > width_ || b.y + b.h > height_) return false;
  return std::none_of(boxes_.begin(), boxes_.end(), [&](const Box& o) {
    return b.x < o.x + o.w && o.x < b.x + b.w && b.y < o.y + o.h && o.y < b.y + b.h;
  });
}

double Axis::at(double value) const {
  const double part = logarithmic ? std::log(std::clamp(value, low, high) / low) / std::log(high / low)
                                  : (value - low) / (high - low);
  return from + part * (to - from);
}

std::vector<double> Axis::ticks(int about) const {
  std::vector<double> out;
  if (logarithmic) {
    for (double v = std::pow(10.0, std::ceil(std::log10(low) - 1e-9)); v <= high * 1.0001; v *= 10) out.push_back(v);
    return out;
  }
  const double rough = (high - low) / about, power = std::pow(10.0, std::floor(std::log10(rough)));
  const double part = rough / power, step = (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10) * power;
  for (double v = std::ceil(low / step) * step; v <= high * 1.0001; v += step) out.push_back(v);
  return out;
}

void Svg::close(std::string_view tip) { body_ += tip.empty() ? "/>\n" : str_cat("><title>", escaped(tip), "</title>"); }

void Svg::rect(double x, double y, double w, double h, std::string_view kind, std::string_view tip) {
  body_ += str_cat("<rect x='", place(x), "' y='", place(y), "' width='", place(std::max(w, 0.3)), "' height='",
                   place(std::max(h, 0.3)), "' class='", kind, "'");
  close(tip);
  if (!tip.empty()) body_ += "</rect>\n";
}

void Svg::circle(double x, double y, double r, std::string_view kind, std::string_view tip) {
  body_ += str_cat("<circle cx='", place(x), "' cy='", place(y), "' r='", place(r), "' class='", kind, "'");
  close(tip);
  if (!tip.empty()) body_ += "</circle>\n";
}

void Svg::line(double x1, double y1, double x2, double y2, std::string_view kind) {
  body_ += str_cat("<line x1='", place(x1), "' y1='", place(y1), "' x2='", place(x2), "' y2='", place(y2), "' class='",
                   kind, "'/>\n");
}

void Svg::polyline(const std::vector<std::pair<double, double>>& points, std::string_view kind) {
  body_ += "<polyline points='";
  for (const auto& [x, y] : points) body_ += str_cat(place(x), ",", place(y), " ");
  body_ += str_cat("' class='", kind, "'/>\n");
}

void Svg::text(double x, double y, std::string_view what, std::string_view kind) {
  body_ += str_cat("<text x='", place(x), "' y='", place(y), "'", kind.empty() ? "" : str_cat(" class='", kind, "'"),
                   ">", escaped(what), "</text>\n");
}

void Svg::fitted_text(double x, double y, std::string_view what, double width, std::string_view kind) {
  if (text_width(what) <= width) return text(x, y, what, kind);
  const auto room = static_cast<size_t>(std::max(0.0, width / kLetter));
  if (room < 4) return;
  size_t end = 0;
  for (size_t letters = 0; end < what.size(); ++end)
    if (starts_letter(what[end]) && ++letters == room) break;
  text(x, y, str_cat(what.substr(0, end), "…"), kind);
}

std::string Svg::str(std::string_view label) const {
  return str_cat("<svg viewBox='0 0 ", place(width_), " ", place(height_), "' role='img' aria-label='", escaped(label),
                 "'>\n", body_, "</svg>\n");
}

}  // namespace fovea::bench
