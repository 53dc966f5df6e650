// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/missing_values.cpp — the model's own values, or first ones.
#include "zoo/blocks/missing_values.h"

#include "nn/adapted.h"
#include "nn/hash.h"

namespace fovea::zoo {

void add_missing(const ImageModel& model, StateDict& weights, std::string_view prefix) {
  for (const NamedParameter& p : model.named_parameters()) {
    if (!p.name.starts_with(prefix) || weights.contains(p.name)) continue;
    const Tensor& t = p.tensor();
    weights.set(p.name, t.has_bytes() ? t : init::draw(p.parameter->init, t.shape(), t.dtype(), hash_text(p.name)));
    say_adapted(cat(p.name, " is not in the file: it starts anew"));
  }
}

}  // namespace fovea::zoo
