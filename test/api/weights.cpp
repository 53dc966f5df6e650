// SPDX-License-Identifier: Apache-2.0
#include "test/api/weights.h"

#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>

#include "engine/ops/ops.h"
#include "test/weights_tools/files.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

namespace fovea_test {

std::string scratch_folder() {
  static const fovea::test::Scratch root;
  static std::atomic<int> next = 0;
  const std::string path = root / std::to_string(next++);
  std::filesystem::create_directory(path);
  return path;
}

std::string weights_of(const std::string& model) {
  static std::mutex mutex;
  static std::map<std::string, std::string> written;
  const std::lock_guard lock(mutex);
  std::string& path = written[model];
  if (path.empty()) {
    const auto m = fovea::zoo::create(model);
    m->materialise(7);
    path = scratch_folder() + "/" + model + ".safetensors";
    fovea::write_safetensors(path, m->state_dict());
  }
  return path;
}

std::vector<std::byte> bytes_of_file(const std::string& path) {
  const std::string text = fovea::test::read_file(path);
  const auto* first = reinterpret_cast<const std::byte*>(text.data());
  return {first, first + text.size()};
}

std::string photo(const std::string& name) { return FOVEA_SOURCE_DIR "/docs/images/" + name; }

}  // namespace fovea_test
