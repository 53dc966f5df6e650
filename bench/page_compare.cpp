// SPDX-License-Identifier: Apache-2.0
// bench/page_compare.cpp — the part of the page that sets two runs side by side.
#include <algorithm>

#include "bench/page_parts.h"
#include "bench/svg.h"

namespace fovea::bench {
namespace {

std::vector<std::string_view> kinds_of(const Comparison& c) {
  std::vector<std::string_view> out;
  for (const StepPair& p : c.pairs) out.push_back(p.any().kind);
  return out;
}

// Quicker or slower beyond what either run varied by itself.
std::string_view verdict(const StepPair& p) {
  if (!p.before || !p.now) return {};
  if (p.now->us_low > p.before->us_high) return "bad";
  return p.now->us_high < p.before->us_low ? "good" : "";
}

std::string kernel_cell(const StepPair& p) {
  if (!p.before) return text_cell(p.now->kernel + " (new)");
  if (!p.now) return text_cell(p.before->kernel + " (gone)");
  return text_cell(p.changed_kernel() ? str_cat(p.before->kernel, " → ", p.now->kernel) : p.now->kernel);
}

std::string pairs_table(const Comparison& c) {
  std::string s =
      "<table><thead><tr><th class='x'>#</th><th class='l'>module</th><th class='l x'>op</th><th class='l'>kernel</th>"
      "<th>µs before</th><th>µs now</th><th class='x'>change</th><th>ratio</th>"
      "<th class='l x'>operands → result</th></tr></thead><tbody>\n";
  for (size_t i = 0; i < c.pairs.size(); ++i) {
    const StepPair& p = c.pairs[i];
    s += str_cat("<tr>", number_cell(static_cast<double>(i), str_cat(i), "x"), text_cell(p.any().module),
                 text_cell(p.any().op, "l n x"), kernel_cell(p),
                 number_cell(p.before_us(), p.before ? digits(p.before_us()) : ""),
                 number_cell(p.now_us(), p.now ? digits(p.now_us()) : ""));
    s += number_cell(p.difference(), str_cat(p.difference() > 0 ? "+" : "", digits(p.difference())), "x");
    s += number_cell(p.ratio(), p.ratio() > 0 ? digits(p.ratio()) : "", verdict(p));
    s += text_cell(str_cat(p.any().operands, p.any().detail.empty() ? "" : "; ", p.any().detail), "l s x") + "</tr>\n";
  }
  return s + "</tbody></table>\n";
}

}  // namespace

std::string comparison_section(const Comparison& c) {
  const double machine = c.machine_ratio();
  std::string s = str_cat("<h2>Before and now</h2>\n<p>before: ", escaped(c.before.title()), "<br>now: ",
                          escaped(c.now.title()), "</p>\n");
  if (c.before.noisy || c.now.noisy)
    s += "<p class='warn'>Others used the machine during one of the runs: small differences mean nothing.</p>\n";
  s += tiles({{duration_text(c.before.median_ms * 1e-3), "whole run before"},
              {duration_text(c.now.median_ms * 1e-3), "whole run now"},
              {str_cat(digits(c.ratio()), "×"), "as quick as before"},
              {machine > 0 ? str_cat(digits(machine), "×") : "–", "the canary: the machine's own change"},
              {str_cat(c.changed_kernels()), "steps with another kernel"},
              {str_cat(c.alone()), "steps in one run alone"}});
  s += card("What changed most", "Pale bars: before. Full bars: now.",
            both_forms(kWide, [&](Room room) { return difference_plot(c, room); }) + legend(kinds_of(c)));
  s += card("Each step before and now", "Below the line it is quicker now; rings mark another kernel.",
            both_forms(kWide, [&](Room room) { return change_plot(c, room); }));
  return s + str_cat("<section class='card'><details open><summary>All ", c.pairs.size(),
                     " steps before and now</summary>\n<p>Ratios above 1: quicker now; in colour where the middle "
                     "eight tenths of the two runs do not meet.</p>\n",
                     pairs_table(c), "</details></section>\n");
}

}  // namespace fovea::bench
