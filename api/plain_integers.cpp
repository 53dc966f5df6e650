// SPDX-License-Identifier: Apache-2.0
#include "api/plain_integers.h"

#include <algorithm>

#include "engine/ops/lowered/quant.h"

namespace fovea {

std::string note_of_plain_integers(const Session& s) {
  const auto plain = [](const StepInfo& step) {
    return step.op == ops::quant_conv.name() && (step.plan.starts_with("ref") || step.plan.ends_with(" plain"));
  };
  if (std::none_of(s.steps().begin(), s.steps().end(), plain)) return {};
  return "8-bit integers have no fast kernels for this processor, or for what FOVEA_ISA allows of it: f32 is faster";
}

}  // namespace fovea
