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
  if (!file) throw Error(Error::Kind::io, str_cat("cannot read ", path));
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

struct Named {
  std::vector<std::string> names, descriptions;
};

// What a config.json of timm or transformers says; empty: nothing.
Named of_config(const json& config) {
  Named out;
  if (const auto names = config.find("label_names"); names != config.end()) {
    if (names->is_array()) out.names = names->get<std::vector<std::string>>();
    else if (names->is_object()) out.names = by_index(*names);
    const json described = config.value("label_descriptions", json::object());
    if (described.is_object() && !described.empty())
      for (const std::string& name : out.names) out.descriptions.push_back(described.value(name, name));
    if (!out.names.empty()) return out;
  }
  if (const auto map = config.find("id2label"); map != config.end() && map->is_object()) out.names = by_index(*map);
  return out;
}

Named read_labels(const std::string& path) {
  const std::string text = text_of(path);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos) throw Error(Error::Kind::argument, str_cat(path, " has no labels"), "one a line");
  if (text[first] != '{' && text[first] != '[') return {lines_of(text), {}};
  try {
    const json parsed = json::parse(text);
    if (parsed.is_array()) return {parsed.get<std::vector<std::string>>(), {}};
    Named out = of_config(parsed);
    return out.names.empty() ? Named{by_index(parsed), {}} : out;
  } catch (const std::exception& e) {
    throw Error(Error::Kind::argument, str_cat(path, " is no list of labels: ", e.what()),
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

bool is_imagenet(std::string_view tag) {
  for (const std::string_view subset : {"in1k", "in12k", "in21k", "in22k"})
    if (tag.find(subset) != tag.npos) return true;
  return false;
}

bool config_says_imagenet(const json& config) {
  const json cfg = config.value("pretrained_cfg", json::object());
  const json tag = cfg.is_object() ? cfg.value("tag", json()) : json();
  return tag.is_string() && is_imagenet(tag.get<std::string>());
}

}  // namespace

Labels::Labels(const LabelSources& from, const zoo::ImageModel& model, int64_t classes) : type_(from.type) {
  if (from.given == "none") return;
  const auto take = [&](Named named) {
    names_ = std::move(named.names);
    descriptions_ = std::move(named.descriptions);
  };
  if (!from.given.empty()) {
    take(read_labels(from.given));
    if (static_cast<int64_t>(names_.size()) != classes)
      throw Error(
          Error::Kind::argument,
          str_cat(from.given, " has ", names_.size(), " labels, but the model tells ", classes, " classes apart"),
          "--labels none does without");
    return;
  }
  const json config = config_beside(from.weights, model);
  if (config.is_object()) {
    Named said;
    try {
      said = of_config(config);
    } catch (const std::exception&) { said = {}; }  // it was not asked for
    if (!said.names.empty() && static_cast<int64_t>(said.names.size()) == classes) {
      take(std::move(said));
      return;
    }
  }
  take_imagenet(static_cast<int>(classes));
  const bool known =
      (from.tag_given && is_imagenet(model.tag())) || (config.is_object() && config_says_imagenet(config));
  if (!names_.empty() && !known)
    note_ = str_cat(from.weights, " does not say what its ", classes, " classes are; they are assumed to be ",
                classes == data::label_count() ? "ImageNet-1k's" : "ImageNet's", " (--labels FILE or none)");
}

void Labels::take_imagenet(int classes) {
  if (type_ == "description" && classes == data::label_count()) {  // these need no unpacking
    for (int i = 0; i < classes; ++i) names_.emplace_back(data::label(i));
    return;
  }
  for (const data::Synset& s : data::imagenet_synsets(classes)) {
    names_.emplace_back(s.id);
    descriptions_.emplace_back(s.lemmas);
    details_.push_back(s.definition.empty() ? std::string(s.lemmas) : str_cat(s.lemmas, ": ", s.definition));
  }
}

std::string Labels::operator[](int64_t index) const {
  if (index < 0 || index >= static_cast<int64_t>(names_.size())) return str_cat("class ", index);
  const std::vector<std::string>& from = type_ == "name" || descriptions_.empty() ? names_
                                         : type_ == "detail" && !details_.empty() ? details_
                                                                                  : descriptions_;
  return from[static_cast<size_t>(index)];
}

}  // namespace fovea
