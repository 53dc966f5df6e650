// SPDX-License-Identifier: Apache-2.0
// bench/page.cpp — results as one HTML page: tiles, plots and tables of all steps; nothing is loaded from elsewhere.
#include <algorithm>
#include <map>

#include "bench/detail.h"
#include "bench/page.h"
#include "bench/page_parts.h"
#include "bench/svg.h"

namespace fovea::bench {
namespace {

std::string tiles_of(const Result& r) {
  const bool measured = r.least_seconds() > 0, compiled = r.constant_bytes > 0;
  return tiles({{duration_text(r.median_ms() * 1e-3), "median of whole runs"},
                {duration_text(r.steps_seconds()), "sum of the steps' medians"},
                {duration_text(quantile(r.ms, 0.9) * 1e-3), "nine of ten runs are below"},
                {digits(r.images_per_second()), "images a second"},
                {measured ? percent(r.least_seconds() / r.steps_seconds()) : "–", "of the roofline"},
                {str_cat(digits(r.noise.slowdown()), "×"), "canary: median to best"},
                {duration_text(r.first_ms * 1e-3), "first run"},
                {duration_text(r.load_seconds), "until it was ready"},
                {r.macs > 0 ? digits(r.macs * 1e-9) : "–", "GMAC an image"},
                {digits(static_cast<double>(r.parameters) * 1e-6), "M parameters"},
                {compiled ? size_text(static_cast<double>(r.arena_bytes)) : "–", "working memory"},
                {compiled ? size_text(static_cast<double>(r.constant_bytes)) : "–", "constants"}});
}

std::vector<std::string_view> kinds_of(const Result& r) {
  std::vector<std::string_view> out;
  for (const StepTime& t : r.steps) out.push_back(kind_of(t.step));
  return out;
}

std::string step_row(const StepTime& t, size_t i, double total, double longest, bool measured) {
  const double seconds = std::max(t.seconds, 1e-9), share = t.seconds / total;
  const double flops = static_cast<double>(t.step.flops) / seconds, bytes = static_cast<double>(t.step.bytes) / seconds;
  std::string s = str_cat("<tr>", number_cell(static_cast<double>(i), str_cat(i), "x"), text_cell(t.step.scope),
                          text_cell(t.step.op, "l n"), text_cell(t.step.plan), text_cell(detail(t.step), "l x"),
                          number_cell(t.seconds * 1e6, digits(t.seconds * 1e6)));
  s += str_cat("<td class='l n' data-v='", share, "'><span class='x'><span class='bar ", kind_of(t.step),
               "' style='width:", digits(48 * t.seconds / longest), "px'></span></span>", percent(share), "</td>");
  s += number_cell(flops, t.step.flops > 0 ? digits(flops * 1e-9) : "", "x");
  s += number_cell(bytes, digits(bytes * 1e-9), "x");
  if (measured) s += number_cell(t.least_seconds / seconds, percent(t.least_seconds / seconds), "x");
  return s + text_cell(shapes(t.step), "l s x") + "</tr>\n";
}

std::string steps_table(const Result& r) {
  const bool measured = r.least_seconds() > 0;
  double longest = 1e-12;
  for (const StepTime& t : r.steps) longest = std::max(longest, t.seconds);
  std::string s =
      "<table><thead><tr><th class='x'>#</th><th class='l'>module</th><th class='l'>op</th><th class='l'>kernel</th>"
      "<th class='l x'>window, groups, fused</th><th>µs</th><th class='l'>share</th><th class='x'>GFLOP/s</th>"
      "<th class='x'>GB/s</th>";
  s += str_cat(measured ? "<th class='x'>roof</th>" : "",
               "<th class='l x'>operands → result</th></tr></thead><tbody>\n");
  for (size_t i = 0; i < r.steps.size(); ++i) s += step_row(r.steps[i], i, r.steps_seconds(), longest, measured);
  return s + "</tbody></table>\n";
}

// What the names of this model's kernels mean.
std::string explanations(const Result& r) {
  std::map<std::string_view, std::string> names;   // by sentence
  for (const StepTime& t : r.steps) {
    const std::string_view text = explanation_of(t.step.plan);
    if (text.empty()) continue;
    std::string& all = names[text];
    if (all.find(t.step.plan) == all.npos) all += str_cat(all.empty() ? "" : ", ", t.step.plan);
  }
  std::string s = "<dl>\n";
  for (const auto& [text, name] : names) s += str_cat("<dt>", escaped(name), "</dt><dd>", escaped(text), "</dd>\n");
  s += "<dt>cpu:avx2, cpu:avx512, …</dt><dd>Our own loops for the op itself, in the best instruction set that the "
       "processor has and FOVEA_ISA allows.</dd>\n";
  return s + "</dl>\n";
}

std::string noise_card(const Result& r) {
  const auto row = [](std::string_view name, const Noise& n) {
    return str_cat("<tr>", text_cell(name), number_cell(n.runs, str_cat(n.runs)), number_cell(n.calm, str_cat(n.calm)),
                   number_cell(n.slowdown(), digits(n.slowdown())),
                   number_cell(static_cast<double>(n.preempted), str_cat(n.preempted)), "</tr>\n");
  };
  std::string s = "<table><thead><tr><th class='l'>what was timed</th><th>runs</th><th>calm</th><th>canary</th>"
                  "<th>preempted</th></tr></thead><tbody>\n";
  s += row("whole runs", r.noise);
  if (!r.steps.empty()) s += row("steps", r.step_noise);
  s += "</tbody></table>\n";
  for (const Noise& n : {r.noise, r.step_noise})
    if (n.noisy) s += str_cat("<p class='warn'>", escaped(noise_text(n)), "</p>\n");
  return card(
      "Who else used the machine",
      "A fixed piece of work, the canary, is timed before and after every run: runs beside which it took over "
      "a tenth longer than at best are measured again, and do not count. In its column: its median to its best.",
      s);
}

std::string model_section(const Result& r, const Machine& m) {
  std::string s =
      str_cat("<h2 id='", escaped(r.model), "'>", escaped(r.model), "</h2>\n<p>", r.train ? "training" : "inference",
              ", batch ", r.batch, ", ", r.height, " × ", r.width, ", ", escaped(r.dtype), ", ", r.threads,
              r.threads == 1 ? " thread" : " threads", ", median of ", r.ms.size(), " runs</p>\n", tiles_of(r));
  s += pair_of_cards(card("Times of whole runs", "How many of the runs that count took how long.",
                          both_forms(kHalf, [&](Room room) { return histogram_plot(r, room); })),
                     noise_card(r));
  if (r.steps.empty()) return s;
  s += card("Time of each kernel",
            m.measured()
                ? "Whole bars: what it took. Solid parts: the least that the measured machine could take for the same "
                  "products and bytes (direct convolutions counted; Winograd's may need less)."
                : "The sum over the steps that it ran.",
            both_forms(kWide, [&](Room room) { return kernel_plot(r, room); }) + legend(kinds_of(r)));
  s += card("Modules and steps in order", "The lowest row are the steps, by colour of their kind.",
            both_forms(kWide, [&](Room room) { return timeline_plot(r, room); }) + legend(kinds_of(r)));
  s += card("Working memory over the same time",
            "Each rectangle is a result in the arena: where it lies, and for how long it is needed.",
            both_forms(kWide, [&](Room room) { return memory_plot(r, room); }));
  if (m.measured())
    s += pair_of_cards(card("Roofline", "Steps that multiply; the area is their time.",
                            both_forms(kHalf, [&](Room room) { return roofline_plot(r, m, room); })),
                       card("Bandwidth", "All steps beside what a working set of their size can have.",
                            both_forms(kHalf, [&](Room room) { return bandwidth_plot(r, m, room); })));
  return s + str_cat("<section class='card'><details open><summary>All ", r.steps.size(), " steps</summary>\n",
                     steps_table(r), "</details></section>\n",
                     card("What the kernels do", "The names that stand in the tables above.", explanations(r)));
}

std::string overview(const std::vector<Result>& results) {
  std::string s = "<section class='card'><table><thead><tr><th class='l'>model</th><th>ms</th><th>images/s</th>"
                  "<th>GMAC</th><th class='x'>M parameters</th><th class='x'>working MB</th></tr></thead>"
                  "<tbody>\n";
  for (const Result& r : results) {
    if (!r.error.empty()) {
      s += str_cat("<tr>", text_cell(r.model), "<td class='l' colspan='5'>", escaped(r.error), "</td></tr>\n");
      continue;
    }
    s +=
        str_cat("<tr><td class='l'><a href='#", escaped(r.model), "'>", escaped(r.model), "</a></td>",
                number_cell(r.median_ms(), digits(r.median_ms())),
                number_cell(r.images_per_second(), digits(r.images_per_second())),
                number_cell(r.macs, r.macs > 0 ? digits(r.macs * 1e-9) : ""),
                number_cell(static_cast<double>(r.parameters), digits(static_cast<double>(r.parameters) * 1e-6), "x"),
                number_cell(static_cast<double>(r.arena_bytes), digits(static_cast<double>(r.arena_bytes) * 1e-6), "x"),
                "</tr>\n");
  }
  s += "</tbody></table></section>\n";
  return s + card("Speed against multiply-adds", "Each point is a model; models on a line from the upper left to the "
                  "lower right do as many multiply-adds a second.",
                  both_forms(kWide, [&](Room room) { return speed_plot(results, room); }));
}

std::string machine_section(const Machine& m) {
  std::string s = "<h2>The machine</h2>\n";
  std::string peaks =
      "<table><thead><tr><th class='l'>instructions</th><th class='l'>type</th><th>GFLOP/s</th></tr></thead><tbody>\n";
  for (const Peak& p : m.peaks)
    peaks += str_cat("<tr>", text_cell(p.name), text_cell(name_of(p.dtype)),
                     number_cell(p.flops, str_cat(digits(p.flops * 1e-9), p.settled ? "" : " ?")), "</tr>\n");
  const std::string multiplied = card(
      "Multiply-adds",
      str_cat("In registers, ", m.threads, m.threads == 1 ? " thread" : " threads together",
              ". The roof of a type is that of its last line. With a question mark: tries did not agree."),
      peaks + "</tbody></table>");
  std::string bytes =
      "<table><thead><tr><th class='l'>working set</th><th>read GB/s</th><th>copy GB/s</th></tr></thead><tbody>\n";
  for (const Bandwidth& b : m.bandwidths)
    bytes += str_cat("<tr><td class='l' data-v='", b.bytes, "'>", size_text(static_cast<double>(b.bytes)), "</td>",
                     number_cell(b.read, digits(b.read * 1e-9)), number_cell(b.copy, digits(b.copy * 1e-9)), "</tr>\n");
  return s + pair_of_cards(multiplied, card("Bytes", "A copy counts what it reads and what it writes.",
                                            bytes + "</tbody></table>"));
}

}  // namespace

std::string html_page(const std::vector<Result>& results, const Machine& m, const std::string& version,
                      const std::vector<std::unique_ptr<Comparison>>& comparisons) {
  std::string s = str_cat(
      "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
      "<meta name='viewport' content='width=device-width'><title>fovea bench</title>\n<style>",
      kStyle, "</style></head>\n<body><main>\n<h1>fovea bench</h1>\n<p>fovea ", escaped(version), " on ",
      escaped(m.cpu), ", ", m.processors, m.processors == 1 ? " processor" : " processors", "</p>\n");
  if (results.size() > 1) s += overview(results);
  for (const std::unique_ptr<Comparison>& c : comparisons) s += comparison_section(*c);
  for (const Result& r : results)
    if (r.error.empty()) s += model_section(r, m);
  if (m.measured()) s += machine_section(m);
  return str_cat(s, "</main>\n<script>", kScript, "</script></body></html>\n");
}

}  // namespace fovea::bench
