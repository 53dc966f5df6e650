// SPDX-License-Identifier: Apache-2.0
#include "api/labels.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "data/labels.h"
#include "engine/core/error.h"

namespace fovea {
namespace {

using nlohmann::json;

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(Error::Kind::io, cat("cannot read ", path));
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    out.push_back(std::move(line));
    at = end + 1;
  }
  return out;
}

// {"0": "cat", "1": "dog"}
std::vector<std::string> by_index(const json& object) {
  std::vector<std::string> out(object.size());
  for (const auto& [key, value] : object.items()) out.at(std::stoul(key)) = value.get<std::string>();
  return out;
}

// What a config.json of timm or transformers says; empty: nothing.
std::vector<std::string> of_config(const json& config) {
  if (const auto names = config.find("label_names"); names != config.end() && names->is_array()) {
    const json described = config.value("label_descriptions", json::object());
    std::vector<std::string> out;
    for (const json& name : *names) {
      const std::string text = name.get<std::string>();
      out.push_back(described.is_object() ? described.value(text, text) : text);
    }
    return out;
  }
  if (const auto map = config.find("id2label"); map != config.end() && map->is_object()) return by_index(*map);
  return {};
}

std::vector<std::string> read_labels(const std::string& path) {
  const std::string text = text_of(path);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) throw Error(Error::Kind::argument, cat(path, " has no labels"), "one a line");
  if (text[first] != '{' && text[first] != '[') return lines_of(text);
  try {
    const json parsed = json::parse(text);
    if (parsed.is_array()) return parsed.get<std::vector<std::string>>();
    std::vector<std::string> out = of_config(parsed);
    return out.empty() ? by_index(parsed) : out;
  } catch (const std::exception& e) {
    throw Error(Error::Kind::argument, cat(path, " is no list of labels: ", e.what()),
                "a label a line, or JSON: a list, an object by index, or a config.json with label_names");
  }
}

// The hub's description of the weights, where it is of this model.
json config_beside(const std::string& weights, const zoo::ImageModel& model) {
  const std::filesystem::path path = std::filesystem::path(weights).parent_path() / "config.json";
  std::error_code ignored;
  if (weights.empty() || !std::filesystem::is_regular_file(path, ignored)) return {};
  const json config = json::parse(text_of(path.string()), nullptr, false);
  if (!config.is_object() || config.value("architecture", json()) != model.architecture()) return {};
  return config;
}

bool is_imagenet(std::string_view tag) { return tag.find("in1k") != std::string_view::npos; }

bool config_says_imagenet(const json& config) {
  const json cfg = config.value("pretrained_cfg", json::object());
  const json tag = cfg.is_object() ? cfg.value("tag", json()) : json();
  return tag.is_string() && is_imagenet(tag.get<std::string>());
}

}  // namespace

Labels::Labels(const LabelSources& from, const zoo::ImageModel& model, int64_t classes) {
  if (from.given == "none") return;
  if (!from.given.empty()) {
    names_ = read_labels(from.given);
    if (static_cast<int64_t>(names_.size()) != classes)
      throw Error(Error::Kind::argument,
                  cat(from.given, " has ", names_.size(), " labels, but the model tells ", classes, " classes apart"),
                  "--labels none does without");
    return;
  }
  const json config = config_beside(from.weights, model);
  if (config.is_object()) {
    try {
      names_ = of_config(config);
    } catch (const std::exception&) { names_.clear(); }  // it was not asked for
    if (static_cast<int64_t>(names_.size()) != classes) names_.clear();
    if (!names_.empty()) return;
  }
  imagenet_ = classes == data::label_count();
  const bool known =
      (from.tag_given && is_imagenet(model.tag())) || (config.is_object() && config_says_imagenet(config));
  if (imagenet_ && !known)
    note_ = cat(from.weights, " does not say what its ", classes,
                " classes are; they are assumed to be ImageNet-1k's (--labels FILE or none)");
}

std::string Labels::operator[](int64_t index) const {
  if (imagenet_) return std::string(data::label(static_cast<int>(index)));
  if (index >= 0 && index < static_cast<int64_t>(names_.size())) return names_[static_cast<size_t>(index)];
  return cat("class ", index);
}

}  // namespace fovea
