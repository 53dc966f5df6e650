// SPDX-License-Identifier: Apache-2.0
// test/engine/isa.cpp — the classes of instructions by name, and that the limit reaches every set of kernels.
#include "engine/core/isa.h"

#include "engine/core/error.h"
#include "kernels/cpu/isa/loops.h"
#include "kernels/cpu/product/bf16_product.h"
#include "kernels/cpu/product/quant_tile.h"
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
  REQUIRE(!supported_loops().empty());
  for (const Loops* l : supported_loops()) CHECK(l->lanes <= most);
  CHECK(supported_loops().back()->lanes == 4);
  if (isa_allowed(Isa::avx512)) return;
  CHECK_FALSE(bf16_avx512.supported());
  CHECK_FALSE(bf16_amx.supported());
  CHECK(bf16_set() == nullptr);
  CHECK_FALSE(quant_vnni.supported());
  CHECK_FALSE(quant_amx.supported());
  CHECK(&quant_set() == &quant_plain);
}

}  // namespace fovea
