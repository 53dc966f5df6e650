// SPDX-License-Identifier: Apache-2.0
// zoo/family.h — what a family file includes: Variant, Family, settings by name, and the layers and blocks that models
// are made of.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/core/attrs.h"
#include "engine/ops/ops.h"
#include "nn/layers.h"
#include "weights_tools/rename.h"
#include "zoo/image_model.h"
#include "zoo/model_options.h"
#include "zoo/settings.h"

namespace fovea::zoo {

/// One architecture: its name and the family's configuration for it.
template <class Cfg>
struct Variant {
  const char* name;
  Cfg cfg;
};

/// Which of the options that not all families have this one takes.
struct Accepts {
  bool output_stride = false, img_size = false, drop_path_rate = true;
  int least_output_stride = 2;                     // where timm's module refuses smaller ones
};

/// A setting that the weights of a tag were made with, other than the variant's.
struct TagSetting {
  std::string_view tag;
  const char *name, *value;
};

/// A family with its types erased: what the registry holds.
struct Family {
  const char* module{};                            // as timm's module is called
  size_t count{};
  const char* (*name)(size_t i);
  std::unique_ptr<ImageModel> (*build)(size_t i, const ModelOptions& o);
  std::vector<std::pair<std::string, std::string>> (*settings)(size_t i);
  Accepts accepts{};
  std::span<const Rename> renames{};               // names of foreign checkpoints -> ours
  StateDict (*adapt)(ImageModel& model, StateDict weights) = nullptr;     // what renames cannot express
  std::span<const TagSetting> tag_settings{};
};

template <class Model, class Cfg>
std::unique_ptr<ImageModel> build_variant(const Variant<Cfg>& v, const ModelOptions& o) {
  Cfg cfg = v.cfg;
  SettingsRef fields = settings_of(cfg);
  for (const auto& [name, value] : o.set) change_setting(fields, v.name, name, value);
  return std::make_unique<Model>(cfg, o);
}
template <class Cfg>
std::vector<std::pair<std::string, std::string>> list_settings(const Variant<Cfg>& v) {
  Cfg cfg = v.cfg;
  return print_settings(settings_of(cfg));
}

// clang-format off
/// FOVEA_FAMILY(resnet, ResNet, variants, .accepts = {...}, .renames = ..., .adapt = ...), in namespace
/// fovea::zoo::resnet.
#define FOVEA_FAMILY(module_name, Model, table, ...) \
  extern const Family family; \
  const Family family{.module = #module_name, .count = std::size(table), \
                      .name = [](size_t i) { return table[i].name; }, \
                      .build = [](size_t i, const ModelOptions& o) { return build_variant<Model>(table[i], o); }, \
                      .settings = [](size_t i) { return list_settings(table[i]); } __VA_OPT__(,) __VA_ARGS__};
// clang-format on

}  // namespace fovea::zoo
