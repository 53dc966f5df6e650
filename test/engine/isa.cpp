// SPDX-License-Identifier: Apache-2.0
// test/engine/isa.cpp — the classes of instructions by name, and that the limit reaches every set of kernels.
#include "engine/core/isa.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "engine/core/error.h"
#include "kernels/cpu/isa/processor.h"
#include "test/support/catch.h"

namespace fovea {

TEST_CASE("classes of instructions are known by name", "[isa]") {
  for (const Isa isa : known_isas()) CHECK(parse_isa(name_of(isa)) == isa);
  for (const char* text : {"", "sse", "avx", "AVX512", "avx2 ", "NEON"}) CHECK_THROWS_AS(parse_isa(text), Error);
}

// Where Linux tells it, under qemu it may tell another machine's.
TEST_CASE("what this machine has is what the system says", "[isa]") {
  CHECK(machine_has(known_isas().front()));
  const std::string family = machine_family() == "x86_64" ? "flags\t" : "Features\t";
  std::set<std::string> said;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; said.empty() && std::getline(file, line);)
    if (line.starts_with(family)) {
      std::istringstream words(line.substr(line.find(':') + 1));
      for (std::string word; words >> word;) said.insert(word);
    }
  if (said.empty()) return;
  for (const std::string_view name : machine_features()) {
    INFO(name);
    CHECK(said.count(std::string(name)) == 1);
  }
  const std::vector<std::string_view> found = machine_features();
  for (const char* name : {"avx2", "fma", "avx512bw", "avx512_bf16", "sha_ni", "i8mm", "asimddp"}) {
    INFO(name);
    CHECK((std::find(found.begin(), found.end(), name) != found.end()) == (said.count(name) == 1));
  }
}

TEST_CASE("no kernels are of a class above the limit", "[isa]") {
  using namespace kernels::cpu;
  CHECK(isa_allowed(isa_limit()));
  CHECK(isa_allowed(known_isas().front()));
  const int most = isa_limit() == Isa::avx512 ? 16 : isa_limit() == Isa::avx2 ? 8 : 4;
  REQUIRE(!supported_processors().empty());
  for (const Processor& p : supported_processors()) {
    INFO(p.name);
    CHECK(p.f32->lanes <= most);
    if (!isa_allowed(known_isas().back())) {
      CHECK(p.bf16 == nullptr);
      CHECK(p.bf16_tiles == nullptr);
      CHECK(p.u8->depthwise == nullptr);
    }
    CHECK((p.bf16 == nullptr) == (p.bf16_tiles == nullptr));
    CHECK(p.caches.first >= 4 << 10);
    CHECK(p.caches.second >= p.caches.first);
  }
  for (const Processor& p : supported_processors()) CHECK(p.f32->lanes >= supported_processors().back().f32->lanes);
  CHECK(&processor() == &supported_processors().front());
}

TEST_CASE("tests choose the kind of processor, on their thread and for a time", "[isa]") {
  using namespace kernels::cpu;
  const Processor& best = processor();
  {
    const UseProcessor use(supported_processors().back());
    CHECK(&processor() == &supported_processors().back());
    std::thread([&] { CHECK(&processor() == &best); }).join();
  }
  CHECK(&processor() == &best);
}

}  // namespace fovea
