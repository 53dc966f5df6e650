// SPDX-License-Identifier: Apache-2.0
// kernels/cpu/attention/heads_plan.h — what plans of attention know of their site, whatever its elements: how many
// heads there are in all of the batch, and where each one's queries, keys, values, results and mask lie.
#pragma once
#include "engine/core/backend.h"
#include "engine/ops/attrs.h"
#include "kernels/cpu/attention/stack.h"
#include "kernels/cpu/isa/processor.h"

namespace fovea::kernels::cpu {

class HeadsPlan : public Plan {
 protected:
  explicit HeadsPlan(const Site& s)
      : on_(&processor()), attrs_(s.attrs<AttentionAttrs>()), depth_(s.operand(0).shape.back()),
        keys_(s.operand(1).dim(-2)) {
    const Meta& y = s.result();
    const int lead = y.rank() - 2;
    sizes_ = Shape(y.shape.begin(), y.shape.begin() + lead);
    heads_ = numel(sizes_);
    queries_ = y.shape[lead];
    q_ = Stack(s.operand(0), lead);
    k_ = Stack(s.operand(1), lead);
    v_ = Stack(s.operand(2), lead);
    y_ = Stack(y, lead);
    if (s.has(3)) {
      mask_ = Stack(s.operand(3), lead);
      mask_type_ = s.operand(3).dtype;
    }
  }

  /// The head's mask; null where there is none.
  const std::byte* mask_of(const Args& a, int64_t head) const {
    if (mask_type_ == DType::none) return nullptr;
    return a.in[3] + static_cast<size_t>(mask_.start(sizes_, head)) * size_of(mask_type_);
  }

  const Processor* on_;
  AttentionAttrs attrs_;
  int64_t depth_, keys_, queries_, heads_;
  Shape sizes_;                                    // of the batch
  Stack q_, k_, v_, y_, mask_;
  DType mask_type_ = DType::none;
};

}  // namespace fovea::kernels::cpu
