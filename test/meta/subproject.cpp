// SPDX-License-Identifier: Apache-2.0
// test/meta/subproject.cpp — who takes fovea as a Meson subproject gets the library, and is asked for nothing else.
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/core/text.h"
#include "test/meta/compiler.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;

namespace {

// What Meson says of a build folder: its targets or its dependencies.
json told(const Scratch& folder, const std::string& kind) {
  const std::string file = folder / kind + ".json";
  REQUIRE(std::system(str_cat(FOVEA_MESON " introspect --", kind, " ", folder / "build", " > ", file).c_str()) == 0);
  return json::parse(read_file(file));
}

std::set<std::string> names_of(const json& list) {
  std::set<std::string> names;
  for (const json& e : list) names.insert(e.at("name").get<std::string>());
  return names;
}

}  // namespace

TEST_CASE("as a subproject fovea is the library alone", "[meta][slow]") {
  if (std::system("test -n '" FOVEA_MESON "'") != 0) {
    WARN("no meson at hand");
    return;
  }
  const Scratch folder;
  std::filesystem::create_directories(folder / "subprojects");
  std::filesystem::create_directory_symlink(FOVEA_SOURCE_DIR, folder / "subprojects/fovea");
  folder.file("user.cpp", "#include \"zoo/zoo.h\"\nint main() { return fovea::zoo::modules().empty(); }\n");
  folder.file("meson.build",
              "project('user', 'cpp', default_options: ['cpp_std=c++20'])\n"
              "fovea = subproject('fovea').get_variable('fovea_dep')\n"
              "executable('user', 'user.cpp', dependencies: fovea)\n");
  const std::string setup = str_cat(FOVEA_MESON " setup ", folder / "build", " ", folder / "", " > ", folder / "log");
  REQUIRE(std::system(setup.c_str()) == 0);
  std::set<std::string> programs;
  for (const json& t : told(folder, "targets"))
    if (t.at("type") == "executable") programs.insert(t.at("name").get<std::string>());
  CHECK(programs == std::set<std::string>{"user"});
  const std::set<std::string> needed = names_of(told(folder, "dependencies"));
  for (const char* unwanted : {"catch2", "catch2-with-main", "CLI11"}) CHECK_FALSE(needed.contains(unwanted));
  CHECK(needed.contains("zlib"));
}
