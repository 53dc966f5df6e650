// SPDX-License-Identifier: Apache-2.0
// bench/isa/generic/loops.cpp — of a processor of which nothing is known, what plain vectors do.
#include "bench/isa/plain.h"
#include "bench/loops.h"

namespace fovea::bench {

static constexpr Loop kLoops[] = {{"plain", DType::f32, kPlainFlops, always, plain_f32}};

std::span<const Loop> known_loops() { return kLoops; }
uint64_t read_all(const std::byte* data, size_t bytes) { return plain_read(data, bytes); }

}  // namespace fovea::bench
