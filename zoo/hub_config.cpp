// SPDX-License-Identifier: Apache-2.0
#include "zoo/hub_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"
#include "weights_tools/mapped_file.h"
#include "zoo/overlay.h"
#include "zoo/settings.h"

namespace fovea::zoo {
namespace {

using nlohmann::json;

// Values of settings: 3, true, avg, and 224,224 of [224, 224]. False: it has no such form.
bool text_of_value(const json& value, std::string& text) {
  if (value.is_string()) text = value.get<std::string>();
  else if (value.is_boolean()) text = cat(value.get<bool>());
  else if (value.is_number_integer()) text = value.dump();
  else if (value.is_number_float()) text = cat(value.get<double>());
  else if (value.is_array()) {
    text.clear();
    for (const json& part : value) {
      std::string one;
      if (part.is_array() || !text_of_value(part, one)) return false;
      text += cat(text.empty() ? "" : ",", one);
    }
  } else {
    return false;
  }
  return true;
}

// Where weights come from is not the config's to say: they lie beside it.
bool says_source(std::string_view field) {
  for (const std::string_view f : {"url", "file", "hf_hub_id", "source", "state_dict", "custom_load"})
    if (field == f) return true;
  return false;
}

void take_fields(PretrainedCfg& row, const json& cfg) {
  for (const auto& [field, value] : cfg.items()) {
    std::string text;
    if (value.is_null() || says_source(field) || !is_field(field) || !text_of_value(value, text) || text.empty())
      continue;
    change_field(row, field, text);
  }
}

}  // namespace

HubConfig read_hub_config(const std::string& path) {
  constexpr size_t kMost = size_t{64} << 20;  // label names of 21 thousand classes take two
  const auto file = MappedFile::open(path, FileAccess::read);
  const auto bad = [&](const std::string& what) {
    return Error(Error::Kind::format, cat(path, " is no config.json of a model of timm: ", what));
  };
  if (file->bytes().size() > kMost) throw bad(cat("it has ", file->bytes().size(), " bytes"));
  const json parsed = json::parse(text_of(file->bytes()), nullptr, false);
  if (!parsed.is_object()) throw bad("it is no JSON object");
  const json architecture = parsed.value("architecture", json());
  const auto nested = parsed.find("pretrained_cfg");
  const bool flat = nested == parsed.end() || !nested->is_object();
  const json name = !architecture.is_null() || flat ? architecture : nested->value("architecture", json());
  if (!name.is_string()) throw bad("it names no architecture");
  HubConfig out;
  try {
    read_setting(name.get<std::string>(), out.row.architecture);
    take_fields(out.row, flat ? parsed : *nested);
    const json classes = parsed.value("num_classes", json());
    if (classes.is_number_integer()) change_field(out.row, "num_classes", classes.dump());
  } catch (const Error& e) { throw bad(e.summary()); }
  json args = parsed.value("model_args", json::object());
  if (!args.is_object()) args = json::object();
  for (const auto& [arg, value] : args.items()) {
    if (value.is_null()) continue;
    std::string text;
    if (!text_of_value(value, text)) throw bad(cat("the model argument ", arg, " is ", value.dump()));
    out.model_args.emplace_back(arg, text);
  }
  return out;
}

namespace {

using Ordered = nlohmann::ordered_json;

// 224 -> 224, true -> true, 224,224 -> [224, 224], 0.9 -> 0.9, avg -> "avg"
Ordered value_of_text(std::string_view text) {
  if (text == "true" || text == "false") return text == "true";
  if (text.find(',') != text.npos) {
    Ordered list = Ordered::array();
    for (const std::string& part : split_list(text)) list.push_back(value_of_text(part));
    return list;
  }
  int whole = 0;
  double real = 0;
  if (read_setting(text, whole)) return whole;
  if (read_setting(text, real)) return real;
  return std::string(text);
}

double digits_of(float v) { return std::stod(cat(v)); }  // 0.875, not the nearest float's digits

Ordered names_of(std::string_view list) {
  const std::vector<std::string> names = split_list(list);
  if (names.empty()) return nullptr;
  return names.size() == 1 ? Ordered(names[0]) : Ordered(names);
}

Ordered pretrained_json(const PretrainedCfg& row) {
  Ordered j;
  const auto text = [&j](const char* key, std::string_view value) {
    if (!value.empty()) j[key] = value;
  };
  text("tag", row.tag);
  j["custom_load"] = false;
  j["input_size"] = row.input_size;
  if (row.test_input_size[0] > 0) j["test_input_size"] = row.test_input_size;
  if (row.min_input_size[0] > 0) j["min_input_size"] = row.min_input_size;
  j["fixed_input_size"] = row.fixed_input_size;
  j["interpolation"] = row.interpolation;
  j["crop_pct"] = digits_of(row.crop_pct);
  if (row.test_crop_pct > 0) j["test_crop_pct"] = digits_of(row.test_crop_pct);
  j["crop_mode"] = row.crop_mode;
  for (const auto& [key, values] : {std::pair{"mean", row.mean}, std::pair{"std", row.std}}) {
    j[key] = Ordered::array();
    for (const float v : values) j[key].push_back(digits_of(v));
  }
  j["num_classes"] = row.num_classes;
  j["pool_size"] = row.pool_size[0] > 0 ? Ordered(row.pool_size) : Ordered(nullptr);
  j["first_conv"] = names_of(row.first_conv);
  j["classifier"] = names_of(row.classifier);
  text("license", row.license);
  text("description", row.description);
  text("origin_url", row.origin_url);
  text("paper_name", row.paper_name);
  text("paper_ids", row.paper_ids);
  text("notes", row.notes);
  return j;
}

}  // namespace

std::string write_hub_config(const HubConfigParts& parts) {
  Ordered j{{"architecture", parts.row.architecture},
            {"num_classes", parts.row.num_classes},
            {"num_features", parts.num_features}};
  if (!parts.global_pool.empty()) j["global_pool"] = parts.global_pool;
  if (!parts.label_names.empty()) j["label_names"] = parts.label_names;
  for (const auto& [name, description] : parts.label_descriptions) j["label_descriptions"][name] = description;
  for (const auto& [name, value] : parts.model_args) j["model_args"][name] = value_of_text(value);
  j["pretrained_cfg"] = pretrained_json(parts.row);
  return j.dump(2) + "\n";
}

}  // namespace fovea::zoo
