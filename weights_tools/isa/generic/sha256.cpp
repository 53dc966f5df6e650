// SPDX-License-Identifier: Apache-2.0
// weights_tools/isa/generic/sha256.cpp — a processor of which nothing is known has no rounds of its own.
#include "weights_tools/isa/sha256_rounds.h"

namespace fovea::sha256_rounds {

Blocks fast() { return nullptr; }

}  // namespace fovea::sha256_rounds
