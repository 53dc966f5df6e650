// SPDX-License-Identifier: Apache-2.0
// kernels/cuda/random.cpp — the plan of random tensors.
#include "engine/ops/ops.h"
#include "kernels/cuda/device/random.h"
#include "kernels/cuda/plan.h"

namespace fovea::cuda {
namespace {

PlanPtr plan_random(const Site& s) {
  const auto& attrs = s.attrs<RandomAttrs>();
  const Meta& y = s.result();
  if (!y.is_contiguous()) return nullptr;
  RandomParams p{};
  p.y = elements(y);
  p.key = static_cast<uint64_t>(attrs.key);
  p.count = y.numel(), p.kind = attrs.kind, p.p = attrs.p;
  std::vector<LaunchPlan::Field> fields{{&p.y.data, out()}};
  if (s.has(0)) fields.push_back({&p.step, in(0)});
  auto plan = std::make_shared<LaunchPlan>("random");
  plan->add(for_elements(KernelId::random_any, (p.count + 3) / 4), p, fields);
  return plan;
}

}  // namespace

std::span<const Kernel> random_kernels() {
  static constexpr Kernel table[] = {{&ops::random, plan_random}};
  return table;
}

}  // namespace fovea::cuda
