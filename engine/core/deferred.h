// SPDX-License-Identifier: Apache-2.0
// engine/core/deferred.h — Deferred: how to make a tensor's bytes, for tensors whose bytes may never be needed, or only
// for a moment.
#pragma once
#include <memory>
#include <mutex>

#include "engine/core/tensor.h"

namespace fovea {

struct Deferred {
  virtual ~Deferred() = default;
  /// Writes the whole tensor, once; what it was made from may be let go of.
  virtual void write(std::byte* to) = 0;

  std::once_flag once;
};
/// A dense tensor that has_bytes(): they are allocated and written when somebody first asks for them, on any thread.
Tensor deferred_tensor(const Meta& m, std::shared_ptr<Deferred> how);

}  // namespace fovea
