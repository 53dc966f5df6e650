// SPDX-License-Identifier: Apache-2.0
// test/meta/headers.cpp — what users include: the budget of zoo/family.h, each header alone, the README's program.
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "engine/core/text.h"
#include "test/meta/compiler.h"
#include "test/meta/tree.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

namespace fovea::meta {
namespace {

bool shell(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool have_compiler() { return shell(FOVEA_COMPILER " --version > /dev/null 2>&1"); }

std::string compiler() { return FOVEA_COMPILER " -std=c++20 -I" FOVEA_SOURCE_DIR " -I" FOVEA_BUILD_DIR; }

struct TemporaryFolder {
  std::filesystem::path path;
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "fovea-headers-XXXXXX").string();
    path = mkdtemp(name.data()) ? name : "";
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path.empty()) std::filesystem::remove_all(path, ignored);
  }
};

size_t lines_of_code(const std::filesystem::path& p) {
  std::ifstream in(p);
  size_t n = 0;
  for (std::string line; std::getline(in, line);) n += line.empty() ? 0 : 1;
  return n;
}

// The README's first program, built in a folder by the README's own command; its path.
std::string build_first_program(const TemporaryFolder& folder) {
  std::ifstream readme(FOVEA_SOURCE_DIR "/README.md");
  std::string program, command, block;             // the blocks that start with ```cpp and with g++
  bool inside = false, is_program = false;
  for (std::string line; std::getline(readme, line);) {
    if (!line.starts_with("```")) {
      if (inside) block += line + "\n";
      continue;
    }
    if (inside && is_program) program = block;
    if (inside && block.starts_with("g++ ")) command = block;
    inside = !inside;
    is_program = line == "```cpp";
    block.clear();
  }
  REQUIRE(program.find("int main") != std::string::npos);
  REQUIRE_FALSE(folder.path.empty());
  const std::string source = (folder.path / "first.cpp").string(), first = (folder.path / "first").string();
  std::ofstream(source) << program;
  for (const auto& [said, meant] :
       {std::pair<std::string, std::string>{"g++ ", FOVEA_COMPILER " -Wall -Wextra -Werror "},
        {"build/meson", FOVEA_BUILD_DIR},
        {"first.cpp", source},
        {"-o first", "-o " + first}}) {
    const size_t at = command.find(said);
    REQUIRE(at != std::string::npos);
    command.replace(at, said.size(), meant);
  }
  INFO(command);
  REQUIRE(shell("cd " FOVEA_SOURCE_DIR " && " + command));
  return first;
}

}  // namespace

// Of these, GCC 12's <string>, <string_view>, <vector>, <span>, <array> and <memory> are 38,784 lines: what every
// header of fovea together may add (with <optional> and <unordered_map>) is the rest.
constexpr size_t kFamilyLines = 48000;

TEST_CASE("zoo/family.h stays within its budget of preprocessed lines", "[meta]") {
  if (!have_compiler()) {
    WARN("no compiler at hand: " FOVEA_COMPILER);
    return;
  }
  const TemporaryFolder folder;
  REQUIRE_FALSE(folder.path.empty());
  const std::string out = (folder.path / "family.i").string();
  REQUIRE(shell(str_cat(compiler(), " -E -P -x c++ ", FOVEA_SOURCE_DIR, "/zoo/family.h -o ", out)));
  const size_t lines = lines_of_code(out);
  CAPTURE(lines);
  CHECK(lines > 1000);
  CHECK(lines <= kFamilyLines);
}

TEST_CASE("the first program of the README builds as it says, and runs", "[meta][slow]") {
  if (!have_compiler()) {
    WARN("no compiler at hand: " FOVEA_COMPILER);
    return;
  }
  const TemporaryFolder folder;
  const std::string first = build_first_program(folder);
  CHECK(shell(str_cat(first, " 2> ", first, ".log; test $? = 1")));
  CHECK(lines_of(test::read_file(first + ".log")) ==
        std::vector<std::string>{"usage: first model.safetensors photo.jpg"});
  CHECK(shell(str_cat(first, " none.safetensors none.jpg 2> ", first, ".log; test $? = 1")));
  CHECK(lines_of(test::read_file(first + ".log")) ==
        std::vector<std::string>{"cannot open none.safetensors: No such file or directory"});
}

TEST_CASE("the first program of the README names what is on a photo", "[.real]") {
  const char* weights = std::getenv("FOVEA_LITE_WEIGHTS");
  REQUIRE(weights != nullptr);
  const TemporaryFolder folder;
  const std::string first = build_first_program(folder);
  CHECK(shell(str_cat(first, " ", weights, "/lite0.safetensors ", FOVEA_SOURCE_DIR, "/docs/images/coffee.png > ", first,
                      ".log")));
  const std::vector<std::string> lines = lines_of(test::read_file(first + ".log"));
  REQUIRE(lines.size() == 5);
  CHECK(lines[0] == "0.951  espresso");
}

