// SPDX-License-Identifier: Apache-2.0
// bench/change_plots.cpp — the plot of the steps whose time differs most between two runs.
#include <algorithm>
#include <cmath>

#include "bench/plots.h"
#include "bench/svg.h"

namespace fovea::bench {
namespace {

std::string change_label(const StepPair& p) {
  if (!p.before) return str_cat("new, ", duration_text(p.now->us * 1e-6));
  if (!p.now) return str_cat("gone, ", duration_text(p.before->us * 1e-6));
  return str_cat(duration_text(p.before->us * 1e-6), " → ", duration_text(p.now->us * 1e-6), " · ",
                 digits(p.ratio()), "×");
}

std::string change_tip(const StepPair& p) {
  const std::string kernel = !p.before            ? p.now->kernel
                             : !p.now             ? p.before->kernel
                             : p.changed_kernel() ? str_cat(p.before->kernel, " → ", p.now->kernel)
                                                  : p.now->kernel;
  return str_cat(p.any().module, "  ", p.any().op, "\n", kernel, "\n", p.any().operands, "\n", p.any().detail);
}

}  // namespace

// Two bars a step: the pale one is the time before, the other the time now.
std::string difference_plot(const Comparison& c, Room room) {
  constexpr size_t kMost = 16;
  std::vector<const StepPair*> order;
  for (const StepPair& p : c.pairs) order.push_back(&p);
  std::stable_sort(order.begin(), order.end(), [](const StepPair* a, const StepPair* b) {
    return std::fabs(a->difference()) > std::fabs(b->difference());
  });
  order.resize(std::min(order.size(), kMost));
  const double row = room.narrow ? 44 : 26, left = room.narrow ? 0 : 310, down = room.narrow ? 16 : 0;
  Svg svg(room.width, row * static_cast<double>(order.size()) + 4);
  double longest = 1e-9, widest = 0;
  for (const StepPair* p : order) {
    longest = std::max({longest, p->before_us(), p->now_us()});
    widest = std::max(widest, text_width(change_label(*p)));
  }
  const Axis x{0, longest, left, room.width - widest - 12};
  for (size_t i = 0; i < order.size(); ++i) {
    const StepPair& p = *order[i];
    const double y = row * static_cast<double>(i) + 2;
    const std::string name = str_cat(p.any().module, p.any().module.empty() ? "" : "  ", p.any().op,
                                     p.changed_kernel() ? "  (other kernel)" : "");
    if (room.narrow) svg.fitted_text(0, y + 11, name, room.width);
    else svg.fitted_text(left - 10, y + 15, name, left - 12, "end");
    svg.rect(left, y + down, x.at(p.before_us()) - left, 9, str_cat("pale ", p.any().kind), change_tip(p));
    svg.rect(left, y + down + 10, x.at(p.now_us()) - left, 9, p.any().kind, change_tip(p));
    svg.text(x.at(std::max(p.before_us(), p.now_us())) + 8, y + down + 13, change_label(p), "tick");
  }
  return svg.str("steps whose time changed most");
}

}  // namespace fovea::bench
