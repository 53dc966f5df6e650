// SPDX-License-Identifier: Apache-2.0
// bench/rows.cpp — results for programs: rows of CSV with timm's columns, and JSON.
#include <cmath>
#include <nlohmann/json.hpp>

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
  j["param_count"] = rounded(static_cast<double>(r.parameters) * 1e-6, 2);
  return j;
}

Json metas(const Metas& list) {
  Json out = Json::array();
  for (const Meta& m : list) out.push_back(m.present() ? Json(to_string(m)) : Json());
  return out;
}

Json step_json(const StepTime& t, double total) {
  const double seconds = std::max(t.seconds, 1e-9);
  Json j{{"module", t.step.scope}, {"op", t.step.op}, {"kernel", t.step.plan}, {"attrs", t.step.attrs}};
  j["in"] = metas(t.step.in);
  j["out"] = metas(t.step.out);
  j["us"] = rounded(t.seconds * 1e6, 3);
  j["share"] = t.seconds / total;
  j["flops"] = t.step.flops;
  j["bytes"] = t.step.bytes;
  j["gflops_per_sec"] = rounded(static_cast<double>(t.step.flops) / seconds * 1e-9, 2);
  j["gbytes_per_sec"] = rounded(static_cast<double>(t.step.bytes) / seconds * 1e-9, 2);
  if (t.least_seconds > 0) j["roofline_share"] = rounded(t.least_seconds / seconds, 4);
  return j;
}

Json machine_json(const Machine& m) {
  Json j{{"cpu", m.cpu}, {"features", m.features}, {"processors", m.processors}, {"threads", m.threads}};
  for (const Peak& p : m.peaks)
    j["peaks"].push_back(
        {{"name", p.name}, {"dtype", name_of(p.dtype)}, {"gflops_per_sec", rounded(p.flops * 1e-9, 2)}});
  for (const Bandwidth& b : m.bandwidths)
    j["bandwidths"].push_back({{"bytes", b.bytes},
                               {"read_gbytes_per_sec", rounded(b.read * 1e-9, 2)},
                               {"copy_gbytes_per_sec", rounded(b.copy * 1e-9, 2)}});
  return j;
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
  j["load_s"] = r.load_seconds;
  j["from_cache"] = r.from_cache;
  j["first_ms"] = r.first_ms;
  j["side_by_side"] = r.side_by_side;
  j["arena_bytes"] = r.arena_bytes;
  j["constant_bytes"] = r.constant_bytes;
  j["fovea"] = version;
  if (m.measured()) j["machine"] = machine_json(m);
  if (r.steps.empty()) return j;
  const double total = r.steps_seconds();
  j["steps_us"] = rounded(total * 1e6, 3);
  if (m.measured()) j["roofline_share"] = rounded(r.least_seconds() / total, 4);
  j["steps"] = Json::array();
  for (const StepTime& t : r.steps) j["steps"].push_back(step_json(t, total));
  return j;
}

}  // namespace

std::string csv_header(bool train) {
  Result none;
  none.train = train;
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

std::string json_list(const std::vector<Result>& results, const Machine& m, const std::string& version) {
  Json list = Json::array();
  for (const Result& r : results) list.push_back(result_json(r, m, version));
  return list.dump(2);
}

}  // namespace fovea::bench
