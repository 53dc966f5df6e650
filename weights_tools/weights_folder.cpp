// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/weights_folder.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "engine/core/error.h"
#include "weights_tools/names_in.h"
#include "weights_tools/sharded.h"

namespace fovea {
namespace {
namespace fs = std::filesystem;

std::vector<std::string> files_of(const fs::path& folder) {
  int problem = 0;
  std::vector<std::string> names = names_in(folder.string(), &problem);
  if (problem) throw Error(Error::Kind::io, str_cat("cannot list ", folder.string(), ": ", std::strerror(problem)));
  std::erase_if(names, [&](const std::string& name) {
    std::error_code ignored;
    return !fs::is_regular_file(folder / name, ignored);
  });
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
  throw Error(Error::Kind::not_found, str_cat("there are no weights in the folder ", path),
              str_cat("they would be called ", usual_weight_names()[0], ", ", usual_weight_names()[1],
                  ", or end in .safetensors, .pth, .pth.tar, .bin or .npz"));
}

}  // namespace fovea
