// SPDX-License-Identifier: Apache-2.0
// data/web_shards.cpp — which files the split of a WebDataset is made of.
#include <algorithm>
#include <filesystem>

#include "data/braces.h"
#include "data/web_dataset.h"
#include "data/web_labels.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::data {
namespace {

namespace fs = std::filesystem;

bool is_pattern(std::string_view split) { return split.find("tar") != split.npos || split.find("..") != split.npos; }

std::string below(const std::string& root, const std::string& shard) {
  const size_t colon = shard.find(':');
  const bool address = shard.starts_with("pipe:") || (colon != shard.npos && shard.substr(colon).starts_with("://"));
  if (address)
    throw Error(Error::Kind::unsupported, str_cat("the shard ", shard, " is an address"),
                "shards are files here: fetch them first, so that each sample can be read at any time");
  return (fs::path(root) / shard).string();
}

// NAME/*.tar, NAME-*.tar and NAME_*.tar, in natural order.
std::vector<std::string> lying_there(const std::string& root, const std::string& name) {
  std::vector<std::string> out;
  const fs::path inside = fs::path(root) / name;
  std::error_code failed;
  const bool own = fs::is_directory(inside, failed);
  for (fs::directory_iterator at(own ? inside : fs::path(root), failed), end; !failed && at != end;
       at.increment(failed)) {
    const std::string file = at->path().filename().string();
    const bool ours = own || file.starts_with(name + "-") || file.starts_with(name + "_");
    if (ours && !file.starts_with('.') && file.ends_with(".tar")) out.push_back(at->path().string());
  }
  std::sort(out.begin(), out.end(), natural_before);
  return out;
}

}  // namespace

std::vector<std::string> web_shards(const std::string& root, const std::string& split, std::string& alternative_label) {
  std::vector<std::string> out;
  if (is_pattern(split)) {
    for (const std::string& name : expand_braces(std::string_view(split).substr(0, split.find('|'))))
      out.push_back(below(root, name));
    return out;
  }
  const WebSplit listed = web_split(root, split_names(split));
  alternative_label = listed.alternative_label;
  for (const std::string& name : listed.shards) out.push_back(below(root, name));
  for (const std::string& name : split_names(split))
    if (out.empty()) out = lying_there(root, name);
  if (out.empty())
    throw Error(Error::Kind::not_found, str_cat("no shards of the split '", split, "' in ", root),
                "name them, --train-split 'train-{000..146}.tar', or list them in _info.json");
  return out;
}

}  // namespace fovea::data
