// SPDX-License-Identifier: Apache-2.0
// bench/page_parts.h — what pages are made of: their style, cards, tiles, cells, plots in two forms.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "bench/plots.h"

namespace fovea::bench {

extern const std::string_view kStyle, kScript;     // page_parts.cpp

/// A number with its name, for the grid at the top of a section.
std::string tile(std::string_view value, std::string_view name);
std::string tiles(const std::vector<std::pair<std::string, std::string>>& values_and_names);
/// A box with a title, a sentence about it, and content that is HTML already.
std::string card(std::string_view title, std::string_view about, std::string_view content);
/// Two cards beside each other where there is room.
std::string pair_of_cards(std::string_view left, std::string_view right);

/// A cell that sorts by `v`; `more`: further classes, "x" for columns that narrow pages leave out.
std::string number_cell(double v, std::string_view shown, std::string_view more = {});
std::string text_cell(std::string_view v, std::string_view kind = "l");

/// A plot in the form for wide pages and in that for narrow ones; the page shows one of them.
template <class Plot>
std::string both_forms(Room wide, const Plot& plot) {
  return "<div class='wide'>" + plot(wide) + "</div><div class='narrow'>" + plot(kNarrow) + "</div>\n";
}

/// The colours of these kinds.
std::string legend(const std::vector<std::string_view>& kinds);

/// What changed between two runs.
std::string comparison_section(const Comparison& c);

}  // namespace fovea::bench
