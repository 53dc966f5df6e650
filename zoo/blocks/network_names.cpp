// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/network_names.cpp — the list's even places are stages.
#include "zoo/blocks/network_names.h"

#include <charconv>

#include "engine/ops/ops.h"

namespace fovea::zoo {

StateDict network_to_stages(const StateDict& weights) {
  constexpr std::string_view kList = "network.";
  StateDict out;
  for (const auto& [name, t] : weights) {
    int place = -1;
    const char* rest = nullptr;
    if (name.starts_with(kList))
      rest = std::from_chars(name.data() + kList.size(), name.data() + name.size(), place).ptr;
    if (place < 0) out.set(name, t);
    else out.set(str_cat("stages.", (place + 1) / 2, place % 2 == 0 ? ".blocks" : ".downsample", rest), t);
  }
  return out;
}

void fit_shapes(const ImageModel& model, StateDict& weights) {
  const StateDict own = model.state_dict();
  for (const std::string& name : weights.names()) {
    const Tensor t = weights.at(name);
    const Tensor* ours = own.find(name);
    if (ours && ours->shape() != t.shape() && ours->numel() == t.numel()) weights.set(name, reshape(t, ours->shape()));
  }
}

}  // namespace fovea::zoo
