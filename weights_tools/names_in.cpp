// SPDX-License-Identifier: Apache-2.0
#include "weights_tools/names_in.h"

#include <cerrno>
#include <memory>
#include <string_view>

#include <dirent.h>

namespace fovea {

std::vector<std::string> names_in(const std::string& folder, int* problem) {
  const auto close = [](DIR* d) { ::closedir(d); };
  const std::unique_ptr<DIR, decltype(close)> at(::opendir(folder.c_str()), close);
  std::vector<std::string> names;
  int error = at ? 0 : errno;
  while (at) {
    errno = 0;
    const dirent* const entry = ::readdir(at.get());
    if (!entry) {
      error = errno;
      break;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (problem) *problem = error;
  return names;
}

}  // namespace fovea
