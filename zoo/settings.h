// SPDX-License-Identifier: Apache-2.0
// zoo/settings.h — the fields of a family's Cfg by name: FOVEA_SETTINGS lists them, create(..., .set) changes and info
// prints them.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/core/attrs.h"
#include "nn/layers/act.h"
#include "nn/layers/conv.h"
#include "nn/layers/norm.h"
#include "nn/layers/token_norm.h"

namespace fovea::zoo {

// How values are read and written. Families add overloads beside their own types; enumerations need only name_of(),
// which gives "" behind the last one.
bool read_setting(std::string_view text, int& v);
bool read_setting(std::string_view text, bool& v);
bool read_setting(std::string_view text, float& v);
bool read_setting(std::string_view text, double& v);
bool read_setting(std::string_view text, std::string_view& v);        // of a copy that stays
bool read_setting(std::string_view text, Act& v);
bool read_setting(std::string_view text, Padding& v);
bool read_setting(std::string_view text, NormSpec::Kind& v);          // timm's names, too
bool read_setting(std::string_view text, TokenNorm::Kind& v);
bool read_setting(std::string_view text, std::span<int> v);           // comma between the numbers, as many as there are
std::string write_setting(int v);
std::string write_setting(bool v);
std::string write_setting(double v);
std::string write_setting(float v);
std::string write_setting(std::string_view v);
std::string write_setting(const Act& v);
std::string write_setting(const Padding& v);
std::string write_setting(std::span<const int> v);
template <class E>
  requires std::is_enum_v<E>
bool read_setting(std::string_view text, E& v) {
  for (int i = 0; !name_of(static_cast<E>(i)).empty(); ++i)
    if (name_of(static_cast<E>(i)) == text) return v = static_cast<E>(i), true;
  return false;
}
template <class E>
  requires std::is_enum_v<E>
std::string write_setting(E v) { return std::string(name_of(v)); }
template <size_t N>
bool read_setting(std::string_view text, std::array<int, N>& v) { return read_setting(text, std::span<int>(v)); }
template <size_t N>
std::string write_setting(const std::array<int, N>& v) { return write_setting(std::span<const int>(v)); }

/// One field: its name, place, and how to read and write it.
struct Setting {
  const char* name;
  void* field;
  bool (*read)(std::string_view text, void* field);
  std::string (*write)(const void* field);
};
using SettingsRef = std::vector<Setting>;

template <class T>
Setting setting(const char* name, T& field) {
  return {name, &field, [](std::string_view text, void* f) { return read_setting(text, *static_cast<T*>(f)); },
          [](const void* f) { return write_setting(*static_cast<const T*>(f)); }};
}

/// A field that is itself a part with settings gives those instead, under their own names.
template <class T>
void append_setting(SettingsRef& all, const char* name, T& field) {
  if constexpr (requires { settings_of(field); })
    for (const Setting& s : settings_of(field)) all.push_back(s);
  else all.push_back(setting(name, field));
}

/// Throws Error(argument) for a name that is not there (with the closest ones) and for text that is no such value.
void change_setting(const SettingsRef& settings, std::string_view model, std::string_view name, std::string_view text);
std::vector<std::pair<std::string, std::string>> print_settings(const SettingsRef& settings);

// clang-format off
#define FOVEA_SETTING_AGAIN() FOVEA_EACH_SETTING
#define FOVEA_EACH_SETTING(first, ...) \
  ::fovea::zoo::append_setting(all, #first, c.first); \
  __VA_OPT__(FOVEA_SETTING_AGAIN FOVEA_PARENS(__VA_ARGS__))
/// FOVEA_SETTINGS(Cfg, depths, widths, ...): after the struct, in the same namespace. Parts of a Cfg have their own.
#define FOVEA_SETTINGS(T, ...) \
  inline ::fovea::zoo::SettingsRef settings_of([[maybe_unused]] T& c) { \
    ::fovea::zoo::SettingsRef all; \
    __VA_OPT__(FOVEA_EXPAND(FOVEA_EACH_SETTING(__VA_ARGS__))) \
    return all; \
  }
// clang-format on

}  // namespace fovea::zoo
