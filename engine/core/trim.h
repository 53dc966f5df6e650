// SPDX-License-Identifier: Apache-2.0
// engine/core/trim.h — trim(): gives back what is kept only because it may be wanted again.
#pragma once
#include <cstddef>

namespace fovea {

/// Empties the cache of plans and the free memory of all who registered; sessions and tensors keep what they have.
/// Returns the bytes of the latter.
size_t trim();
/// `empty` is called by every trim() from now on, from any thread, and returns how many bytes it gave back.
void add_trimmer(size_t (*empty)());

}  // namespace fovea
