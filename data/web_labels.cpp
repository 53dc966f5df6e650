// SPDX-License-Identifier: Apache-2.0
#include "data/web_labels.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

using Json = nlohmann::json;

// Of a list, what each of its items has there.
Json within(const Json& value, std::string_view path, const std::string& whose) {
  if (path.empty()) return value;
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& item : value) out.push_back(within(item, path, whose));
    return out;
  }
  const std::string_view first = path.substr(0, path.find('/'));
  const auto found = value.is_object() ? value.find(std::string(first)) : value.end();
  if (!value.is_object() || found == value.end())
    throw Error(Error::Kind::format, str_cat(whose, ": its JSON has no field '", path, "'"));
  return within(*found, first.size() == path.size() ? std::string_view() : path.substr(first.size() + 1), whose);
}

Json field(const Json& all, const std::string& path, const std::string& whose) {
  if (all.is_object() && all.contains(path)) return all.at(path);
  return within(all, path, whose);
}

double number(const Json& v, const std::string& whose) {
  if (!v.is_number() && !v.is_boolean())
    throw Error(Error::Kind::format, str_cat(whose, ": ", v.dump().substr(0, 40), " is said where a number is wanted"));
  return v.is_boolean() ? (v.get<bool>() ? 1 : 0) : v.get<double>();
}

int64_t integer(const Json& v, const std::string& whose) {
  if (!v.is_number_integer())
    throw Error(Error::Kind::format, str_cat(whose, ": class ", v.dump().substr(0, 40), " is no number of a class"));
  return v.get<int64_t>();
}

}  // namespace

WebLabels web_labels(const std::string& json, const std::vector<std::string>& keys, const TargetOptions& target,
                     const std::string& whose) {
  constexpr int kDeepest = 64;                     // what looks at it calls itself, level by level
  const auto shallow = [&](int depth, Json::parse_event_t, const Json&) {
    if (depth > kDeepest)
      throw Error(Error::Kind::format, str_cat(whose, ": its .json nests deeper than ", kDeepest, " levels"));
    return true;
  };
  const Json all = Json::parse(json, shallow, false);
  if (all.is_discarded()) throw Error(Error::Kind::format, str_cat(whose, ": its .json is not JSON"));
  WebLabels out{.labels = {}, .several = true};
  for (size_t i = 0; i < keys.size(); ++i)
    if (number(field(all, keys[i], whose), whose) > 0) out.labels.push_back(static_cast<int64_t>(i));
  if (!keys.empty()) return out;
  const Json value = field(all, target.key, whose);
  if (!value.is_array()) {
    out.several = false;
    out.labels = {integer(value, whose)};
    out.none = out.labels[0] < 0;
  } else if (target.multihot) {
    std::vector<double> values;
    for (const Json& v : value) values.push_back(number(v, whose));
    out.labels = from_multihot(values, whose);
  } else {
    for (const Json& v : value) out.labels.push_back(integer(v, whose));
    for (const int64_t l : out.labels)
      if (l < 0) throw Error(Error::Kind::format, str_cat(whose, " is of class ", l));
  }
  return out;
}

WebSplit web_split(const std::string& root, const std::vector<std::string>& names) {
  for (const char* file_name : {"_info.json", "info.json"}) {
    const std::filesystem::path path = std::filesystem::path(root) / file_name;
    std::ifstream file(path);
    if (!file) continue;
    const Json all = Json::parse(file, nullptr, false);
    if (all.is_discarded()) throw Error(Error::Kind::format, str_cat(path.string(), " is not JSON"));
    for (const std::string& name : names) try {
        if (!all.contains("splits") || !all.at("splits").contains(name)) continue;
        const Json& split = all.at("splits").at(name);
        return {split.at("filenames").get<std::vector<std::string>>(), split.value("alt_label", "")};
      } catch (const Json::exception& e) {
        throw Error(Error::Kind::format, str_cat(path.string(), ": split ", name, ": ", e.what()));
      }
  }
  return {};
}

}  // namespace fovea::data
