// SPDX-License-Identifier: Apache-2.0
// test/cli/doctor.cpp — `fovea doctor`, and what helps at the command line: the man page and bash's completion.
#include <cstdlib>
#include <sstream>

#include "data/codecs.h"
#include "data/decode.h"
#include "engine/core/text.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;

namespace {

// The commands that the tool's help lists.
std::vector<std::string> commands() {
  std::istringstream help(run_tool("", {"--help"}).out);
  std::vector<std::string> names;
  bool listed = false;
  for (std::string line; std::getline(help, line);) {
    if (listed && line.starts_with("  ")) names.push_back(line.substr(2, line.find_first_of(" ,", 2) - 2));
    listed = listed || line.starts_with("Subcommands:");
  }
  return names;
}

}  // namespace

TEST_CASE("doctor says what was found, and that it computes", "[cli]") {
  const Outcome o =
      run_tool("", {"doctor"},
               {"FOVEA_THREADS=3", "FOVEA_ISA=sse2", "FOVEA_CACHE=/nowhere/plans", "HF_HUB_CACHE=/nowhere/hub",
                "HF_ENDPOINT=https://hub.example/", "HF_HUB_OFFLINE=1"});
  INFO(o.out << o.err);
  CHECK(o.code == 0);
  for (const char* line :
       {"processor", "instructions", "threads", "backends", "oneDNN", "libcurl", "plan cache", "hub cache"})
    CHECK_THAT(o.out, contains_text(std::string("\n") + line));
  CHECK_THAT(o.out, contains_text("at most sse2, FOVEA_ISA=sse2"));
  CHECK_THAT(o.out, contains_text("threads       3 ("));
  CHECK_THAT(o.out, contains_text("/nowhere/plans (not there yet)"));
  CHECK_THAT(o.out, contains_text("/nowhere/hub (not there yet)"));
  CHECK_THAT(o.out, contains_text("https://hub.example, offline"));
  CHECK_THAT(o.out, contains_text("of its largest value: good"));
  for (const data::Codec& c : data::codecs()) CHECK_THAT(o.out, contains_text(c.name) && contains_text(c.version));
  if (data::can_decode()) CHECK(data::codecs().size() >= 3);
}

TEST_CASE("the man page has every command, and bash completes them", "[cli]") {
  const std::vector<std::string> all = commands();
  REQUIRE(all.size() >= 9);
  const std::string page = read_file(FOVEA_SOURCE_DIR "/packaging/fovea.1");
  for (const std::string& name : all) CHECK_THAT(page, contains_text("\n.B " + name));
  if (std::system("bash -c 'complete -p > /dev/null 2>&1; type compgen > /dev/null'") != 0) return;
  const Scratch folder;
  const auto completed = [&](const std::string& words, int at) {
    const std::string script = folder.file(
        "complete.sh",
        str_cat("source " FOVEA_SOURCE_DIR "/packaging/fovea.bash\nCOMP_WORDS=(", path_of_tool(), " ", words,
                ")\nCOMP_CWORD=", at, "\n_fovea\necho \"${COMPREPLY[@]}\"\n"));
    REQUIRE(std::system(str_cat("bash ", script, " > ", folder / "out").c_str()) == 0);
    return read_file(folder / "out");
  };
  CHECK(completed("doc", 1) == "doctor\n");
  CHECK(completed("classify --top", 2) == "--topk\n");
  CHECK_THAT(completed("info test_", 2), contains_text("test_"));
  CHECK_THAT(completed("train --model test_", 3), contains_text("test_"));
  CHECK(completed("cache v", 2) == "verify\n");
  std::string every = completed("''", 1);
  for (const std::string& name : all) CHECK_THAT(" " + every, contains_text(" " + name));
}
