// SPDX-License-Identifier: Apache-2.0
#include "test/golden/runner/state.h"

#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <vector>

#include "engine/core/text.h"

namespace fovea::golden {
namespace {

std::string read_gz(const std::string& path) {
  std::string text;
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file) return text;
  char buffer[1 << 16];
  for (int n; (n = gzread(file, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(n));
  gzclose(file);
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

}  // namespace

std::string recorded_state(const std::string& models_json, const std::string& model) {
  namespace fs = std::filesystem;
  const fs::path json(models_json);
  const std::string all =
      read_gz((json.parent_path().parent_path() / "state" / (json.stem().string() + ".txt.gz")).string());
  const std::string head = "# " + model + "\n";
  size_t from = all.starts_with(head) ? 0 : all.find("\n" + head);
  if (from == std::string::npos) return {};
  from = all.find(head, from) + head.size();
  const size_t to = all.find("\n# ", from);
  return all.substr(from, to == std::string::npos ? to : to + 1 - from);
}

std::string first_differences(const std::string& ours, const std::string& recorded, int most) {
  const std::vector<std::string> a = lines_of(ours), b = lines_of(recorded);
  std::string text;
  for (size_t i = 0; i < std::max(a.size(), b.size()) && most > 0; ++i) {
    const std::string left = i < a.size() ? a[i] : "(ends)", right = i < b.size() ? b[i] : "(ends)";
    if (left == right) continue;
    text += str_cat("\n    line ", i + 1, "  ours: ", left, "   recorded: ", right);
    --most;
  }
  return text;
}

}  // namespace fovea::golden
