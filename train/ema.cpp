// SPDX-License-Identifier: Apache-2.0
#include "train/ema.h"

#include <algorithm>
#include <cmath>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"

namespace fovea::train {

Ema::Ema(const Module& m, const EmaOptions& o) : o_(o) {
  const NoGrad no_grad;
  for (const NamedParameter& p : m.named_state()) {
    const Tensor now = p.tensor().detach();
    const auto known = std::ranges::find(entries_, p.parameter, &Entry::of);
    names_.emplace_back(p.name, known - entries_.begin());
    if (known == entries_.end())
      entries_.push_back({p.name, p.parameter, call1(ops::copy, {now}, CopyAttrs{now.meta().memory()})});
  }
}

double Ema::decay(int64_t step) const {
  const int64_t since = std::max<int64_t>(0, step - o_.update_after_step - 1);
  if (since == 0) return 0;
  if (!o_.warmup) return o_.decay;
  const double grown = 1 - std::pow(1 + static_cast<double>(since) / o_.warmup_gamma, -o_.warmup_power);
  return std::max(std::min(grown, o_.decay), o_.min_decay);
}

void Ema::update(const Number& decay) {
  const NoGrad no_grad;
  for (Entry& e : entries_) {
    const Tensor now = e.of->value.detach();
    e.value = is_floating(now.dtype()) ? lerp(now, e.value, decay)
                                       : call1(ops::copy, {now}, CopyAttrs{now.meta().memory()});
  }
}

std::vector<Slot> Ema::state() {
  std::vector<Slot> out;
  for (Entry& e : entries_) out.push_back({e.name, &e.value});
  return out;
}

StateDict Ema::state_dict() const {
  StateDict out;
  for (const auto& [name, entry] : names_) out.set(name, entries_[entry].value);
  return out;
}

}  // namespace fovea::train
