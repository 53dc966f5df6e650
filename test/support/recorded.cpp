// SPDX-License-Identifier: Apache-2.0
#include "test/support/recorded.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <span>

#include "engine/core/error.h"
#include "test/support/members.h"
#include "zoo/zoo.h"

namespace fovea {

nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(Error::Kind::io, str_cat("cannot read ", path));
  return nlohmann::json::parse(file);
}

std::vector<nlohmann::json> recorded_cases(const std::string& kind) {
  std::vector<nlohmann::json> cases;
  for (const std::string& module : zoo::modules())
    for (nlohmann::json& c : read_json(str_cat(FOVEA_SOURCE_DIR "/test/golden/", kind, "/", module, ".json")))
      cases.push_back(std::move(c));
  return cases;
}

// Values of a setting as create() reads them: "7,7,14,7", and "7x14" for a pair inside of a list.
static std::string setting_text(const nlohmann::json& v, char between = ',') {
  if (!v.is_array()) return v.is_string() ? v.get<std::string>() : v.dump();
  std::string text;
  for (const nlohmann::json& item : v) text += (text.empty() ? "" : std::string(1, between)) + setting_text(item, 'x');
  return text;
}

zoo::ModelOptions recorded_options(const nlohmann::json& entry) {
  zoo::ModelOptions o;
  if (!entry.contains("kwargs")) return o;
  for (const auto& [key, v] : entry["kwargs"].items()) {
    if (key == "num_classes") o.num_classes = v.get<int>();
    else if (key == "in_chans") o.in_chans = v.get<int>();
    else if (key == "global_pool") o.global_pool = v.get<std::string>();
    else if (key == "drop_rate") o.drop_rate = v.get<float>();
    else if (key == "output_stride") o.output_stride = v.get<int>();
    else if (key == "img_size")
      o.img_size = v.is_array() ? v.get<std::array<int, 2>>() : std::array{v.get<int>(), v.get<int>()};
    else o.set.emplace_back(key, setting_text(v));
  }
  return o;
}

std::vector<Member> members() {
  std::vector<Member> all;
  for (const nlohmann::json& c : recorded_cases("levels")) {
    const auto name = c.at("name").get<std::string>();
    const std::string module(zoo::module_of(name));
    if (!all.empty() && all.back().module == module) continue;
    const auto size = c.at("input").get<std::array<int64_t, 4>>();
    all.push_back({module, name, recorded_options(c), {size[0], size[1], size[2], size[3]}});
  }
  return all;
}

double furthest(const Tensor& ours, const std::vector<double>& wanted) {
  const std::span<const float> values = ours.data<float>();
  if (values.size() != wanted.size())
    throw Error(Error::Kind::shape, str_cat(values.size(), " values where ", wanted.size(), " are recorded"));
  double most = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(values[i]) - wanted[i]);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    most = std::max(most, difference);
  }
  return most;
}

}  // namespace fovea
