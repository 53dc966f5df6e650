// SPDX-License-Identifier: Apache-2.0
#include "test/support/recorded.h"

#include <fstream>

#include "engine/core/error.h"

namespace fovea {

nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(Error::Kind::io, cat("cannot read ", path));
  return nlohmann::json::parse(file);
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
    else if (key == "output_stride") o.output_stride = v.get<int>();
    else if (key == "img_size")
      o.img_size = v.is_array() ? v.get<std::array<int, 2>>() : std::array{v.get<int>(), v.get<int>()};
    else o.set.emplace_back(key, setting_text(v));
  }
  return o;
}

}  // namespace fovea
