// SPDX-License-Identifier: Apache-2.0
#include "engine/core/isa/aarch64/features.h"

#include <sys/auxv.h>

#include "engine/core/isa.h"

namespace fovea {
namespace {

using aarch64::Feature;

// Linux: arch/arm64/include/uapi/asm/hwcap.h
struct Place {
  Feature feature;
  std::string_view name;
  unsigned long word;
  uint8_t bit;
};
constexpr Place kPlaces[] = {{Feature::sha2, "sha2", AT_HWCAP, 6},
                             {Feature::dot, "asimddp", AT_HWCAP, 20},
                             {Feature::i8mm, "i8mm", AT_HWCAP2, 13},
                             {Feature::bf16, "bf16", AT_HWCAP2, 14}};

bool is_here(const Place& p) { return ::getauxval(p.word) >> p.bit & 1; }

constexpr Isa kKnown[] = {Isa::neon, Isa::neon_dot, Isa::neon_bf16};

}  // namespace

bool aarch64::has(Feature f) {
  for (const Place& p : kPlaces)
    if (p.feature == f) return is_here(p);
  return false;
}

std::span<const Isa> known_isas() { return kKnown; }

bool machine_has(Isa isa) {
  switch (isa) {
    case Isa::plain:
    case Isa::neon: return true;
    case Isa::neon_dot: return aarch64::has(Feature::dot);
    case Isa::neon_bf16:
      return aarch64::has(Feature::dot) && aarch64::has(Feature::i8mm) && aarch64::has(Feature::bf16);
    default: return false;                         // another family's
  }
}

std::vector<std::string_view> machine_features() {
  std::vector<std::string_view> all{"asimd"};
  for (const Place& p : kPlaces)
    if (is_here(p)) all.push_back(p.name);
  return all;
}

std::vector<uint32_t> machine_words() {
  std::vector<uint32_t> words;
  for (const uint64_t w : {::getauxval(AT_HWCAP), ::getauxval(AT_HWCAP2)})
    for (const uint64_t half : {w, w >> 32}) words.push_back(static_cast<uint32_t>(half));
  return words;
}
std::string_view machine_family() { return "aarch64"; }

}  // namespace fovea
