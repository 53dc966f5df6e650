// SPDX-License-Identifier: Apache-2.0
// test/meta/instructions.cpp — newer instructions stay in functions that are only called where the processor has them.
#include <cstdlib>
#include <fstream>

#include "engine/core/text.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea::test;

// What the compiler makes of an inline function while a newer instruction set is switched on may be what the linker
// keeps for all callers. So the whole tool is taken apart: the mnemonics of AVX and what followed begin with v; those
// of AMX name tiles, or are dot products of them.
TEST_CASE("instructions beyond x86-64's first are where they are asked for", "[meta][slow]") {
#if defined(__x86_64__)
  if (std::system("objdump --version > /dev/null 2>&1") != 0) {
    WARN("no objdump at hand");
    return;
  }
  const Scratch scratch;
  const std::string command = fovea::str_cat("objdump -d --no-show-raw-insn -C ", path_of_tool(),
                                             " | awk -F'\\t' '/^[0-9a-f]+ </ { f = $0 } "
                                             "$2 ~ /^(v[a-z]|tile|tdp|ldtile|sttile)/ { print f }' | uniq > ",
                                             scratch / "found");
  REQUIRE(std::system(command.c_str()) == 0);
  std::ifstream found(scratch / "found");
  size_t expected = 0;
  for (std::string function; std::getline(found, function);) {
    // the namespaces of kernels/cpu's loops, and the clones that GCC makes for target_clones
    bool named = false;
    for (const char* set : {"avx2", "avx512", "amx"}) named = named || function.find(set) != std::string::npos;
    if (named) ++expected;
    else FAIL_CHECK(function);
  }
  CHECK(expected > 20);
#endif
}
