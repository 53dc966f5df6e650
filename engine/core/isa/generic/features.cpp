// SPDX-License-Identifier: Apache-2.0
// engine/core/isa/generic/features.cpp — a processor of which nothing is known has nothing that kernels ask for.
#include "engine/core/isa.h"

namespace fovea {

static constexpr Isa kKnown[] = {Isa::plain};

std::span<const Isa> known_isas() { return kKnown; }
bool machine_has(Isa isa) { return isa == Isa::plain; }
std::vector<std::string_view> machine_features() { return {}; }
std::vector<uint32_t> machine_words() { return {}; }
std::string_view machine_family() { return "plain"; }

}  // namespace fovea
