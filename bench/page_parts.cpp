// SPDX-License-Identifier: Apache-2.0
#include "bench/page_parts.h"

#include <algorithm>

#include "bench/detail.h"
#include "bench/svg.h"
#include "engine/core/text.h"

namespace fovea::bench {

const std::string_view kStyle = R"css(
:root { --ink:#1d2433; --soft:#667085; --paper:#f6f7f9; --card:#fff; --line:#e4e7ec; --roof:#98a2b3; --module:#eef1f6;
  --conv:#3b6fd4; --conv1:#22a0bf; --depthwise:#e2702e; --winograd:#5a45c4; --product:#9a46b8; --attention:#d23f84;
  --norm:#12897f; --pool:#c99a12; --pointwise:#5aa046; --move:#a8503c; --other:#7b8494; --bad:#b42318; --good:#157a3d }
@media (prefers-color-scheme: dark) {
  :root { --ink:#e6e9ef; --soft:#98a2b3; --paper:#12151c; --card:#1a1f29; --line:#2c3340; --roof:#667085;
    --module:#252c39; --conv:#6f9cf0; --conv1:#4cc3de; --depthwise:#f29457; --winograd:#8d7cf0; --product:#c583dd;
    --attention:#ee74ab; --norm:#3db9ae; --pool:#e5bf44; --pointwise:#8bcb77; --move:#d98570; --other:#98a2b3;
    --bad:#f97066; --good:#6bd08c } }
* { box-sizing:border-box }
body { margin:0; background:var(--paper); color:var(--ink); font:15px/1.5 system-ui,sans-serif }
main { max-width:1320px; margin:0 auto; padding:28px 20px 60px }
h1 { font-size:22px; margin:0 } h2 { font-size:20px; margin:40px 0 12px; overflow-wrap:anywhere }
h3 { font-size:14px; margin:0 0 2px }
p { margin:0; color:var(--soft) } .card p { font-size:13px; margin-bottom:10px } .warn { color:var(--bad) }
.tiles { display:grid; grid-template-columns:repeat(6,1fr); gap:10px; margin:14px 0 }
.tile,.card { background:var(--card); border:1px solid var(--line); border-radius:10px; min-width:0 }
.tile { padding:10px 14px } .tile b { display:block; font-size:18px; font-weight:600; white-space:nowrap }
.tile span { color:var(--soft); font-size:12px; display:block; line-height:1.3 }
.card { padding:16px 18px; margin:14px 0 }
.pair { display:grid; grid-template-columns:1fr 1fr; gap:14px; margin:14px 0 } .pair .card { margin:0 }
.legend { display:flex; flex-wrap:wrap; gap:4px 16px; font-size:12px; color:var(--soft); margin:6px 0 0 }
.legend i { display:inline-block; width:10px; height:10px; border-radius:3px; margin-right:6px }
.narrow { display:none }
svg { display:block; width:100%; height:auto; font:11px system-ui,sans-serif }
svg text { fill:var(--ink) } svg .tick { fill:var(--soft) } .middle { text-anchor:middle } .end { text-anchor:end }
.halo { paint-order:stroke; stroke:var(--card); stroke-width:4px }
svg .in { font-size:10.5px; pointer-events:none }
.grid { stroke:var(--line); stroke-width:1 } .roof { stroke:var(--roof); stroke-width:1.4; fill:none }
.dashed { stroke-dasharray:5 4 } .module { fill:var(--module); stroke:var(--card); stroke-width:1 }
.cell { stroke:var(--card); stroke-width:.6 } .pale { opacity:.32 }
.dot { fill-opacity:.55; stroke:var(--card); stroke-width:.8 } .ringed { stroke:var(--ink); stroke-width:1.2 }
svg rect:hover,svg circle:hover { filter:brightness(1.15) }
.conv { fill:var(--conv); background:var(--conv) } .conv1 { fill:var(--conv1); background:var(--conv1) }
.depthwise { fill:var(--depthwise); background:var(--depthwise) }
.winograd { fill:var(--winograd); background:var(--winograd) }
.product { fill:var(--product); background:var(--product) }
.attention { fill:var(--attention); background:var(--attention) } .norm { fill:var(--norm); background:var(--norm) }
.pool { fill:var(--pool); background:var(--pool) } .pointwise { fill:var(--pointwise); background:var(--pointwise) }
.move { fill:var(--move); background:var(--move) } .other { fill:var(--other); background:var(--other) }
table { border-collapse:collapse; width:100%; font-size:12.5px; font-variant-numeric:tabular-nums }
th,td { padding:4px 8px; text-align:right; white-space:nowrap; border-bottom:1px solid var(--line);
  vertical-align:top }
th { color:var(--soft); font-weight:500; cursor:pointer; user-select:none } th:hover { color:var(--ink) }
td.l,th.l { text-align:left } td.l { white-space:normal; overflow-wrap:anywhere } td.n { white-space:nowrap }
td.s { color:var(--soft); font-size:11.5px } tbody tr:hover { background:var(--module) }
td .bar { display:inline-block; height:8px; border-radius:2px; margin-right:6px; vertical-align:middle }
td.bad { color:var(--bad) } td.good { color:var(--good) }
dl { display:grid; grid-template-columns:max-content 1fr; gap:4px 16px; margin:0; font-size:12.5px }
dt { font-weight:600 } dd { margin:0; color:var(--soft) }
a { color:var(--conv) } summary { cursor:pointer; font-weight:600; font-size:14px }
@media (max-width:1100px) { .tiles { grid-template-columns:repeat(4,1fr) } }
@media (max-width:860px) {
  main { padding:18px 10px 40px } .card { padding:12px 12px } .pair { grid-template-columns:1fr }
  .tiles { grid-template-columns:repeat(3,1fr); gap:8px } .tile { padding:8px 10px } .tile b { font-size:16px }
  .wide { display:none } .narrow { display:block; max-width:640px }
  .x { display:none } th,td { padding:4px 5px } dl { grid-template-columns:1fr; gap:0 } dd { margin-bottom:6px } }
)css";

// A click on a table's head sorts by that column, a second click the other way round.
const std::string_view kScript = R"js(
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

std::string tiles(const std::vector<std::pair<std::string, std::string>>& values_and_names) {
  std::string s = "<div class='tiles'>\n";
  for (const auto& [value, name] : values_and_names) s += tile(value, name);
  return s + "</div>\n";
}

std::string card(std::string_view title, std::string_view about, std::string_view content) {
  return str_cat("<section class='card'><h3>", escaped(title), "</h3><p>", escaped(about), "</p>\n", content,
                 "</section>\n");
}

std::string pair_of_cards(std::string_view left, std::string_view right) {
  return str_cat("<div class='pair'>", left, right, "</div>\n");
}

std::string number_cell(double v, std::string_view shown, std::string_view more) {
  return str_cat("<td", more.empty() ? "" : str_cat(" class='", more, "'"), " data-v='", v, "'>", shown, "</td>");
}

std::string text_cell(std::string_view v, std::string_view kind) {
  return str_cat("<td class='", kind, "'>", escaped(v), "</td>");
}

std::string legend(const std::vector<std::string_view>& shown) {
  std::string s = "<div class='legend'>";
  for (const std::string_view kind : kinds())
    if (std::find(shown.begin(), shown.end(), kind) != shown.end())
      s += str_cat("<span><i class='", kind, "'></i>", name_of_kind(kind), "</span>");
  return s + "</div>\n";
}

}  // namespace fovea::bench
