// SPDX-License-Identifier: Apache-2.0
// test/meta/headers.cpp — what headers cost: the budget of zoo/family.h, and that each public header compiles alone.
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "engine/core/text.h"
#include "test/meta/compiler.h"
#include "test/meta/tree.h"
#include "test/support/catch.h"

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
  REQUIRE(shell(cat(compiler(), " -E -P -x c++ ", FOVEA_SOURCE_DIR, "/zoo/family.h -o ", out)));
  const size_t lines = lines_of_code(out);
  CAPTURE(lines);
  CHECK(lines > 1000);
  CHECK(lines <= kFamilyLines);
}

TEST_CASE("the first program of the README compiles", "[meta][slow]") {
  if (!have_compiler()) {
    WARN("no compiler at hand: " FOVEA_COMPILER);
    return;
  }
  std::ifstream readme(FOVEA_SOURCE_DIR "/README.md");
  std::string program;
  bool inside_block = false;
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("```")) inside_block = line == "```cpp";
    else if (inside_block) program += line + "\n";
  }
  REQUIRE(program.find("int main") != std::string::npos);
  const TemporaryFolder folder;
  REQUIRE_FALSE(folder.path.empty());
  const std::string source = (folder.path / "first.cpp").string();
  std::ofstream(source) << program;
  CHECK(shell(cat(compiler(), " -Wall -Wextra -Werror -fsyntax-only ", source)));
}

TEST_CASE("each public header compiles alone", "[meta][slow]") {
  if (!have_compiler()) {
    WARN("no compiler at hand: " FOVEA_COMPILER);
    return;
  }
  std::vector<std::string> headers;
  for (const SourceFile& f : source_files())
    if (is_public_header(f)) headers.push_back(f.path);
  REQUIRE(headers.size() > 10);
  const TemporaryFolder folder;
  REQUIRE_FALSE(folder.path.empty());
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::string failures;
  const auto work = [&] {
    for (size_t i; (i = next++) < headers.size();) {
      const std::string log = (folder.path / std::to_string(i)).string();
      const std::string header = cat(FOVEA_SOURCE_DIR, "/", headers[i]);
      if (shell(cat(compiler(), " -fsyntax-only -x c++ ", header, " > ", log, " 2>&1"))) continue;
      std::ifstream in(log);
      const std::string text{std::istreambuf_iterator<char>(in), {}};
      const std::lock_guard lock(mutex);
      failures += cat("\n", headers[i], ":\n", text.substr(0, 1500));
    }
  };
  std::vector<std::thread> team;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) team.emplace_back(work);
  for (std::thread& t : team) t.join();
  INFO(failures);
  CHECK(failures.empty());
}

}  // namespace fovea::meta
