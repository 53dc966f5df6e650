// SPDX-License-Identifier: Apache-2.0
// zoo/pretrained.h — PretrainedCfg: what the catalogue says about one set of published weights, and how names lead to
// it.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fovea::zoo {

/// A row of the catalogue. Text lives as long as the program; empty or zero means that timm says nothing.
struct PretrainedCfg {
  std::string_view architecture{}, tag{}, module{};
  bool is_default = false;                         // what the bare architecture name stands for
  std::string_view url{}, file{}, hf_hub_id{}, hf_hub_filename{};
  bool custom_load = false;                        // not a plain state dict (the original .npz files)
  std::array<int, 3> input_size{3, 224, 224}, test_input_size{}, min_input_size{};   // channels, height, width
  bool fixed_input_size = false;
  std::string_view interpolation = "bicubic";
  float crop_pct = 0.875f, test_crop_pct = 0;      // test_crop_pct 0: as crop_pct
  std::string_view crop_mode = "center";
  std::array<float, 3> mean{0.485f, 0.456f, 0.406f}, std{0.229f, 0.224f, 0.225f};
  int num_classes = 1000;
  std::array<int, 2> pool_size{}, test_pool_size{};
  std::string_view first_conv{}, classifier{};     // module names, comma between several
  std::string_view license{}, origin_url{}, paper_ids{}, paper_name{}, notes{}, description{};

  bool has_weights() const { return !url.empty() || !file.empty() || !hf_hub_id.empty(); }
  std::string name() const;                        // "resnet50.a1_in1k"; without the dot where the tag is empty
};

struct ModelName {
  std::string_view architecture, tag;
};
ModelName split_name(std::string_view name);       // at the first dot
std::vector<std::string> split_list(std::string_view comma_separated);

/// All rows: by architecture, the default first.
std::span<const PretrainedCfg> catalogue();
std::span<const PretrainedCfg> tags_of(std::string_view architecture);
/// Null when timm has no such row. The bare name gives the default row.
const PretrainedCfg* find_pretrained(std::string_view name);

/// Deprecated names of timm and what stands for them ("efficientnet_b1_..." -> "efficientnet_b1.tag").
struct Deprecated {
  std::string_view name, replacement;
};
std::span<const Deprecated> deprecated();
std::string_view replacement_for(std::string_view name);    // "" when the name is not deprecated

}  // namespace fovea::zoo
