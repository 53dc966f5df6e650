// SPDX-License-Identifier: Apache-2.0
// bench/page.cpp — results as one HTML page: tiles, plots and a table of all steps; nothing is loaded from elsewhere.
#include <algorithm>

#include "bench/page_parts.h"
#include "bench/plots.h"
#include "bench/result.h"
#include "bench/svg.h"

namespace fovea::bench {
namespace {

std::string tiles(const Result& r) {
  std::string s = "<div class='tiles'>\n";
  s += tile(duration_text(r.median_ms() * 1e-3), "median");
  s += tile(digits(r.images_per_second()), "images a second");
  s += tile(duration_text(r.first_ms * 1e-3), "first run");
  if (r.macs > 0) s += tile(digits(r.macs * 1e-9), "GMAC an image");
  s += tile(digits(static_cast<double>(r.parameters) * 1e-6), "M parameters");
  s += tile(size_text(static_cast<double>(r.arena_bytes)), "working memory");
  s += tile(size_text(static_cast<double>(r.constant_bytes)), "constants");
  if (r.least_seconds() > 0) s += tile(percent(r.least_seconds() / r.steps_seconds()), "of the roofline");
  return s + "</div>\n";
}

std::string legend(const Result& r) {
  std::vector<std::string_view> kinds;
  for (const StepTime& t : r.steps) {
    const std::string_view kind = kind_of(t.step.op);
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) kinds.push_back(kind);
  }
  std::string s = "<div class='legend'>";
  for (const std::string_view kind : kinds)
    s += str_cat("<span><i class='", kind, "'></i>", name_of_kind(kind), "</span>");
  return s + "</div>\n";
}

std::string steps_table(const Result& r) {
  const double total = r.steps_seconds();
  const bool measured = r.least_seconds() > 0;
  double longest = 1e-12;
  for (const StepTime& t : r.steps) longest = std::max(longest, t.seconds);
  std::string s = "<table><thead><tr><th>#</th><th class='l'>module</th><th class='l'>op</th><th class='l'>kernel</th>"
                  "<th>µs</th><th class='l'>share</th><th>GFLOP/s</th><th>GB/s</th>";
  s += str_cat(measured ? "<th>roof</th>" : "", "<th class='l'>operands → result</th></tr></thead><tbody>\n");
  for (size_t i = 0; i < r.steps.size(); ++i) {
    const StepTime& t = r.steps[i];
    const double seconds = std::max(t.seconds, 1e-9), share = t.seconds / total;
    const double flops = static_cast<double>(t.step.flops) / seconds,
                 bytes = static_cast<double>(t.step.bytes) / seconds;
    s += str_cat("<tr>", number_cell(static_cast<double>(i), str_cat(i)), text_cell(t.step.scope), text_cell(t.step.op),
                 text_cell(t.step.plan), number_cell(t.seconds * 1e6, digits(t.seconds * 1e6)));
    s += str_cat("<td class='l' data-v='", share, "'><span class='bar ", kind_of(t.step.op),
                 "' style='width:", digits(64 * t.seconds / longest), "px'></span>", percent(share), "</td>");
    s += number_cell(flops, t.step.flops > 0 ? digits(flops * 1e-9) : "") + number_cell(bytes, digits(bytes * 1e-9));
    if (measured) s += number_cell(t.least_seconds / seconds, percent(t.least_seconds / seconds));
    s += text_cell(shapes(t.step), "l s") + "</tr>\n";
  }
  return s + "</tbody></table>\n";
}

std::string model_section(const Result& r, const Machine& m) {
  std::string s =
      str_cat("<h2 id='", escaped(r.model), "'>", escaped(r.model), "</h2>\n<p>", r.train ? "training" : "inference",
              ", batch ", r.batch, ", ", r.height, " × ", r.width, ", ", escaped(r.dtype), ", ", r.threads,
              r.threads == 1 ? " thread" : " threads", ", median of ", r.ms.size(), " runs</p>\n", tiles(r));
  s += card("Time of each kernel",
            m.measured()
                ? "Whole bars: what it took. Solid parts: the least that the measured machine could take for the same "
                  "products and bytes (direct convolutions counted; Winograd's may need less)."
                : "The sum over the steps that it ran.",
            kernel_plot(r) + legend(r));
  s += card("Modules and steps in order", "The lowest row are the steps, by colour of their kind.", timeline_plot(r));
  s += card("Working memory over the same time",
            "Each rectangle is a result in the arena: where it lies, and for how long it is needed.", memory_plot(r));
  if (m.measured()) {
    s += "<div class='pair'>" + card("Roofline", "Steps that multiply; the area is their time.", roofline_plot(r, m));
    s += card("Bandwidth", "All steps beside what a working set of their size can have.", bandwidth_plot(r, m)) +
         "</div>\n";
  }
  return s + str_cat("<section class='card'><details open><summary>All ", r.steps.size(), " steps</summary>\n",
                     steps_table(r), "</details></section>\n");
}

std::string overview(const std::vector<Result>& results) {
  std::string s = "<section class='card'><table><thead><tr><th class='l'>model</th><th>ms</th><th>images/s</th>"
                  "<th>G multiply-adds</th><th>M parameters</th><th>working MB</th></tr></thead><tbody>\n";
  for (const Result& r : results) {
    if (!r.error.empty()) {
      s += str_cat("<tr>", text_cell(r.model), "<td class='l' colspan='5'>", escaped(r.error), "</td></tr>\n");
      continue;
    }
    s += str_cat("<tr><td class='l'><a href='#", escaped(r.model), "'>", escaped(r.model), "</a></td>",
                 number_cell(r.median_ms(), digits(r.median_ms())),
                 number_cell(r.images_per_second(), digits(r.images_per_second())),
                 number_cell(r.macs, r.macs > 0 ? digits(r.macs * 1e-9) : ""),
                 number_cell(static_cast<double>(r.parameters), digits(static_cast<double>(r.parameters) * 1e-6)),
                 number_cell(static_cast<double>(r.arena_bytes), digits(static_cast<double>(r.arena_bytes) * 1e-6)),
                 "</tr>\n");
  }
  return s + "</tbody></table></section>\n";
}

std::string machine_section(const Machine& m) {
  std::string s = "<h2>The machine</h2>\n<div class='pair'>";
  std::string peaks =
      "<table><thead><tr><th class='l'>instructions</th><th class='l'>type</th><th>GFLOP/s</th></tr></thead><tbody>\n";
  for (const Peak& p : m.peaks)
    peaks += str_cat("<tr>", text_cell(p.name), text_cell(name_of(p.dtype)),
                     number_cell(p.flops, digits(p.flops * 1e-9)), "</tr>\n");
  s += card("Multiply-adds", str_cat("In registers, ", m.threads, " threads together."), peaks + "</tbody></table>");
  std::string bytes =
      "<table><thead><tr><th class='l'>working set</th><th>read GB/s</th><th>copy GB/s</th></tr></thead><tbody>\n";
  for (const Bandwidth& b : m.bandwidths)
    bytes += str_cat("<tr><td class='l' data-v='", b.bytes, "'>", size_text(static_cast<double>(b.bytes)), "</td>",
                     number_cell(b.read, digits(b.read * 1e-9)), number_cell(b.copy, digits(b.copy * 1e-9)), "</tr>\n");
  s += card("Bytes", "A copy counts what it reads and what it writes.", bytes + "</tbody></table>");
  return s + "</div>\n";
}

}  // namespace

std::string html_page(const std::vector<Result>& results, const Machine& m, const std::string& version) {
  std::string s = str_cat(
      "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
      "<meta name='viewport' content='width=device-width'><title>fovea bench</title>\n<style>",
      kStyle, "</style></head>\n<body><main>\n<h1>fovea bench</h1>\n<p>fovea ", escaped(version), " on ",
      escaped(m.cpu), ", ", m.processors, m.processors == 1 ? " processor" : " processors", "</p>\n");
  if (results.size() > 1) s += overview(results);
  for (const Result& r : results)
    if (r.error.empty()) s += model_section(r, m);
  if (m.measured()) s += machine_section(m);
  return str_cat(s, "</main>\n<script>", kScript, "</script></body></html>\n");
}

}  // namespace fovea::bench
