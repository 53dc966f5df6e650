// SPDX-License-Identifier: Apache-2.0
// weights_tools/foreign.h — tensors of a file that fovea cannot have: listed like others, an Error once their values
// are asked for.
#pragma once
#include <string>

#include "engine/core/error.h"
#include "engine/core/tensor.h"

namespace fovea {

/// `kind` is what the file calls it ("int16", "F8_E4M3", "sparse"); `why` is thrown when the values are asked for. To
/// the engine it is of dtype u8, which nothing reads without asking. The shape is empty where it is unknown or has too
/// many dimensions.
Tensor foreign_tensor(const Shape& shape, std::string kind, Error why);
/// What the file calls it; null for tensors that fovea has.
const std::string* foreign_kind(const Tensor& t);

}  // namespace fovea
