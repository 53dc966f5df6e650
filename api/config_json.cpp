// SPDX-License-Identifier: Apache-2.0
#include "api/config_json.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/text.h"
#include "zoo/pretrained.h"

namespace fovea {

std::string name_beside(const std::string& weights) {
  using nlohmann::json;
  std::ifstream file(std::filesystem::path(weights).parent_path() / "config.json", std::ios::binary);
  const json config = file ? json::parse(file, nullptr, false) : json();
  if (!config.is_object()) return {};
  const auto text = [](const json& object, const char* key) {
    const auto at = object.find(key);
    return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  const std::string architecture = text(config, "architecture");
  const auto cfg = config.find("pretrained_cfg");
  const std::string tag = cfg != config.end() && cfg->is_object() ? text(*cfg, "tag") : std::string();
  const std::string name = cat(architecture, ".", tag);
  return !tag.empty() && zoo::find_pretrained(name) ? name : architecture;
}

}  // namespace fovea
