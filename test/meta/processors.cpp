// SPDX-License-Identifier: Apache-2.0
// test/meta/processors.cpp — what kind of processor this is, is asked in folders isa/; instructions are named there
// and in simd/.
#include <algorithm>
#include <regex>

#include "engine/core/text.h"
#include "test/meta/tree.h"
#include "test/support/catch.h"

namespace fovea::meta {
namespace {

// Comparing data with the lanes cuts them into vectors; comparing lanes with a number asks for an instruction set.
const std::regex& choice() {
  static const std::regex r(R"((\blanes(_|\(\))?\s*([=!]=|[<>]=?)\s*\d)|(\b\d+\s*([=!]=|[<>]=?)\s*[\w.>-]*\blanes\b))"
                            R"(|(switch\s*\([^)]*\blanes\b)|__builtin_cpu_(supports|is|init)|\bcpuid\b|__get_cpuid)");
  return r;
}
const std::regex& instructions() {
  static const std::regex r(R"((imm|x86)intrin|arm_neon|__builtin_ia32)");
  return r;
}

// Tests only: an emulator carries instructions out, and one looks at the modes that the library must leave alone.
constexpr std::string_view kName[] = {"test/support/amx_emulator.cpp", "test/api/host.cpp"};

// In a folder isa/ (with a folder for each family of processors), or in simd/, which is compiled for one in isa/.
bool may_ask(std::string_view path) { return path.find("/isa/") != path.npos; }
bool may_name(std::string_view path) { return may_ask(path) || inside(path, "kernels/cpu/simd"); }

// Quickly: might a line have any of the words?
bool is_suspect(const std::string& line) {
  for (const char* word : {"lanes", "cpu", "intrin", "arm_neon", "__builtin_ia32"})
    if (line.find(word) != line.npos) return true;
  return false;
}

// "path:line: text" of each line that `what` finds in files for which may(path) is false.
template <class May>
std::string found(const std::regex& what, const May& may) {
  std::string all;
  for (const SourceFile& f : source_files()) {
    if (may(f.path) || f.path == "test/meta/processors.cpp") continue;
    for (size_t i = 0; i < f.lines.size(); ++i)
      if (is_suspect(f.lines[i]) && std::regex_search(f.lines[i], what))
        all += str_cat("\n  ", f.path, ":", i + 1, ": ", f.lines[i]);
  }
  return all;
}

}  // namespace

TEST_CASE("the words that choose a processor are known", "[meta]") {
  for (const char* line : {"if (set->lanes == 16) f();", "return 8 < l.lanes;", "switch (l.lanes) {", "a.lanes >= 8",
                           "__builtin_cpu_supports(\"avx2\")", "#include <cpuid.h>", "__get_cpuid(1, &a)"})
    CHECK(std::regex_search(line, choice()));
  for (const char* line : {"columns % panel <= lanes", "n / lanes * lanes", "kLanes == 16"})
    CHECK_FALSE(std::regex_search(line, choice()));
}

TEST_CASE("the kind of processor is asked in folders isa/", "[meta]") {
  const std::string all = found(choice(), may_ask);
  INFO(all);
  CHECK(all.empty());
}

TEST_CASE("instructions are named in folders isa/ and in kernels/cpu/simd", "[meta]") {
  const std::string all = found(instructions(), [](std::string_view path) {
    return may_name(path) || std::find(std::begin(kName), std::end(kName), path) != std::end(kName);
  });
  INFO(all);
  CHECK(all.empty());
}

}  // namespace fovea::meta
