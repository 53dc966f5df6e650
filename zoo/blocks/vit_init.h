// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_init.h — the first values that transformers of several families start from.
#pragma once
#include <string_view>

#include "nn/module.h"

namespace fovea::zoo {

/// Which first values the linear layers get. eva: as timm, but gates stay as they are.
enum class VitInit : uint8_t { timm, jax, jax_nlhb, moco, reset, eva };
std::string_view name_of(VitInit v);

/// For all layers below, whose classifier's name begins with "head".
void start_vit_values(Module& model, VitInit mode, int classes);

}  // namespace fovea::zoo
