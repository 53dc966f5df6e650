// SPDX-License-Identifier: Apache-2.0
#include "engine/core/isa.h"

#include <cstdlib>

#include "engine/core/error.h"

namespace fovea {

Isa parse_isa(std::string_view text) {
  for (const Isa isa : {Isa::sse2, Isa::avx2, Isa::avx512})
    if (text == name_of(isa)) return isa;
  throw Error(Error::Kind::argument, str_cat("FOVEA_ISA is '", text, "'"),
              "give the most that kernels may use: sse2, avx2 or avx512; or unset it");
}

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::sse2: return "sse2";
    case Isa::avx2: return "avx2";
    case Isa::avx512: break;
  }
  return "avx512";
}

Isa isa_limit() {
  static const Isa limit = [] {
    const char* text = std::getenv("FOVEA_ISA");
    return text && *text ? parse_isa(text) : Isa::avx512;
  }();
  return limit;
}

bool isa_allowed(Isa isa) { return isa <= isa_limit(); }

}  // namespace fovea
