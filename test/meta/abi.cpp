// SPDX-License-Identifier: Apache-2.0
// test/meta/abi.cpp — the binary interface of the C API beside the dump of it that is kept: what is there stays.
#include <cstdlib>
#include <filesystem>

#include "engine/core/text.h"
#include "test/meta/compiler.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;
namespace fs = std::filesystem;

namespace {

bool shell(const std::string& command) { return std::system(command.c_str()) == 0; }

// A library of fovea_get_api() alone, whose table names every function with its types, with what a debugger wants.
std::string table_of(const Scratch& folder, const std::string& name, const std::string& header) {
  fs::create_directories(folder / str_cat(name, "/api"));
  folder.file(str_cat(name, "/api/fovea.h"), header);
  fs::copy(FOVEA_SOURCE_DIR "/api/table.cpp", folder / str_cat(name, "/api/table.cpp"));
  const std::string library = folder / str_cat(name, ".so");
  REQUIRE(shell(str_cat("cd ", folder / name,
                    " && " FOVEA_COMPILER " -std=c++20 -g -fPIC -shared -I. api/table.cpp -o ", library)));
  return library;
}

// Made anew, where structs and the table have grown, by
//   g++ -std=c++20 -g -fPIC -shared -I. api/table.cpp -o /tmp/table.so
//   abidw --no-show-locs --no-corpus-path --no-comp-dir-path /tmp/table.so > packaging/fovea.abi
constexpr const char* kDump = FOVEA_SOURCE_DIR "/packaging/fovea.abi";

}  // namespace

TEST_CASE("the binary interface is the one that the repository keeps", "[meta][install][slow]") {
  if (!shell("abidiff --version > /dev/null 2>&1")) {
    WARN("no abidiff at hand (abigail-tools)");
    return;
  }
  const Scratch folder;
  const std::string header = read_file(FOVEA_SOURCE_DIR "/api/fovea.h");
  const auto differs = [&](const std::string& library) {
    return str_cat("abidiff ", kDump, " ", library, " > ", folder / "said", " 2>&1");
  };
  const bool same = shell(differs(table_of(folder, "same", header)));
  INFO(read_file(folder / "said"));
  CHECK(same);
  // It would see a field that changes, and a function that takes something else.
  const auto with = [](std::string text, std::string_view now, std::string_view then) {
    const size_t at = text.find(now);
    REQUIRE(at != text.npos);
    return text.replace(at, now.size(), then);
  };
  const std::string wider = with(header, "int32_t threads; /* of s", "int64_t threads; /* of s");
  CHECK_FALSE(shell(differs(table_of(folder, "field", wider))));
  const std::string declared =
      with(header, "_label(fovea_session* session, int64_t", "_label(fovea_session* session, int32_t");
  CHECK_FALSE(shell(differs(table_of(
      folder, "function", with(declared, "label)(fovea_session*, int64_t)", "label)(fovea_session*, int32_t)")))));
}
