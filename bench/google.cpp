// SPDX-License-Identifier: Apache-2.0
#include "bench/google.h"

#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <numeric>

namespace fovea::bench {
namespace {

using Json = nlohmann::ordered_json;

Json context(const Machine& m) {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  std::array<char, 64> date{};
  const std::time_t seconds = std::time(nullptr);
  std::tm broken_down{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S+00:00", gmtime_r(&seconds, &broken_down));
  std::array<double, 3> load{};
  if (getloadavg(load.data(), 3) != 3) load = {};
  return {{"date", date.data()},     {"host_name", host.data()}, {"executable", "fovea bench"},
          {"num_cpus", m.processors}, {"cpu", m.cpu},            {"load_avg", load},
          {"library_build_type", "release"}};
}

double mean(const std::vector<double>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

// Of a sample.
double deviation(const std::vector<double>& v) {
  if (v.size() < 2) return 0;
  const double m = mean(v);
  double sum = 0;
  for (const double x : v) sum += (x - m) * (x - m);
  return std::sqrt(sum / static_cast<double>(v.size() - 1));
}

Json row(const std::string& run_name, size_t family, const Result& r, const std::string& aggregate) {
  return {{"name", aggregate.empty() ? run_name : str_cat(run_name, "_", aggregate)},
          {"family_index", family},
          {"per_family_instance_index", 0},
          {"run_name", run_name},
          {"run_type", aggregate.empty() ? "iteration" : "aggregate"},
          {"repetitions", r.ms.size()},
          {"threads", 1}};
}

void add(Json& rows, size_t family, const Result& r) {
  const std::string name = str_cat(r.model, r.train ? "/train" : "", "/", r.dtype, "/batch:", r.batch,
                                   "/threads:", r.threads);
  for (size_t i = 0; i < r.ms.size(); ++i) {
    Json one = row(name, family, r, "");
    one["repetition_index"] = i;
    one["iterations"] = 1;
    one["real_time"] = r.ms[i];
    one["cpu_time"] = r.cpu_ms[i];
    one["time_unit"] = "ms";
    one["items_per_second"] = r.batch * 1e3 / r.ms[i];
    rows.push_back(std::move(one));
  }
  const auto aggregate = [&](const std::string& what, const std::string& unit, double real, double cpu) {
    Json one = row(name, family, r, what);
    one["aggregate_name"] = what;
    one["aggregate_unit"] = unit;
    one["iterations"] = r.ms.size();
    one["real_time"] = real;
    one["cpu_time"] = cpu;
    one["time_unit"] = "ms";
    rows.push_back(std::move(one));
  };
  const double real = mean(r.ms), cpu = mean(r.cpu_ms);
  aggregate("mean", "time", real, cpu);
  aggregate("median", "time", r.median_ms(), median(r.cpu_ms));
  aggregate("stddev", "time", deviation(r.ms), deviation(r.cpu_ms));
  aggregate("cv", "percentage", deviation(r.ms) / real, cpu > 0 ? deviation(r.cpu_ms) / cpu : 0);
}

}  // namespace

std::string google_json(const std::vector<Result>& results, const Machine& m) {
  Json rows = Json::array();
  for (size_t i = 0; i < results.size(); ++i)
    if (results[i].error.empty()) add(rows, i, results[i]);
  return Json{{"context", context(m)}, {"benchmarks", std::move(rows)}}.dump(2);
}

}  // namespace fovea::bench
