// SPDX-License-Identifier: Apache-2.0
// api/plain_integers.h — what to say where 8-bit integers have no fast kernels.
#pragma once
#include <string>

#include "engine/graph/session.h"

namespace fovea {

/// Empty, or one line: some of the session's products of 8-bit integers run in plain loops, which f32 outruns.
std::string note_of_plain_integers(const Session& s);

}  // namespace fovea
