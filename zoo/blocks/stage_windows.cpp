// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/stage_windows.cpp — windows as text, and their rules for other grids.
#include "zoo/blocks/stage_windows.h"

#include <algorithm>
#include <vector>

#include "zoo/settings.h"

namespace fovea::zoo {
namespace {

bool read_window(std::string_view text, Size2& v) {
  const size_t by = text.find('x');
  bool fits = read_setting(text.substr(0, by), v.h);
  if (by == std::string_view::npos) v.w = v.h;
  else fits = fits && read_setting(text.substr(by + 1), v.w);
  return fits && v.h > 0 && v.w > 0;
}

// One for all stages, or one each.
template <class T>
const T& of_stage(const std::vector<T>& all, size_t i, std::string_view what) {
  if (all.size() != 1 && all.size() != 4)
    throw Error(Error::Kind::argument, str_cat(all.size(), " window ", what, " for 4 stages"),
                "give one, or one a stage");
  return all[all.size() == 1 ? 0 : i];
}

int positive(int v, std::string_view what) {
  if (v < 1) throw Error(Error::Kind::argument, str_cat("a window ", what, " is ", v));
  return v;
}

}  // namespace

bool read_setting(std::string_view text, StageWindows& v) {
  std::vector<Size2> each;
  const bool crossed = text.find('x') != std::string_view::npos;
  for (;;) {
    const size_t comma = text.find(',');
    if (!read_window(text.substr(0, comma), each.emplace_back())) return false;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (each.size() == 2 && !crossed) each = {Size2(each[0].h, each[1].h)};
  if (each.size() != 1 && each.size() != 4) return false;
  for (size_t i = 0; i < 4; ++i) v.of[i] = each[each.size() == 1 ? 0 : i];
  return true;
}

std::string write_setting(const StageWindows& v) {
  const auto text = [](Size2 w) { return w.h == w.w ? str_cat(w.h) : str_cat(w.h, 'x', w.w); };
  if (std::ranges::count(v.of, v.of[0]) == 4) return text(v.of[0]);
  return join(std::vector<std::string>{text(v.of[0]), text(v.of[1]), text(v.of[2]), text(v.of[3])}, ",");
}

bool read_setting(std::string_view text, GivenWindows& v) {
  if (text == "none") return v = {}, true;
  return read_setting(text, static_cast<StageWindows&>(v));
}

std::string write_setting(const GivenWindows& v) {
  return v ? write_setting(static_cast<const StageWindows&>(v)) : "none";
}

StageWindows WindowReference::fit(Size2 to, const WindowOptions& o) {
  StageWindows out = windows;
  for (size_t i = 0; i < 4; ++i) {
    Size2& w = out.of[i];
    if (!o.sizes.empty()) {
      const std::array<int, 2> size = of_stage(o.sizes, i, "sizes");
      w = {positive(size[0], "height"), positive(size[1], "width")};
    } else if (!o.ratios.empty()) {
      const int ratio = positive(of_stage(o.ratios, i, "ratios"), "ratio");
      w = {std::max(1, to.h / ratio), std::max(1, to.w / ratio)};
    } else {
      w = {std::max(1, w.h * to.h / grid.h), std::max(1, w.w * to.w / grid.w)};
    }
  }
  if (!o.sizes.empty() || !o.ratios.empty()) *this = {out, to};
  return out;
}

}  // namespace fovea::zoo
