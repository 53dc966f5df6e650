// SPDX-License-Identifier: Apache-2.0
// nn/layers/glu_mlp.h — MLPs in which one half gates the other, https://arxiv.org/abs/2002.05202.
#pragma once
#include "nn/layers/mlp.h"

namespace fovea {

struct GluMlpOptions {
  int hidden = 0, out = 0;  // of fc1, both halves together; 0: as many as come in
  Act act = act::sigmoid;
  TokenNorm norm{.kind = TokenNorm::Kind::none};
  bool bias = true;
  bool gate_last = true;  // the second half goes through the activation
  double drop = 0;
};
/// Both halves from one layer; with act::silu and gate_last = false what timm calls SwiGLUPacked.
class GluMlp final : public Module {
 public:
  explicit GluMlp(int in, const GluMlpOptions& o = {});
  Tensor forward(const Tensor& x) override;
  Ref<Linear> fc1, fc2;

 private:
  Act act_;
  bool gate_last_;
  Ref<Dropout> drop1_, drop2_;
  Maybe<Module> norm_;
};

struct SwiGLUOptions {
  int hidden = 0, out = 0, align_to = 0;  // align_to: rounds the hidden channels up to a multiple
  Act act = act::silu;
  TokenNorm norm{.kind = TokenNorm::Kind::none};
  bool bias = true;
  double drop = 0;
};
/// Gate and value from two layers.
class SwiGLU final : public Module {
 public:
  explicit SwiGLU(int in, const SwiGLUOptions& o = {});
  Tensor forward(const Tensor& x) override;
  Ref<Linear> fc1_g, fc1_x, fc2;

 private:
  Act act_;
  Ref<Dropout> drop1_, drop2_;
  Maybe<Module> norm_;
};

}  // namespace fovea
