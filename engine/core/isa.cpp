// SPDX-License-Identifier: Apache-2.0
#include "engine/core/isa.h"

#include <cstdlib>

#include "engine/core/error.h"

namespace fovea {
namespace {

// "sse2, avx2 or avx512"
std::string known_names() {
  std::string all;
  const std::span<const Isa> known = known_isas();
  for (size_t i = 0; i < known.size(); ++i)
    all += str_cat(i == 0 ? "" : i + 1 == known.size() ? " or " : ", ", name_of(known[i]));
  return all;
}

}  // namespace

Isa parse_isa(std::string_view text) {
  for (const Isa isa : known_isas())
    if (text == name_of(isa)) return isa;
  throw Error(Error::Kind::argument, str_cat("FOVEA_ISA is '", text, "'"),
              str_cat("give the most that kernels may use: ", known_names(), "; or unset it"));
}

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::plain: return "plain";
    case Isa::sse2: return "sse2";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
    case Isa::neon: return "neon";
    case Isa::neon_dot: return "neon_dot";
    case Isa::neon_bf16: break;
  }
  return "neon_bf16";
}

Isa isa_limit() {
  static const Isa limit = [] {
    const char* text = std::getenv("FOVEA_ISA");
    return text && *text ? parse_isa(text) : known_isas().back();
  }();
  return limit;
}

bool isa_allowed(Isa isa) { return isa <= isa_limit(); }

}  // namespace fovea
