// SPDX-License-Identifier: Apache-2.0
// data/web_dataset.h — WebDataset: shards whose members of one name are a sample: 0001.jpg and 0001.cls.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "data/class_map.h"
#include "data/folder.h"
#include "data/reader.h"
#include "data/tar_members.h"
#include "data/target_fields.h"

namespace fovea::data {

struct WebOptions {
  ClassMap class_map{};                            // of the numbers of classes, or of the target keys
  Suffixes images{};                               // in the order in which they are looked for; {}: .jpg, .png, ...
  TargetOptions target{};                          // fields of the member .json; without a key the member .cls counts
};

class WebDataset final : public Reader {
 public:
  /// `split`: shards as a pattern ("train-{000..146}.tar", perhaps with "|COUNT" behind it, which is not needed), or
  /// the name of a split that _info.json or info.json lists, or whose shards lie in the folder SPLIT or are called
  /// SPLIT-*.tar. Paths are below `root`. Samples are in the order of shards and members, and each may be read at any
  /// time: what shuffles them can shuffle all of them. Samples without an image are left out, and those of a negative
  /// label in .json (timm: data/readers/reader_wds.py). Throws Error(format) for an image without a label.
  WebDataset(const std::string& root, const std::string& split, const WebOptions& options = {});

  std::string name(size_t i) const override;       // "SHARD/NAME.jpg"
  Stored read(size_t i) const override;

 private:
  struct Place {
    size_t shard;
    TarMember image;
  };
  struct Group;
  void take_shard(size_t shard, const WebOptions& options);
  void take(size_t shard, const RegularFile& file, const Group& group, const WebOptions& options);
  std::vector<std::string> shards_;
  std::vector<std::string> keys_;
  std::vector<Place> places_;
  int64_t most_ = -1;                              // the highest label
};

/// The shards that a split is made of, as paths.
std::vector<std::string> web_shards(const std::string& root, const std::string& split, std::string& alternative_label);

}  // namespace fovea::data
