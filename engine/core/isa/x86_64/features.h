// SPDX-License-Identifier: Apache-2.0
// engine/core/isa/x86_64/features.h — what an x86-64 processor can have, asked by CPUID: compilers know the names of
// some only.
#pragma once
#include <cstdint>

namespace fovea::x86_64 {

enum class Feature : uint8_t {
  sse41,
  sse42,
  fma,
  f16c,
  avx2,
  sha,
  avx512f,
  avx512dq,
  avx512bw,
  avx512vl,
  avx512vnni,
  avx512bf16,
  avxvnni,
  amx_tile,
  amx_bf16,
  amx_int8,
};

/// Has this processor the feature, and does the system keep the registers that it needs?
bool has(Feature f);

}  // namespace fovea::x86_64
