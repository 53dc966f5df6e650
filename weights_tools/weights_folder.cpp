// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/weights_folder.h"

#include <algorithm>
#include <filesystem>

#include "engine/core/error.h"
#include "weights_tools/sharded.h"

namespace fovea {
namespace {
namespace fs = std::filesystem;

std::vector<std::string> files_of(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code stop;
  for (const fs::directory_entry& e : fs::directory_iterator(folder, stop))
    if (std::error_code ignored; e.is_regular_file(ignored)) names.push_back(e.path().filename().string());
  if (stop) throw Error(Error::Kind::io, cat("cannot list ", folder.string(), ": ", stop.message()));
  std::sort(names.begin(), names.end());
  return names;
}
}  // namespace

const std::vector<std::string>& usual_weight_names() {
  static const std::vector<std::string> names{"model.safetensors",           "pytorch_model.bin",
                                              "pytorch_model.pth",           "model.pth",
                                              "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors",
                                              "open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth",
                                              "model.safetensors.index.json"};
  return names;
}

std::string weights_file(const std::string& path, std::vector<std::string>* others) {
  std::error_code ignored;
  if (path.find('\0') != path.npos || !fs::is_directory(path, ignored)) return path;
  const std::vector<std::string> names = files_of(path);
  for (const std::string& usual : usual_weight_names())
    if (std::binary_search(names.begin(), names.end(), usual)) return (fs::path(path) / usual).string();
  for (const std::string_view end : {".safetensors", ".safetensors.index.json", ".pth", ".pth.tar", ".bin", ".npz"}) {
    std::vector<std::string> found;
    for (const std::string& name : names)
      if (name.ends_with(end)) found.push_back(name);
    if (found.empty()) continue;
    if (others) others->assign(found.begin() + 1, found.end());
    return (fs::path(path) / found[0]).string();
  }
  throw Error(Error::Kind::not_found, cat("there are no weights in the folder ", path),
              cat("they would be called ", usual_weight_names()[0], ", ", usual_weight_names()[1],
                  ", or end in .safetensors, .pth, .pth.tar, .bin or .npz"));
}

}  // namespace fovea
