// SPDX-License-Identifier: Apache-2.0
// cli/json_parse.cpp — texts of JSON become values: of Json what only some commands need.
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "cli/json.h"

namespace fovea::cli {
namespace {

Json value_of(const nlohmann::ordered_json& j) {
  switch (j.type()) {
    case nlohmann::json::value_t::boolean: return j.get<bool>();
    case nlohmann::json::value_t::number_integer: return j.get<int64_t>();
    case nlohmann::json::value_t::number_unsigned: return j.get<uint64_t>();
    case nlohmann::json::value_t::number_float: return j.get<double>();
    case nlohmann::json::value_t::string: return j.get_ref<const std::string&>();
    case nlohmann::json::value_t::array: {
      Json list = Json::array();
      for (const nlohmann::ordered_json& v : j) list.push_back(value_of(v));
      return list;
    }
    case nlohmann::json::value_t::object: {
      Json object = Json::object();
      for (const auto& [key, v] : j.items()) object[key] = value_of(v);
      return object;
    }
    default: return {};
  }
}

}  // namespace

Json Json::parse(const std::string& text) { return value_of(nlohmann::ordered_json::parse(text)); }

std::vector<std::vector<int64_t>> parse_number_lists(const std::string& text) {
  try {
    return nlohmann::ordered_json::parse(text).get<std::vector<std::vector<int64_t>>>();
  } catch (const nlohmann::json::exception& e) { throw std::invalid_argument(e.what()); }
}

}  // namespace fovea::cli
