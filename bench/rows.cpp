// SPDX-License-Identifier: Apache-2.0
// bench/rows.cpp — results for programs: rows of CSV with timm's columns, and JSON.
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/detail.h"
#include "bench/result.h"

namespace fovea::bench {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double v, int digits) {
  const double scale = std::pow(10.0, digits);
  return std::round(v * scale) / scale;
}

// Names and values of timm's columns, in its order.
Json columns(const Result& r) {
  const std::string prefix = r.train ? "train_" : "infer_";
  Json j;
  j["model"] = r.model;
  j[prefix + "samples_per_sec"] = rounded(r.images_per_second(), 2);
  j[prefix + "step_time"] = rounded(r.median_ms(), 3);
  j[prefix + "batch_size"] = r.batch;
  j[prefix + "img_size"] = r.height;
  if (!r.train) {
    j[prefix + "gmacs"] = rounded(r.macs * 1e-9, 2);
    j[prefix + "macts"] = rounded(r.activations * 1e-6, 2);
  }
  if (r.forward_ms > 0) {
    j[prefix + "fwd_time"] = rounded(r.forward_ms, 3);
    j[prefix + "bwd_time"] = rounded(r.backward_ms, 3);
    j[prefix + "opt_time"] = rounded(r.update_ms, 3);
  }
  j["param_count"] = rounded(static_cast<double>(r.parameters) * 1e-6, 2);
  return j;
}

Json metas(const Metas& list) {
  Json out = Json::array();
  for (const Meta& m : list) out.push_back(m.present() ? Json(to_string(m)) : Json());
  return out;
}

Json step_json(const Result& r, const StepTime& t, double total) {
  const double seconds = std::max(t.seconds, 1e-9);
  Json j{{"module", t.step.scope}, {"op", t.step.op}, {"kernel", t.step.plan}, {"attrs", t.step.attrs}};
  j["kind"] = kind_of(t.step);
  j["detail"] = detail(t.step);
  j["operands"] = shapes(t.step);
  j["in"] = metas(t.step.in);
  j["out"] = metas(t.step.out);
  j["us"] = rounded(t.seconds * 1e6, 3);
  j["us_p10"] = rounded(t.low * 1e6, 3);
  j["us_p90"] = rounded(t.high * 1e6, 3);
  j["share"] = t.seconds / total;
  j["flops"] = t.step.flops;
  j["bytes"] = t.step.bytes;
  j["gflops_per_sec"] = rounded(static_cast<double>(t.step.flops) / seconds * 1e-9, 2);
  j["gbytes_per_sec"] = rounded(static_cast<double>(t.step.bytes) / seconds * 1e-9, 2);
  if (t.least_seconds > 0) j["roofline_share"] = rounded(t.least_seconds / seconds, 4);
  for (size_t i = 0; i < t.counts.size(); ++i) j["counters"][r.counters[i]] = rounded(t.counts[i], 2);
  return j;
}

Json machine_json(const Machine& m) {
  Json j{{"cpu", m.cpu},
         {"isa", m.isa},
         {"features", m.features},
         {"processors", m.processors},
         {"threads", m.threads}};
  for (const Peak& p : m.peaks)
    j["peaks"].push_back(
        {{"name", p.name},
         {"dtype", name_of(p.dtype)},
         {"gflops_per_sec", rounded(p.flops * 1e-9, 2)},
         {"settled", p.settled}});
  for (const Bandwidth& b : m.bandwidths)
    j["bandwidths"].push_back({{"bytes", b.bytes},
                               {"read_gbytes_per_sec", rounded(b.read * 1e-9, 2)},
                               {"copy_gbytes_per_sec", rounded(b.copy * 1e-9, 2)}});
  return j;
}

Json noise_json(const Noise& n) {
  return {{"noisy", n.noisy},
          {"runs", n.runs},
          {"calm_runs", n.calm},
          {"preempted", n.preempted},
          {"canary_best_us", rounded(n.canary_best * 1e6, 3)},
          {"canary_median_us", rounded(n.canary_median * 1e6, 3)}};
}

