// SPDX-License-Identifier: Apache-2.0
// bench/svg.h — Svg: the few shapes that plots are made of, and axes that turn values into places.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace fovea::bench {

std::string escaped(std::string_view text);        // for HTML and SVG
/// "1.24", "37.5", "812": three digits, no more.
std::string digits(double v);
std::string percent(double share);                 // "4.2 %"
std::string size_text(double bytes);               // "82.1 kB", "9.63 MB"
std::string duration_text(double seconds);         // "812 µs", "12.4 ms", "1.30 s"
/// About as wide as this is in the plots' font, or wider.
double text_width(std::string_view text);

/// Values from low to high lie between two coordinates, linearly or by their logarithms.
struct Axis {
  double low = 0, high = 1;
  double from = 0, to = 1;
  bool logarithmic = false;
  double at(double value) const;
  /// Round values, about this many; powers of ten when logarithmic.
  std::vector<double> ticks(int about = 6) const;
};

/// What stands in a plot already, so that labels find a place of their own.
class Taken {
 public:
  struct Box {
    double x, y, w, h;
  };
  Taken(double width, double height) : width_(width), height_(height) {}
  void add(const Box& b) { boxes_.push_back(b); }
  /// Inside the plot, and away from all that was added.
  bool free(const Box& b) const;

 private:
  double width_, height_;
  std::vector<Box> boxes_;
};

/// Colours and fonts are the page's: shapes name classes of its style sheet.
class Svg {
 public:
  Svg(double width, double height) : width_(width), height_(height) {}
  void rect(double x, double y, double w, double h, std::string_view kind, std::string_view tip = {});
  void circle(double x, double y, double r, std::string_view kind, std::string_view tip = {});
  void line(double x1, double y1, double x2, double y2, std::string_view kind);
  void polyline(const std::vector<std::pair<double, double>>& points, std::string_view kind);
  void text(double x, double y, std::string_view what, std::string_view kind = {});
  /// A text that is cut, or left out, where it is wider than this.
  void fitted_text(double x, double y, std::string_view what, double width, std::string_view kind = {});
  std::string str(std::string_view label) const;   // the whole element; the label is for those who cannot see it

 private:
  void close(std::string_view tip);
  double width_, height_;
  std::string body_;
};

}  // namespace fovea::bench
