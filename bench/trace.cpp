// SPDX-License-Identifier: Apache-2.0
// bench/trace.cpp — results as a trace that chrome://tracing and Perfetto show.
#include <nlohmann/json.hpp>

#include "bench/detail.h"
#include "bench/result.h"
#include "bench/spans.h"

namespace fovea::bench {
namespace {

using Json = nlohmann::ordered_json;

Json slice(size_t process, std::string_view name, std::string_view kind, double start, double end) {
  return {{"name", name}, {"cat", kind},   {"ph", "X"}, {"ts", start * 1e6}, {"dur", (end - start) * 1e6},
          {"pid", process}, {"tid", 1}};
}

Json step_arguments(const StepTime& t) {
  const double seconds = std::max(t.seconds, 1e-9);
  Json j{{"module", t.step.scope}, {"kernel", t.step.plan}, {"shapes", shapes(t.step)}};
  if (const std::string d = detail(t.step); !d.empty()) j["detail"] = d;
  if (!t.step.attrs.empty()) j["attrs"] = t.step.attrs;
  j["GFLOP/s"] = static_cast<double>(t.step.flops) / seconds * 1e-9;
  j["GB/s"] = static_cast<double>(t.step.bytes) / seconds * 1e-9;
  if (t.least_seconds > 0) j["share of the roofline"] = t.least_seconds / seconds;
  return j;
}

void add(Json& events, size_t process, const Result& r) {
  const std::vector<double> times = boundaries(r);
  events.push_back(
      {{"name", "process_name"},
       {"ph", "M"},
       {"pid", process},
       {"args", {{"name", str_cat(r.model, "  batch ", r.batch, "  ", r.dtype, r.train ? "  training" : "")}}}});
  for (const Span& s : module_spans(r))
    events.push_back(slice(process, s.name, "module", times[s.first], times[s.last + 1]));
  const std::vector<int64_t> used = bytes_in_use(r);
  for (size_t i = 0; i < r.steps.size(); ++i) {
    Json event = slice(process, r.steps[i].step.op, "op", times[i], times[i + 1]);
    event["args"] = step_arguments(r.steps[i]);
    events.push_back(std::move(event));
    events.push_back({{"name", "working memory"},
                      {"ph", "C"},
                      {"ts", times[i] * 1e6},
                      {"pid", process},
                      {"args", {{"bytes in use", used[i]}}}});
  }
}

// One run as it was: a lane a thread.
void add_lanes(Json& events, size_t process, const Result& r) {
  events.push_back({{"name", "process_name"},
                    {"ph", "M"},
                    {"pid", process},
                    {"args", {{"name", str_cat(r.model, "  threads of one run")}}}});
  int last = -1;
  for (const LaneSlice& s : r.lanes) {
    const int lane = s.thread + 1;
    if (s.thread != last)
      events.push_back({{"name", "thread_name"},
                        {"ph", "M"},
                        {"pid", process},
                        {"tid", lane},
                        {"args", {{"name", s.thread == 0 ? "caller" : str_cat("pool ", s.thread)}}}});
    last = s.thread;
    const StepTime& t = r.steps[s.step];
    Json event = slice(process, t.step.op, "piece", s.from, s.to);
    event["tid"] = lane;
    event["args"] = {{"module", t.step.scope}, {"kernel", t.step.plan}, {"step", s.step}};
    events.push_back(std::move(event));
  }
}

}  // namespace

std::string chrome_trace(const std::vector<Result>& results) {
  Json events = Json::array();
  for (size_t i = 0; i < results.size(); ++i) add(events, i + 1, results[i]);
  for (size_t i = 0; i < results.size(); ++i)
    if (!results[i].lanes.empty()) add_lanes(events, results.size() + i + 1, results[i]);
  return Json{
      {"displayTimeUnit", "ms"},
      {"otherData", {{"note", "each step lasts its median, without gaps; threads are those of one run, as it was"}}},
      {"traceEvents", events}}
      .dump();
}

}  // namespace fovea::bench
