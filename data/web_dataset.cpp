// SPDX-License-Identifier: Apache-2.0
#include "data/web_dataset.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <map>

#include "data/decode.h"
#include "data/web_labels.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

// Up to the first dot of the name, and behind it in lower case; false for names that are no part of a sample.
bool split_name(std::string_view name, std::string_view& key, std::string& ending) {
  const size_t base = name.rfind('/') == name.npos ? 0 : name.rfind('/') + 1;
  const size_t dot = name.find('.', base);
  if (dot == name.npos || dot == base) return false;
  const std::string_view first = name.substr(0, name.find('/'));
  if (first.size() > 4 && first.starts_with("__") && first.ends_with("__")) return false;      // about the shard
  key = name.substr(0, dot);
  ending = name.substr(dot + 1);
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return true;
}

Suffixes usual_images() {
  Suffixes out{".jpg", ".png", ".webp"};           // timm's, in its order
  for (const std::string_view s : image_suffixes())
    if (std::find(out.begin(), out.end(), s) == out.end()) out.emplace_back(s);
  return out;
}

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

int64_t class_in(std::string text, const std::string& whose) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c); });
  int64_t label = -1;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), label);
  if (text.empty() || failed != std::errc() || end != text.data() + text.size() || label < 0)
    throw Error(Error::Kind::format, str_cat(whose, ": the class is '", text.substr(0, 40), "'"),
                "it is a number from 0 on");
  return label;
}

}  // namespace

struct WebDataset::Group {
  std::string key{};
  std::map<std::string, TarMember> members{};      // by ending
};

WebDataset::WebDataset(const std::string& root, const std::string& split, const WebOptions& options)
    : keys_(target_keys(options.target)) {
  WebOptions o = options;
  std::string alternative;
  shards_ = web_shards(root, split, alternative);
  if (o.target.key.empty()) o.target.key = alternative;
  if (o.images.empty()) o.images = usual_images();
  if (!keys_.empty() || o.target.multihot) set_multi_label();
  for (size_t i = 0; i < shards_.size(); ++i) take_shard(i, o);
  if (size() == 0)
    throw Error(Error::Kind::not_found, str_cat("no images in the ", shards_.size(), " shards of ", root),
                "a sample is a member NAME.jpg and one NAME.cls, or NAME.json with --target-key");
  std::vector<std::string> names = o.class_map.empty() ? keys_ : o.class_map.names();
  if (names.size() <= static_cast<size_t>(most_ + 1)) names.resize(static_cast<size_t>(most_ + 1));
  set_classes(std::move(names));
}

void WebDataset::take_shard(size_t shard, const WebOptions& options) {
  const RegularFile file(shards_[shard]);
  Group group;
  for (TarMember& m : tar_members(file)) {
    std::string_view key;
    std::string ending;
    if (!split_name(m.name, key, ending)) continue;
    if (key != group.key) {
      take(shard, file, group, options);
      group = {.key = std::string(key)};
    }
    if (group.members.contains(ending))
      throw Error(Error::Kind::format, str_cat(shards_[shard], " has ", m.name, " twice in one sample"));
    group.members.emplace(std::move(ending), std::move(m));
  }
  take(shard, file, group, options);
}

void WebDataset::take(size_t shard, const RegularFile& file, const Group& group, const WebOptions& o) {
  const TarMember* image = nullptr;
  for (const std::string& suffix : o.images)
    if (const auto found = group.members.find(suffix.substr(1)); !image && found != group.members.end())
      image = &found->second;
  if (!image) return;
  const std::string whose = str_cat(file.path(), '/', group.key);
  const auto content = [&](const char* ending) {
    const auto found = group.members.find(ending);
    if (found == group.members.end())
      throw Error(Error::Kind::format, str_cat(whose, " has an image, but no .", ending),
                  o.target.key.empty() ? "--target-key names a field of .json that has the class" : "");
    return text_of(file.part(found->second.at, found->second.size));
  };
  std::vector<int64_t> labels;
  if (o.target.key.empty()) {
    labels = {mapped(o.class_map, class_in(content("cls"), whose), whose)};
  } else {
    const WebLabels said = web_labels(content("json"), keys_, o.target, whose);
    if (said.none) return;
    if (said.several && !multi_label()) {
      if (size() > 0) throw Error(Error::Kind::format, str_cat(whose, " has a list of classes, others have one"));
      set_multi_label();
    }
    if (!said.several && multi_label())
      throw Error(Error::Kind::format, str_cat(whose, " has one class, others have a list"));
    for (const int64_t l : said.labels) {
      const auto at = static_cast<size_t>(l);
      const auto by_name = at < keys_.size() && !o.class_map.empty() ? o.class_map.find(keys_[at]) : std::nullopt;
      labels.push_back(by_name ? *by_name : mapped(o.class_map, l, whose));
    }
  }
  for (const int64_t l : labels) {
    if (l > kMostClasses)
      throw Error(Error::Kind::format, str_cat(whose, " is of class ", l),
                  str_cat("numbers of classes are from 0 to ", kMostClasses));
    most_ = std::max(most_, l);
  }
  add(labels);
  places_.push_back({shard, *image});
}

std::string WebDataset::name(size_t i) const { return str_cat(shards_[places_[i].shard], '/', places_[i].image.name); }

Stored WebDataset::read(size_t i) const {
  const Place& place = places_[i];
  return {.bytes = RegularFile(shards_[place.shard]).part(place.image.at, place.image.size)};
}

}  // namespace fovea::data