// How the runs that count are spread.
void add_spread(Json& j, const Result& r) {
  for (const int p : {5, 25, 50, 75, 90, 95, 99}) j["percentiles_ms"][str_cat("p", p)] = quantile(r.ms, p / 100.0);
  const Histogram h = histogram(r.ms);
  j["histogram_ms"] = {{"from", h.from}, {"width", h.width}, {"counts", h.counts}};
  j["noise"] = noise_json(r.noise);
}

Json result_json(const Result& r, const Machine& m, const std::string& version) {
  if (!r.error.empty()) return {{"model", r.model}, {"error", r.error}};
  Json j = columns(r);
  j["dtype"] = r.dtype;
  j["threads"] = r.threads;
  j["runs"] = r.ms.size();
  j["median_ms"] = r.median_ms();
  j["fastest_ms"] = r.ms.front();
  j["slowest_ms"] = r.ms.back();
  add_spread(j, r);
  j["load_s"] = r.load_seconds;
  j["from_cache"] = r.from_cache;
  j["first_ms"] = r.first_ms;
  j["side_by_side"] = r.side_by_side;
  j["arena_bytes"] = r.arena_bytes;
  j["constant_bytes"] = r.constant_bytes;
  j["fovea"] = version;
  j["machine"] = machine_json(m);
  if (r.steps.empty()) return j;
  const double total = r.steps_seconds();
  j["steps_us"] = rounded(total * 1e6, 3);
  j["steps_noise"] = noise_json(r.step_noise);
  if (m.measured()) j["roofline_share"] = rounded(r.least_seconds() / total, 4);
  if (!r.no_counters.empty()) j["no_counters"] = r.no_counters;
  j["steps"] = Json::array();
  for (const StepTime& t : r.steps) j["steps"].push_back(step_json(r, t, total));
  return j;
}

}  // namespace

std::string csv_header(bool train, bool detail) {
  Result none;
  none.train = train;
  none.forward_ms = train && detail ? 1 : 0;
  none.ms = {1};
  const Json named = columns(none);
  std::string line;
  for (const auto& column : named.items()) line += str_cat(line.empty() ? "" : ",", column.key());
  return line;
}

std::string csv_row(const Result& r) {
  const Json named = columns(r);
  std::string line;
  for (const auto& column : named.items())
    line += str_cat(line.empty() ? "" : ",",
                    column.value().is_string() ? column.value().get<std::string>() : column.value().dump());
  return line;
}

namespace {

// A cell, in quotes where it needs them.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\n") == text.npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::vector<std::pair<std::string, std::string>> step_cells(const Result& r, size_t i, double total) {
  const StepTime& t = r.steps[i];
  const Json j = step_json(r, t, total);
  std::vector<std::pair<std::string, std::string>> out{{"model", r.model}, {"step", str_cat(i)}};
  for (const char* key : {"module", "op", "kernel", "kind", "detail", "operands"})
    out.emplace_back(key, j.at(key).get<std::string>());
  for (const char* key : {"us", "us_p10", "us_p90", "share", "flops", "bytes", "gflops_per_sec", "gbytes_per_sec"})
    out.emplace_back(key, j.at(key).dump());
  out.emplace_back("roofline_share", j.contains("roofline_share") ? j.at("roofline_share").dump() : "");
  return out;
}

}  // namespace

std::string step_csv_header() {
  Result one;
  one.steps.resize(1);
  std::string line;
  for (const auto& [name, value] : step_cells(one, 0, 1)) line += str_cat(line.empty() ? "" : ",", name);
  return line;
}

std::string step_csv_rows(const Result& r) {
  const double total = r.steps_seconds();
  std::string rows;
  for (size_t i = 0; i < r.steps.size(); ++i) {
    std::string line;
    for (const auto& [name, value] : step_cells(r, i, total)) line += str_cat(line.empty() ? "" : ",", cell(value));
    rows += line + "\n";
  }
  return rows;
}

std::string json_list(const std::vector<Result>& results, const Machine& m, const std::string& version) {
  Json list = Json::array();
  for (const Result& r : results) list.push_back(result_json(r, m, version));
  return list.dump(2);
}

}  // namespace fovea::bench
