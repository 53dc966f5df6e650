// SPDX-License-Identifier: Apache-2.0
// zoo/pretrained.cpp — the catalogue, which the build embeds as text and the first look-up reads, and look-ups in it.
#include "zoo/pretrained.h"

#include <algorithm>
#include <charconv>
#include <span>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/text.h"
#include "weights_tools/bytes.h"
#include "weights_tools/mapped_file.h"
#include "weights_tools/zip.h"

namespace fovea::zoo {
namespace {

#include "zoo/catalogue_rows.h"

#if defined(FOVEA_PACKED_ROWS)
std::string_view rows_text() {
  static const KeptBytes unpacked = [] {
    const Bytes archive = std::as_bytes(std::span(kRows));
    const Zip zip = Zip::open(MappedFile::in_memory(archive, "the catalogue", nullptr));
    return zip.read(zip.entries()[0]);
  }();
  return text_of(unpacked.bytes);
}
#else
std::string_view rows_text() { return {kRows, sizeof kRows - 1}; }
#endif

// What stands in front of the separator, which is taken away with it.
std::string_view cut(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return part;
}

void read(std::string_view text, std::string_view& v) { v = text; }
void read(std::string_view text, bool& v) { v = text == "1"; }
template <class Number>
void read(std::string_view text, Number& v) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (code != std::errc() || end != text.data() + text.size())
    throw Error(Error::Kind::internal, str_cat("the catalogue has '", text, "' for a number"));
}
template <class Number, size_t N>
void read(std::string_view text, std::array<Number, N>& v) {
  for (Number& n : v) read(cut(text, ','), n);
}

using Reader = void (*)(std::string_view text, PretrainedCfg& row);
template <auto Field>
void read_field(std::string_view text, PretrainedCfg& row) {
  read(text, row.*Field);
}
using C = PretrainedCfg;
constexpr std::pair<std::string_view, Reader> kColumns[] = {
    {"architecture", read_field<&C::architecture>},
    {"tag", read_field<&C::tag>},
    {"module", read_field<&C::module>},
    {"is_default", read_field<&C::is_default>},
    {"url", read_field<&C::url>},
    {"file", read_field<&C::file>},
    {"hf_hub_id", read_field<&C::hf_hub_id>},
    {"hf_hub_filename", read_field<&C::hf_hub_filename>},
    {"custom_load", read_field<&C::custom_load>},
    {"input_size", read_field<&C::input_size>},
    {"test_input_size", read_field<&C::test_input_size>},
    {"min_input_size", read_field<&C::min_input_size>},
    {"fixed_input_size", read_field<&C::fixed_input_size>},
    {"interpolation", read_field<&C::interpolation>},
    {"crop_pct", read_field<&C::crop_pct>},
    {"test_crop_pct", read_field<&C::test_crop_pct>},
    {"crop_mode", read_field<&C::crop_mode>},
    {"mean", read_field<&C::mean>},
    {"std", read_field<&C::std>},
    {"num_classes", read_field<&C::num_classes>},
    {"pool_size", read_field<&C::pool_size>},
    {"test_pool_size", read_field<&C::test_pool_size>},
    {"first_conv", read_field<&C::first_conv>},
    {"classifier", read_field<&C::classifier>},
    {"license", read_field<&C::license>},
    {"origin_url", read_field<&C::origin_url>},
    {"paper_ids", read_field<&C::paper_ids>},
    {"paper_name", read_field<&C::paper_name>},
    {"notes", read_field<&C::notes>},
    {"description", read_field<&C::description>},
};

Reader reader_of(std::string_view column) {
  for (const auto& [name, reader] : kColumns)
    if (name == column) return reader;
  throw Error(Error::Kind::internal, str_cat("the catalogue has a column '", column, "'"));
}

std::vector<PretrainedCfg> read_rows() {
  std::string_view text = rows_text(), heading = cut(text, '\n');
  std::vector<Reader> readers;
  while (!heading.empty()) readers.push_back(reader_of(cut(heading, '\t')));
  std::vector<PretrainedCfg> rows;
  rows.reserve(static_cast<size_t>(std::count(text.begin(), text.end(), '\n')));
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    PretrainedCfg& row = rows.emplace_back();
    for (const Reader r : readers)
      if (const std::string_view field = cut(line, '\t'); !field.empty()) r(field, row);
  }
  return rows;
}

}  // namespace

std::string PretrainedCfg::name() const {
  return tag.empty() ? std::string(architecture) : str_cat(architecture, '.', tag);
}

ModelName split_name(std::string_view name) {
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return {name, {}};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return parts;
}

std::span<const PretrainedCfg> catalogue() {
  static const std::vector<PretrainedCfg> rows = read_rows();
  return rows;
}

std::span<const PretrainedCfg> tags_of(std::string_view architecture) {
  const auto [first, last] = std::ranges::equal_range(catalogue(), architecture, {}, &PretrainedCfg::architecture);
  return {first, last};
}

const PretrainedCfg* find_pretrained(std::string_view name) {
  const ModelName n = split_name(name);
  const std::span<const PretrainedCfg> tags = tags_of(n.architecture);
  if (tags.empty()) return nullptr;
  if (n.tag.empty()) return &tags[0];
  for (const PretrainedCfg& cfg : tags)
    if (cfg.tag == n.tag) return &cfg;
  return nullptr;
}

std::span<const Deprecated> deprecated() { return kDeprecated; }

std::string_view replacement_for(std::string_view name) {
  const auto it = std::ranges::lower_bound(kDeprecated, name, {}, &Deprecated::name);
  return it != std::end(kDeprecated) && it->name == name ? it->replacement : std::string_view();
}

}  // namespace fovea::zoo
