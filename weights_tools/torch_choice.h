// SPDX-License-Identifier: Apache-2.0
// weights_tools/torch_choice.h — which dict of a checkpoint holds the weights, and where there are tensors besides.
#pragma once
#include <string>
#include <string_view>

#include "weights_tools/pickle.h"

namespace fovea {

struct TorchChoice {
  std::string_view key;  // "teacher", "model/state_dict"; empty: as timm picks it
  bool ema = true;       // prefer averaged weights where there are some
};
/// What `key` leads to, else `state_dict_ema`, `model_ema`, `state_dict`, `model`, else the whole dict. Throws
/// Error(format) when that is no dict, Error(not_found) when there is no such key.
const PickleValue& choose_weights(const Pickle& pickle, const std::string& path, const TorchChoice& choice);

/// Throws Error(format) that says under which keys there are tensors, where there are any.
[[noreturn]] void no_tensors(const Pickle& pickle, const std::string& path);

}  // namespace fovea
