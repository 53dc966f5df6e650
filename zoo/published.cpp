// SPDX-License-Identifier: Apache-2.0
// zoo/published.cpp — published weights on this machine: where huggingface_hub and torch.hub keep what they fetched.
#include <cstdlib>
#include <filesystem>

#include "engine/core/error.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

std::filesystem::path home(const char* variable, const char* below) {
  if (const char* set = std::getenv(variable); set && *set) return set;
  const char* h = std::getenv("HOME");
  return std::filesystem::path(h ? h : ".") / below;
}

std::string replaced(std::string s, char from, std::string_view to) {
  for (size_t at = s.find(from); at != std::string::npos; at = s.find(from, at + to.size())) s.replace(at, 1, to);
  return s;
}

// As huggingface_hub keeps files: models--org--name/snapshots/<revision>/<file>.
std::string in_hub_cache(const PretrainedCfg& row) {
  namespace fs = std::filesystem;
  if (row.hf_hub_id.empty()) return {};
  const fs::path hub = std::getenv("HF_HUB_CACHE") ? fs::path(std::getenv("HF_HUB_CACHE"))
                                                   : home("HF_HOME", ".cache/huggingface") / "hub";
  const fs::path snapshots = hub / ("models--" + replaced(std::string(row.hf_hub_id), '/', "--")) / "snapshots";
  std::vector<std::string> files = {"model.safetensors", "pytorch_model.bin"};
  if (!row.hf_hub_filename.empty()) files.insert(files.begin(), std::string(row.hf_hub_filename));
  std::error_code ignored;
  for (const auto& revision : fs::directory_iterator(snapshots, ignored))
    for (const std::string& file : files)
      if (fs::exists(revision.path() / file, ignored)) return (revision.path() / file).string();
  return {};
}

// As torch.hub keeps files: hub/checkpoints/<last part of the URL>.
std::string in_torch_cache(const PretrainedCfg& row) {
  if (row.url.empty()) return {};
  const std::string_view file = row.url.substr(row.url.rfind('/') + 1);
  const std::filesystem::path path = home("TORCH_HOME", ".cache/torch") / "hub" / "checkpoints" / file;
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? path.string() : std::string();
}

}  // namespace

std::string pretrained_file(const ImageModel& model) {
  const PretrainedCfg& row = model.pretrained_cfg();
  if (!row.has_weights())
    throw Error(Error::Kind::not_found, str_cat("nobody published weights of ", model.full_name()),
                "materialise() starts from random ones");
  std::string path = in_hub_cache(row);
  if (path.empty()) path = in_torch_cache(row);
  if (!path.empty()) return path;
  const std::string from =
      row.hf_hub_id.empty() ? std::string(row.url) : str_cat("https://huggingface.co/", row.hf_hub_id);
  throw Error(Error::Kind::not_found, str_cat("the weights of ", model.full_name(), " are not on this machine"),
              str_cat("get them from ", from, " and name the file"));
}

LoadReport load_pretrained(ImageModel& model) {
  return load_weights(model, pretrained_file(model), {.fine_tune = true});
}

}  // namespace fovea::zoo
