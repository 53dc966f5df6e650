// SPDX-License-Identifier: Apache-2.0
// test/engine/isa.cpp — the classes of instructions by name, and that the limit reaches every set of kernels.
#include "engine/core/isa.h"

#include <thread>

#include "engine/core/error.h"
#include "kernels/cpu/isa/processor.h"
#include "test/support/catch.h"

namespace fovea {

TEST_CASE("classes of instructions are known by name", "[isa]") {
  for (const Isa isa : {Isa::sse2, Isa::avx2, Isa::avx512}) CHECK(parse_isa(name_of(isa)) == isa);
  for (const char* text : {"", "sse", "avx", "AVX512", "avx2 "}) CHECK_THROWS_AS(parse_isa(text), Error);
}

TEST_CASE("no kernels are of a class above the limit", "[isa]") {
  using namespace kernels::cpu;
  CHECK(isa_allowed(isa_limit()));
  CHECK(isa_allowed(Isa::sse2));
  const int most = isa_limit() == Isa::sse2 ? 4 : isa_limit() == Isa::avx2 ? 8 : 16;
  REQUIRE(!supported_processors().empty());
  for (const Processor& p : supported_processors()) {
    INFO(p.name);
    CHECK(p.f32->lanes <= most);
    if (!isa_allowed(Isa::avx512)) {
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
