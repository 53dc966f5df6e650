// SPDX-License-Identifier: Apache-2.0
// engine/core/strided_copy.h — moves elements on the host between any two layouts, converting floating dtypes on the
// way.
#pragma once
#include <cstddef>

#include "engine/core/types.h"

namespace fovea {

/// Same shape on both sides. dtypes equal, or both floating. `to` must not overlap `from`.
void copy_strided(const Meta& from, const std::byte* source, const Meta& to, std::byte* target);

}  // namespace fovea
