// SPDX-License-Identifier: Apache-2.0
// nn/layers/position_bias.h — what attention adds to the scores of two tokens of a grid: learned, or by offset.
#pragma once
#include <memory>
#include <string_view>

#include "nn/layers/mlp.h"
#include "nn/layers/relative_bias.h"
#include "nn/module.h"

namespace fovea {

enum class RelPosType : uint8_t {
  none,
  mlp,       // a small network reads the logarithm of the offset, as in Swin V2 of the authors of cr
  mlp_swin,  // the same with offsets from -8 to 8 and a sigmoid in the end, https://arxiv.org/abs/2111.09883
  bias,      // a table
  own_bias,  // the table belongs to the attention itself, as in BEiT
};
std::string_view name_of(RelPosType t);

struct PositionBiasOptions {
  RelPosType type = RelPosType::none;
  Size2 window = 14;
  bool class_token = false;
  int hidden = 128;  // of the network
};

class PositionBias : public Module {
 public:
  Tensor bias() {  // [heads, L, L]
    const Scope scope(name());
    return compute();
  }
  virtual void set_window(Size2 window) = 0;

 private:
  virtual Tensor compute() = 0;
};
/// Null for none.
std::unique_ptr<PositionBias> position_bias(const PositionBiasOptions& o, int heads);

}  // namespace fovea