TEST_CASE("options are named one at a time, and a strict compiler says nothing", "[meta][slow]") {
  if (!have_compiler()) {
    WARN("no compiler at hand: " FOVEA_COMPILER);
    return;
  }
  const TemporaryFolder folder;
  REQUIRE_FALSE(folder.path.empty());
  const std::string source = (folder.path / "calls.cpp").string(), log = source + ".log";
  std::ofstream(source) << R"(
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "nn/layers/conv_norm_act.h"
#include "zoo/zoo.h"
using namespace fovea;
void calls(const Tensor& x, const Tensor& w) {
  const auto model = zoo::create("resnet18", {.num_classes = 0});
  model->forward_intermediates(x, {.last = 2});
  model->prune({.last = 2});
  zoo::compile(*model, {.batch = 2, .target = {.threads = 1}});
  zoo::list({.module = "resnet"});
  conv(x, w, {}, {.stride = {2}});
  interpolate(x, {8, 8}, {.mode = Interpolation::linear});
  sdpa(x, x, x, {}, {.causal = true});
  ConvNormAct(3, 8, 3, {.norm = {}});
  const auto same = [](std::span<const Tensor> in) { return Tensors(in.begin(), in.end()); };
  trace(same, {x.meta()}, {.input_names = {"image"}});
}
)";
  const bool quiet =
      shell(str_cat(compiler(), " -Wall -Wextra -Wpedantic -Werror -fsyntax-only ", source, " 2> ", log));
  const std::vector<std::string> said = lines_of(log);
  INFO((said.empty() ? std::string() : said[0]));
  CHECK(quiet);
}

// A header says nothing else when what it includes anyway comes first. So these are read once, and begin the check of
// those that include them, themselves or through others.
constexpr std::string_view kCommon[] = {"zoo/family.h", "nn/module.h", "engine/core/tensor.h", "engine/core/text.h"};

TEST_CASE("each public header compiles alone", "[meta][slow]") {
  if (!have_compiler()) {
    WARN("no compiler at hand: " FOVEA_COMPILER);
    return;
  }
  std::map<std::string, std::set<std::string>> included;  // by each header, directly
  std::vector<std::string> headers(std::begin(kCommon), std::end(kCommon));
  for (const SourceFile& f : source_files()) {
    if (!f.is_header()) continue;
    for (const std::string& line : f.lines)
      if (const Include include = include_of(line); include.quoted) included[f.path].emplace(include.name);
    if (is_public_header(f) && std::ranges::find(kCommon, f.path) == std::end(kCommon)) headers.push_back(f.path);
  }
  REQUIRE(headers.size() > 10);
  const auto all_included = [&](const std::string& header) {
    std::set<std::string> seen{header};
    for (std::vector<std::string> open{header}; !open.empty();) {
      const std::string one = open.back();
      open.pop_back();
      for (const std::string& name : included[one])
        if (seen.insert(name).second) open.push_back(name);
    }
    return seen;
  };
  const TemporaryFolder folder;
  REQUIRE_FALSE(folder.path.empty());
  const auto precompiled = [&](size_t i) { return (folder.path / str_cat("common", i, ".h")).string(); };
  std::vector<std::string> flags(headers.size());  // what each is checked by
  for (size_t i = 0; i < headers.size(); ++i) {
    if (i < std::size(kCommon)) {
      std::ofstream(precompiled(i)) << str_cat("#include \"", headers[i], "\"\n");
      flags[i] = str_cat(" -x c++-header ", precompiled(i), " -o ", precompiled(i), ".gch");
      continue;
    }
    flags[i] = str_cat(" -fsyntax-only -include ", FOVEA_SOURCE_DIR, "/", headers[i], " -x c++ /dev/null");
    const std::set<std::string> all = all_included(headers[i]);
    const size_t first = static_cast<size_t>(
        std::ranges::find_if(kCommon, [&](std::string_view c) { return all.contains(std::string(c)); }) - kCommon);
    if (first < std::size(kCommon)) flags[i] = str_cat(" -Winvalid-pch -include ", precompiled(first), flags[i]);
  }
  std::mutex mutex;
  std::string failures;
  const auto check = [&](size_t from, size_t to) {
    std::atomic<size_t> next = from;
    const auto work = [&] {
      for (size_t i; (i = next++) < to;) {
        const std::string log = (folder.path / std::to_string(i)).string();
        if (shell(str_cat(compiler(), " -Wall -Wextra -Werror", flags[i], " > ", log, " 2>&1"))) continue;
        const std::string text = test::read_file(log);
        const std::lock_guard lock(mutex);
        failures += str_cat("\n", headers[i], ":\n", text.substr(0, 1500));
      }
    };
    std::vector<std::thread> team;
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) team.emplace_back(work);
    for (std::thread& t : team) t.join();
  };
  check(0, std::size(kCommon));
  check(std::size(kCommon), headers.size());
  INFO(failures);
  CHECK(failures.empty());
}

}  // namespace fovea::meta
