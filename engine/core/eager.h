// SPDX-License-Identifier: Apache-2.0
// engine/core/eager.h — Eager, the executor that runs an op the moment it is called.
#pragma once
#include "engine/core/backend.h"

namespace fovea {

class Eager final : public Executor {
 public:
  Tensors emit(const Site& site, std::span<const Tensor> in, Metas out) override;
};

/// Runs a plan on the tensors' bytes with scratch memory that this thread keeps.
void run_plan(const Plan& plan, std::span<const Tensor> in, std::span<Tensor> out);

}  // namespace fovea
