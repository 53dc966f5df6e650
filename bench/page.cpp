// SPDX-License-Identifier: Apache-2.0
// bench/page.cpp — results as one HTML page: tiles, plots and a table of all steps; nothing is loaded from elsewhere.
#include <algorithm>

#include "bench/plots.h"
#include "bench/result.h"
#include "bench/svg.h"

namespace fovea::bench {
namespace {

constexpr std::string_view kStyle = R"css(
:root { --ink:#1d2433; --soft:#667085; --paper:#f6f7f9; --card:#fff; --line:#e4e7ec; --roof:#98a2b3; --module:#eef1f6;
  --conv:#3b6fd4; --product:#7a4fc9; --attention:#c2418f; --norm:#12897f; --pool:#c98412; --pointwise:#4b9b46;
  --move:#d0533c; --other:#7b8494; }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e6e9ef; --soft:#98a2b3; --paper:#12151c; --card:#1a1f29; --line:#2c3340; --roof:#667085;
    --module:#252c39; --conv:#6f9cf0; --product:#a685ec; --attention:#e174b6; --norm:#3db9ae; --pool:#e5a944;
    --pointwise:#79c474; --move:#ee8069; --other:#98a2b3; } }
* { box-sizing:border-box }
body { margin:0; background:var(--paper); color:var(--ink); font:15px/1.5 system-ui,sans-serif }
main { max-width:1120px; margin:0 auto; padding:28px 20px 60px }
h1 { font-size:22px; margin:0 } h2 { font-size:20px; margin:40px 0 12px } h3 { font-size:14px; margin:0 0 2px }
p { margin:0; color:var(--soft) } .card p { font-size:13px; margin-bottom:10px }
.tiles { display:grid; grid-template-columns:repeat(auto-fit,minmax(112px,1fr)); gap:10px; margin:14px 0 }
.tile,.card { background:var(--card); border:1px solid var(--line); border-radius:10px }
.tile { padding:10px 14px } .tile b { display:block; font-size:19px; font-weight:600 }
.tile span { color:var(--soft); font-size:12px }
.card { padding:16px 18px; margin:14px 0; overflow-x:auto }
.pair { display:grid; grid-template-columns:repeat(auto-fit,minmax(380px,1fr)); gap:14px } .pair .card { margin:0 }
.legend { display:flex; flex-wrap:wrap; gap:4px 16px; font-size:12px; color:var(--soft); margin:4px 0 }
.legend i { display:inline-block; width:10px; height:10px; border-radius:3px; margin-right:6px }
svg { display:block; width:100%; height:auto; font:11px system-ui,sans-serif }
svg text { fill:var(--ink) } svg .tick { fill:var(--soft) } .middle { text-anchor:middle } .end { text-anchor:end }
.halo { paint-order:stroke; stroke:var(--card); stroke-width:4px }
svg .in { font-size:10.5px; pointer-events:none }
.grid { stroke:var(--line); stroke-width:1 } .roof { stroke:var(--roof); stroke-width:1.4; fill:none }
.dashed { stroke-dasharray:5 4 } .module { fill:var(--module); stroke:var(--card); stroke-width:1 }
.cell { stroke:var(--card); stroke-width:.6 } .pale { opacity:.32 }
.dot { fill-opacity:.55; stroke:var(--card); stroke-width:.8 }
svg rect:hover,svg circle:hover { filter:brightness(1.15) }
.conv { fill:var(--conv); background:var(--conv) } .product { fill:var(--product); background:var(--product) }
.attention { fill:var(--attention); background:var(--attention) } .norm { fill:var(--norm); background:var(--norm) }
.pool { fill:var(--pool); background:var(--pool) } .pointwise { fill:var(--pointwise); background:var(--pointwise) }
.move { fill:var(--move); background:var(--move) } .other { fill:var(--other); background:var(--other) }
table { border-collapse:collapse; width:100%; font-size:12.5px; font-variant-numeric:tabular-nums }
th,td { padding:4px 8px; text-align:right; white-space:nowrap; border-bottom:1px solid var(--line) }
th { color:var(--soft); font-weight:500; cursor:pointer; user-select:none } th:hover { color:var(--ink) }
td.l,th.l { text-align:left } td.s { color:var(--soft); font-size:11.5px } tbody tr:hover { background:var(--module) }
td .bar { display:inline-block; height:8px; border-radius:2px; margin-right:6px; vertical-align:middle }
a { color:var(--conv) } summary { cursor:pointer; font-weight:600; font-size:14px }
)css";

// A click on a table's head sorts by that column, a second click the other way round.
constexpr std::string_view kScript = R"js(
document.querySelectorAll('th').forEach(th => th.onclick = () => {
  const body = th.closest('table').tBodies[0], i = th.cellIndex;
  const down = th.dataset.down = th.dataset.down === '1' ? '0' : '1';
  const key = row => row.cells[i].dataset.v ?? row.cells[i].textContent;
  [...body.rows].sort((a, b) => {
    const [x, y] = down === '1' ? [key(b), key(a)] : [key(a), key(b)];
    return isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
  }).forEach(row => body.append(row));
});
)js";

std::string tile(std::string_view value, std::string_view name) {
  return str_cat("<div class='tile'><b>", escaped(value), "</b><span>", escaped(name), "</span></div>\n");
}

std::string card(std::string_view title, std::string_view about, std::string_view content) {
  return str_cat("<section class='card'><h3>", escaped(title), "</h3><p>", escaped(about), "</p>\n", content,
                 "</section>\n");
}

std::string number_cell(double v, std::string_view shown) { return str_cat("<td data-v='", v, "'>", shown, "</td>"); }
std::string text_cell(std::string_view v, std::string_view kind = "l") {
  return str_cat("<td class='", kind, "'>", escaped(v), "</td>");
}

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
