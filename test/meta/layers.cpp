// SPDX-License-Identifier: Apache-2.0
// test/meta/layers.cpp — who may include whom, where vendor headers may appear, what every source file looks like.
#include <algorithm>
#include <map>
#include <set>

#include "engine/core/text.h"
#include "test/meta/tree.h"
#include "test/support/catch.h"

namespace fovea::meta {
namespace {

// The longest folder that holds a file decides. Every folder may include itself.
struct Rule {
  std::string_view folder;
  std::vector<std::string_view> may_include;
};
const std::vector<Rule> kRules = {
    {"engine/core", {}},
    {"engine/ops", {"engine/core"}},
    {"engine/autograd", {"engine/core", "engine/ops"}},
    {"engine/graph", {"engine/core", "engine/ops"}},
    {"kernels", {"engine/core", "engine/ops"}},
    {"kernels/ref", {"engine/core", "engine/ops"}},
    {"kernels/cpu", {"engine/core", "engine/ops"}},
    {"kernels/cuda", {"engine/core", "engine/ops"}},
    {"nn", {"engine"}},
    {"weights_tools", {"engine"}},
    {"hub", {"engine", "weights_tools"}},
    {"onnx", {"engine", "weights_tools"}},
    {"data", {"engine"}},
    {"processes", {"engine"}},
    {"zoo", {"engine", "nn", "weights_tools", "hub"}},
    {"train", {"engine", "nn", "data", "weights_tools"}},
    {"api", {"engine", "nn", "data", "weights_tools", "hub", "zoo", "train"}},
    {"cli", {"engine", "nn", "data", "weights_tools", "hub", "onnx", "zoo", "processes", "train", "api", "bench"}},
    {"bench", {"engine", "nn", "data", "weights_tools", "zoo", "train", "api"}},
    {"test", {"engine", "kernels", "nn", "data", "weights_tools", "hub", "onnx", "zoo", "processes", "train", "api",
              "cli", "bench"}},
};

// Where vendors' headers may appear: in one file of a folder, or (programs on top, which nobody includes) in any.
struct VendorUse {
  std::string_view header;                         // how the name in <> begins
  std::string_view folder;
  bool one_file = true;
};
constexpr VendorUse kVendors[] = {
    {"oneapi/", "kernels/cpu"},       {"dnnl", "kernels/cpu"},
    {"Eigen/", "kernels/cpu"},        {"jpeglib.h", "data"},
    {"cuda.h", "kernels/cuda"},       {"cuda_fp16.h", "kernels/cuda"},
    {"cuda.h", "test/cuda"},
    {"gif_lib.h", "data"},            {"webp/", "data"},
    {"tiffio.h", "data"},             {"zlib.h", "data", false},
    {"archive", "data"},              {"nlohmann/", "data"},
    {"zlib.h", "weights_tools"},      {"curl/", "hub"},
    {"nlohmann/", "weights_tools", false}, {"nlohmann/", "zoo"},
    {"nlohmann/", "api", false},      {"nlohmann/", "cli", false},
    {"nlohmann/", "bench", false},    {"nlohmann/", "test", false},
    {"CLI/", "cli"},                  {"CLI/", "test", false},
    {"zlib.h", "test"},               {"catch2/", "test/support"},
};

constexpr std::string_view kHeavy[] = {"iostream", "regex", "functional", "ranges", "algorithm", "format"};

// Programs include it alone, and give it functions to call.
constexpr std::string_view kOwnPrograms = "api/fovea.hpp";

// What is precompiled costs nothing, and no file includes it.
bool is_precompiled(const SourceFile& f) { return f.path.find("/pch/") != f.path.npos; }

const Rule* rule_of(std::string_view path) {
  const Rule* best = nullptr;
  for (const Rule& rule : kRules)
    if (inside(path, rule.folder) && (!best || rule.folder.size() > best->folder.size())) best = &rule;
  return best;
}

std::string_view stem(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view name = path.substr(slash == std::string_view::npos ? 0 : slash + 1);
  return name.substr(0, name.find('.'));
}

bool same_family(std::string_view a, std::string_view b) {
  const auto base = [](std::string_view path) {
    std::string_view s = stem(path);
    if (s.ends_with("_variants")) s.remove_suffix(sizeof("_variants") - 1);
    return s;
  };
  return base(a) == base(b);
}

bool allowed(std::string_view from, std::string_view to) {
  const Rule* rule = rule_of(from);
  if (!rule || to.find('/') == std::string_view::npos) return true;  // generated beside the file that includes it
  if (inside(to, "zoo/families") && inside(from, "zoo/families")) return same_family(from, to);
  if (inside(to, rule->folder)) return rule_of(to) == rule;          // kernels/*.cpp may not reach into kernels/cpu
  for (std::string_view folder : rule->may_include)
    if (inside(to, folder)) return true;
  return false;
}

std::vector<std::string> layer_violations() {
  std::vector<std::string> found;
  for (const SourceFile& f : source_files())
    for (const std::string& line : f.lines)
      if (const Include i = include_of(line); f.is_cpp() && i.quoted && !allowed(f.path, i.name))
        found.push_back(str_cat(f.path, " may not include ", i.name));
  return found;
}

size_t columns(std::string_view line) {             // code points, as an editor counts
  return static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string joined(const std::vector<std::string>& lines) {
  std::string all;
  for (const std::string& line : lines) all += "\n  " + line;
  return all;
}

}  // namespace

TEST_CASE("the tree is there to be read", "[meta]") {
  std::set<std::string_view> tops;
  for (const SourceFile& f : source_files()) tops.insert(f.top());
  for (std::string_view folder : {"engine", "kernels", "nn", "zoo", "weights_tools", "hub", "data", "cli", "test"}) {
    INFO(folder);
    CHECK(tops.count(folder) == 1);
  }
}

TEST_CASE("the rules forbid what they should", "[meta]") {
  CHECK(allowed("engine/ops/conv.cpp", "engine/core/op.h"));
  CHECK(allowed("kernels/cpu/conv/conv.cpp", "kernels/cpu/vendor/dnn.h"));
  CHECK(allowed("zoo/families/vgg.cpp", "zoo/blocks/stem.h"));
  CHECK(allowed("zoo/families/vgg.cpp", "zoo/families/vgg_variants.inc"));
  CHECK_FALSE(allowed("engine/core/tensor.cpp", "engine/ops/ops.h"));
  CHECK_FALSE(allowed("engine/graph/trace.cpp", "kernels/cpu/conv/shape.h"));
  CHECK_FALSE(allowed("kernels/cpu/conv/conv.cpp", "kernels/ref/conv.h"));
  CHECK_FALSE(allowed("kernels/cuda/conv.cpp", "kernels/cpu/conv/shape.h"));
  CHECK_FALSE(allowed("kernels/cuda/device/conv.h", "test/support/simt.h"));
  CHECK_FALSE(allowed("nn/module.cpp", "zoo/family.h"));
  CHECK_FALSE(allowed("nn/module.cpp", "data/image.h"));
  CHECK_FALSE(allowed("zoo/create.cpp", "data/transform.h"));
  CHECK_FALSE(allowed("weights_tools/open_weights.cpp", "hub/client.h"));
  CHECK_FALSE(allowed("hub/client.cpp", "zoo/zoo.h"));
  CHECK_FALSE(allowed("zoo/families/vgg.cpp", "zoo/families/resnet.h"));
  CHECK_FALSE(allowed("api/c_api.cpp", "cli/args.h"));
}

TEST_CASE("include lines are read as the compiler reads them", "[meta]") {
  CHECK(include_of("#include <vector>").name == "vector");
  CHECK(include_of("  # include \"a/b.h\"  // why").name == "a/b.h");
  CHECK(include_of("  # include \"a/b.h\"  // why").quoted);
  CHECK(include_of("// #include <regex>").name.empty());
  CHECK(include_of("int include = 3;").name.empty());
}

TEST_CASE("every folder includes only what it may", "[meta]") {
  const std::vector<std::string> found = layer_violations();
  INFO(joined(found));
  CHECK(found.empty());
}

TEST_CASE("vendor headers stay in their one place", "[meta]") {
  std::vector<std::string> found;
  std::map<const VendorUse*, std::set<std::string_view>> users;
  for (const SourceFile& f : source_files())
    for (const std::string& line : f.lines) {
      const std::string_view name = f.is_cpp() ? include_of(line).name : std::string_view();
      const auto is_vendors = [&](const VendorUse& v) { return !name.empty() && name.starts_with(v.header); };
      const auto is_here = [&](const VendorUse& v) { return is_vendors(v) && inside(f.path, v.folder); };
      if (std::none_of(std::begin(kVendors), std::end(kVendors), is_vendors)) continue;
      const VendorUse* use = std::find_if(std::begin(kVendors), std::end(kVendors), is_here);
      if (use == std::end(kVendors)) found.push_back(str_cat(f.path, " may not include ", name));
      else users[use].insert(f.path);
    }
  for (const auto& [use, files] : users)
    if (use->one_file && files.size() > 1)
      for (std::string_view f : files)
        found.push_back(str_cat(use->header, "... is named by more than one file of ", use->folder, ": ", f));
  INFO(joined(found));
  CHECK(found.empty());
}

TEST_CASE("public headers stay cheap to include", "[meta]") {
  std::vector<std::string> found;
  for (const SourceFile& f : source_files())
    for (const std::string& line : f.lines)
      if (const Include i = include_of(line);
          is_public_header(f) && f.path != kOwnPrograms && !is_precompiled(f) && !i.quoted)
        if (std::find(std::begin(kHeavy), std::end(kHeavy), i.name) != std::end(kHeavy))
          found.push_back(str_cat(f.path, " includes <", i.name, ">"));
  INFO(joined(found));
  CHECK(found.empty());
}

TEST_CASE("every source file says its licence and its one idea", "[meta]") {
  std::vector<std::string> found;
  std::set<std::string_view> paths;
  for (const SourceFile& f : source_files()) paths.insert(f.path);
  const auto header_says_it = [&](const SourceFile& f) {              // tensor.cpp is what tensor.h declares
    return f.ends_with(".cpp") && paths.count(f.path.substr(0, f.path.size() - 3) + "h") == 1;
  };
  for (const SourceFile& f : source_files()) {
    if (f.ends_with(".inc")) continue;
    const size_t first = !f.lines.empty() && f.lines[0].starts_with("#!") ? 1 : 0;
    const auto line = [&](size_t i) { return i < f.lines.size() ? std::string_view(f.lines[i]) : std::string_view(); };
    if (line(first).find("SPDX-License-Identifier: Apache-2.0") == std::string_view::npos)
      found.push_back(str_cat(f.path, ": no SPDX line at the top"));
    if (f.is_cpp() && !header_says_it(f) && line(first + 1).find(str_cat(f.path, " — ")) == std::string_view::npos)
      found.push_back(str_cat(f.path, ": the second line is not `// ", f.path, " — its one idea`"));
  }
  INFO(joined(found));
  CHECK(found.empty());
}

TEST_CASE("lines and files stay readable", "[meta]") {
  const std::string unfinished[] = {std::string("TO") + "DO", std::string("FIX") + "ME"};
  std::vector<std::string> found;
  for (const SourceFile& f : source_files()) {
    const bool table = f.ends_with(".inc") || f.ends_with("_variants.cpp");
    if (!table && f.lines.size() > 600)
      found.push_back(str_cat(f.path, " has ", f.lines.size(), " lines, more than 600"));
    for (size_t i = 0; i < f.lines.size(); ++i) {
      const auto at = [&] { return str_cat(f.path, ":", i + 1, ": "); };
      if (f.is_cpp() && !table && columns(f.lines[i]) > 120) found.push_back(at() + "longer than 120 columns");
      for (const std::string& word : unfinished)
        if (f.lines[i].find(word) != std::string::npos) found.push_back(str_cat(at(), "says ", word));
    }
  }
  INFO(joined(found));
  CHECK(found.empty());
}

}  // namespace fovea::meta
