// SPDX-License-Identifier: Apache-2.0
// test/fuzz/fuzzer.cpp — one target for libFuzzer: FOVEA_FUZZ is its name. ./dev fuzz builds and runs all.
#include <cstdlib>
#include <string_view>

#include "engine/core/backend.h"
#include "test/fuzz/targets.h"

namespace fovea {

// The reference loops alone: readers copy and convert, nothing else.
extern const Backend backend_ref;
std::span<const Backend* const> built_in_backends() {
  static const Backend* const one[] = {&backend_ref};
  return one;
}

}  // namespace fovea

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fovea::test::FuzzTarget target = [] {
    for (const fovea::test::FuzzTarget& t : fovea::test::fuzz_targets())
      if (t.name == std::string_view(FOVEA_FUZZ)) return t;
    std::abort();
  }();
  target.run({reinterpret_cast<const std::byte*>(data), size});
  return 0;
}
