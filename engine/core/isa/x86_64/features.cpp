// SPDX-License-Identifier: Apache-2.0
#include "engine/core/isa/x86_64/features.h"

#include <cpuid.h>

#include <array>

#include "engine/core/isa.h"

namespace fovea {
namespace {

using x86_64::Feature;

// What CPUID says in the registers that tell of features, and XCR0: what the system keeps.
enum Word : uint8_t { k1c, k1d, k7b, k7c, k7d, k71a, k71d, kKept, kWords };
using Words = std::array<uint32_t, kWords>;

const Words& words() {
  static const Words known = [] {
    Words w{};
    uint32_t a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d)) w[k1c] = c, w[k1d] = d;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) w[k7b] = b, w[k7c] = c, w[k7d] = d;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) w[k71a] = a, w[k71d] = d;
    if (w[k1c] >> 27 & 1) asm volatile("xgetbv" : "=a"(w[kKept]), "=d"(d) : "c"(0));
    return w;
  }();
  return known;
}

// Intel's manual: CPUID, and XCR0's bits.
constexpr uint32_t kSse = 0, kAvx = 0x6, kAvx512 = 0xe6, kTiles = 0x60000;
struct Place {
  Feature feature;
  std::string_view name;
  Word word;
  uint8_t bit;
  uint32_t kept;
};
constexpr Place kPlaces[] = {{Feature::sse41, "sse4_1", k1c, 19, kSse},
                             {Feature::sse42, "sse4_2", k1c, 20, kSse},
                             {Feature::fma, "fma", k1c, 12, kAvx},
                             {Feature::f16c, "f16c", k1c, 29, kAvx},
                             {Feature::avx2, "avx2", k7b, 5, kAvx},
                             {Feature::sha, "sha_ni", k7b, 29, kSse},
                             {Feature::avx512f, "avx512f", k7b, 16, kAvx512},
                             {Feature::avx512dq, "avx512dq", k7b, 17, kAvx512},
                             {Feature::avx512bw, "avx512bw", k7b, 30, kAvx512},
                             {Feature::avx512vl, "avx512vl", k7b, 31, kAvx512},
                             {Feature::avx512vnni, "avx512_vnni", k7c, 11, kAvx512},
                             {Feature::avx512bf16, "avx512_bf16", k71a, 5, kAvx512},
                             {Feature::avxvnni, "avx_vnni", k71a, 4, kAvx},
                             {Feature::amx_tile, "amx_tile", k7d, 24, kTiles},
                             {Feature::amx_bf16, "amx_bf16", k7d, 22, kTiles},
                             {Feature::amx_int8, "amx_int8", k7d, 25, kTiles}};

bool is_here(const Place& p) {
  const Words& w = words();
  return (w[p.word] >> p.bit & 1) && (w[kKept] & p.kept) == p.kept;
}

constexpr Isa kKnown[] = {Isa::sse2, Isa::avx2, Isa::avx512};

}  // namespace

bool x86_64::has(Feature f) {
  for (const Place& p : kPlaces)
    if (p.feature == f) return is_here(p);
  return false;
}

std::span<const Isa> known_isas() { return kKnown; }

bool machine_has(Isa isa) {
  const auto all = [](auto... f) { return (x86_64::has(f) && ...); };
  switch (isa) {
    case Isa::plain:
    case Isa::sse2: return true;
    case Isa::avx2: return all(Feature::avx2, Feature::fma, Feature::f16c);
    case Isa::avx512:
      return machine_has(Isa::avx2) && all(Feature::avx512f, Feature::avx512bw, Feature::avx512dq, Feature::avx512vl);
    default: return false;                         // another family's
  }
}

std::vector<std::string_view> machine_features() {
  std::vector<std::string_view> all;
  for (const Place& p : kPlaces)
    if (is_here(p)) all.push_back(p.name);
  return all;
}

std::vector<uint32_t> machine_words() { return {words().begin(), words().end()}; }
std::string_view machine_family() { return "x86_64"; }

}  // namespace fovea
