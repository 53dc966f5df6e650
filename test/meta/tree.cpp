// SPDX-License-Identifier: Apache-2.0
// test/meta/tree.cpp — walks the repository once and keeps its source files in memory.
#include "test/meta/tree.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace fovea::meta {
namespace {

constexpr std::string_view kFolders[] = {"engine", "kernels", "nn",        "zoo",   "weights_tools",
                                         "hub",    "onnx",    "data",      "train", "processes",
                                         "api",    "cli",     "test",      "bench", "tools"};
constexpr std::string_view kPublic[] = {"engine", "nn",   "zoo",       "data",  "weights_tools",
                                        "hub",    "onnx", "processes", "train", "api"};

bool is_source(const std::filesystem::path& p) {
  const std::string name = p.filename().string(), extension = p.extension().string();
  for (std::string_view known : {".h", ".hpp", ".cpp", ".py", ".inc"})
    if (extension == known) return true;
  return name == "meson.build";
}

SourceFile read(const std::filesystem::path& root, const std::filesystem::path& p) {
  SourceFile f{.path = p.lexically_relative(root).generic_string(), .lines = {}};
  std::ifstream in(p);
  for (std::string line; std::getline(in, line);) f.lines.push_back(line);
  return f;
}

std::vector<SourceFile> walk() {
  const std::filesystem::path root = FOVEA_SOURCE_DIR;
  std::vector<SourceFile> files;
  for (const char* name : {"dev", ".ci/run", "meson.build", "meson.options"}) files.push_back(read(root, root / name));
  for (std::string_view folder : kFolders) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder))
      if (entry.is_regular_file() && is_source(entry.path())) files.push_back(read(root, entry.path()));
  }
  std::sort(files.begin(), files.end(), [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace

const std::vector<SourceFile>& source_files() {
  static const std::vector<SourceFile> files = walk();
  return files;
}

bool is_public_header(const SourceFile& f) {
  return f.is_header() && std::find(std::begin(kPublic), std::end(kPublic), f.top()) != std::end(kPublic);
}

bool inside(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

Include include_of(std::string_view line) {
  const size_t hash = line.find_first_not_of(' ');
  if (hash == std::string_view::npos || line[hash] != '#') return {};
  const size_t word = line.find_first_not_of(' ', hash + 1);
  if (word == std::string_view::npos || !line.substr(word).starts_with("include")) return {};
  const size_t open = line.find_first_of("\"<", word);
  if (open == std::string_view::npos) return {};
  const size_t close = line.find_first_of("\">", open + 1);
  if (close == std::string_view::npos) return {};
  return {line.substr(open + 1, close - open - 1), line[open] == '"'};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string l; std::getline(in, l);) lines.push_back(l);
  return lines;
}

}  // namespace fovea::meta
