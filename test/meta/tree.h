// SPDX-License-Identifier: Apache-2.0
// test/meta/tree.h — the repository's own source files, as the meta tests read them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace fovea::meta {

struct SourceFile {
  std::string path;                                // from the root: "engine/core/tensor.h"
  std::vector<std::string> lines;

  bool ends_with(std::string_view suffix) const { return std::string_view(path).ends_with(suffix); }
  bool is_header() const { return ends_with(".h") || ends_with(".hpp"); }
  bool is_cpp() const { return is_header() || ends_with(".cpp"); }
  std::string_view top() const { return std::string_view(path).substr(0, path.find('/')); }
};

const std::vector<SourceFile>& source_files();     // C++, Python, Meson and shell files of every folder, sorted by path

bool is_public_header(const SourceFile& f);        // what users of the library may include

bool inside(std::string_view path, std::string_view folder);     // "engine/core/tensor.h" is inside "engine"

// What a line includes: "engine/core/tensor.h" or <vector> without its marks; empty for any other line.
struct Include {
  std::string_view name;
  bool quoted = false;
};
Include include_of(std::string_view line);

std::vector<std::string> lines_of(const std::string& text);

}  // namespace fovea::meta
