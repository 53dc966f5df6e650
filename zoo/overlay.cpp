// SPDX-License-Identifier: Apache-2.0
#include "zoo/overlay.h"

#include <algorithm>

#include "engine/core/error.h"
#include "zoo/settings.h"

namespace fovea::zoo {
namespace {

constexpr int kLargest = 1 << 20;  // of a size that anybody means

template <class T, size_t N>
bool read_list(std::string_view text, std::array<T, N>& v) {
  std::array<T, N> read{};
  size_t n = 0;
  for (;; ++n) {
    const size_t comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    if (n == N || !read_setting(part, read[n])) return false;
    if (comma == text.npos) break;
    text.remove_prefix(comma + 1);
  }
  if (n != 0 && n + 1 != N) return false;
  if (n == 0) read.fill(read[0]);
  v = read;
  return true;
}

template <size_t N>
bool read_sizes(std::string_view text, std::array<int, N>& v) {
  std::array<int, N> read{};
  if (!read_list(text, read)) return false;
  for (const int size : read)
    if (size < 1 || size > kLargest) return false;
  v = read;
  return true;
}

bool read_three(std::string_view text, std::array<int, 3>& v) {
  return std::count(text.begin(), text.end(), ',') == 2 && read_sizes(text, v);
}
bool read_image(std::string_view text, PretrainedCfg& row) {
  std::array<int, 2> size{};
  if (!read_sizes(text, size)) return false;
  row.input_size = {row.input_size[0], size[0], size[1]};
  return true;
}
bool read_share(std::string_view text, float& v) {
  constexpr float kMost = 100;
  float read = 0;
  if (!read_setting(text, read) || !(read > 0 && read <= kMost)) return false;
  v = read;
  return true;
}
bool read_channels(std::string_view text, int& v) {
  int read = 0;
  if (!read_setting(text, read) || read < 1 || read > kLargest) return false;
  v = read;
  return true;
}
bool read_classes(std::string_view text, int& v) {
  int read = 0;
  if (!read_setting(text, read) || read < 0) return false;
  v = read;
  return true;
}
bool read_deviations(std::string_view text, std::array<float, 3>& v) {
  std::array<float, 3> read{};
  if (!read_list(text, read) || !std::all_of(read.begin(), read.end(), [](float f) { return f > 0; })) return false;
  v = read;
  return true;
}
template <size_t N>
bool read_one_of(std::string_view text, const std::string_view (&known)[N], std::string_view& v) {
  const auto* found = std::find(std::begin(known), std::end(known), text);
  if (found == std::end(known)) return false;
  v = *found;
  return true;
}
constexpr std::string_view kFilters[] = {"bicubic", "bilinear", "nearest", "lanczos", "box", "hamming"};
constexpr std::string_view kCrops[] = {"center", "squash", "border"};

struct Field {
  std::string_view name;
  bool (*read)(std::string_view text, PretrainedCfg& row);
};
#define FOVEA_TEXT(field)                                                                  \
  {                                                                                        \
#field, [](std::string_view t, PretrainedCfg & r) { return read_setting(t, r.field); } \
  }
constexpr Field kFields[] = {
    FOVEA_TEXT(url),
    FOVEA_TEXT(file),
    FOVEA_TEXT(hf_hub_id),
    FOVEA_TEXT(hf_hub_filename),
    FOVEA_TEXT(tag),
    FOVEA_TEXT(first_conv),
    FOVEA_TEXT(classifier),
    FOVEA_TEXT(license),
    FOVEA_TEXT(origin_url),
    FOVEA_TEXT(paper_ids),
    FOVEA_TEXT(paper_name),
    FOVEA_TEXT(notes),
    FOVEA_TEXT(description),
    FOVEA_TEXT(custom_load),
    FOVEA_TEXT(fixed_input_size),
    {"input_size", [](std::string_view t, PretrainedCfg& r) { return read_three(t, r.input_size); }},
    {"test_input_size", [](std::string_view t, PretrainedCfg& r) { return read_three(t, r.test_input_size); }},
    {"min_input_size", [](std::string_view t, PretrainedCfg& r) { return read_three(t, r.min_input_size); }},
    {"img_size", read_image},
    {"in_chans", [](std::string_view t, PretrainedCfg& r) { return read_channels(t, r.input_size[0]); }},
    {"interpolation", [](std::string_view t, PretrainedCfg& r) { return read_one_of(t, kFilters, r.interpolation); }},
    {"crop_mode", [](std::string_view t, PretrainedCfg& r) { return read_one_of(t, kCrops, r.crop_mode); }},
    {"crop_pct", [](std::string_view t, PretrainedCfg& r) { return read_share(t, r.crop_pct); }},
    {"test_crop_pct", [](std::string_view t, PretrainedCfg& r) { return read_share(t, r.test_crop_pct); }},
    {"mean", [](std::string_view t, PretrainedCfg& r) { return read_list(t, r.mean); }},
    {"std", [](std::string_view t, PretrainedCfg& r) { return read_deviations(t, r.std); }},
    {"num_classes", [](std::string_view t, PretrainedCfg& r) { return read_classes(t, r.num_classes); }},
    {"pool_size", [](std::string_view t, PretrainedCfg& r) { return read_sizes(t, r.pool_size); }},
    {"test_pool_size", [](std::string_view t, PretrainedCfg& r) { return read_sizes(t, r.test_pool_size); }},
};
#undef FOVEA_TEXT

const Field* find_field(std::string_view name) {
  const auto* found = std::ranges::find(kFields, name, &Field::name);
  return found == std::end(kFields) ? nullptr : found;
}

}  // namespace

bool is_field(std::string_view name) { return find_field(name) != nullptr; }

std::vector<std::string> field_names() {
  std::vector<std::string> names;
  for (const Field& f : kFields) names.emplace_back(f.name);
  return names;
}

void change_field(PretrainedCfg& row, std::string_view field, std::string_view text) {
  const Field* f = find_field(field);
  if (!f) {
    const std::vector<std::string> names = field_names(), near = closest(field, names);
    throw Error(Error::Kind::argument, cat("pretrained_cfg has no field '", field, "'"),
                cat(near.empty() ? "there are: " : "closest: ", join(near.empty() ? names : near, ", ")));
  }
  if (!f->read(text, row))
    throw Error(Error::Kind::argument, cat("'", text, "' is no value for ", field, " of a pretrained_cfg"));
}

void overlay(PretrainedCfg& row, Named& set, const Named& settings_of_family) {
  constexpr std::string_view kPrefix = "pretrained_cfg.";
  std::erase_if(set, [&](const auto& entry) {
    const auto& [name, value] = entry;
    const bool plainly = name.starts_with(kPrefix);
    if (!plainly && (!is_field(name) || std::ranges::find(settings_of_family, name, &Named::value_type::first) !=
                                            settings_of_family.end()))
      return false;
    change_field(row, std::string_view(name).substr(plainly ? kPrefix.size() : 0), value);
    return true;
  });
}

}  // namespace fovea::zoo
