// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/inception.cpp — running branches, making convolutions.
#include "zoo/blocks/inception.h"

#include "engine/ops/ops.h"
#include "nn/layers/pool.h"

namespace fovea::zoo {

Tensor Branches::forward(const Tensor& x) {
  Tensors all;
  for (const Branch& b : branches_) {
    Tensor y = x;
    for (const Ref<Module>& part : b.chain) y = part(y);
    if (b.ends.empty()) all.push_back(y);
    for (const Ref<Module>& end : b.ends) all.push_back(end(y));
  }
  return cat(all, 1);
}

ConvNormAct inception_conv(const InceptionCfg& c, int in, const InceptionConv& conv) {
  const bool inside = conv.windows == Windows::inside;
  const Size2 around{(conv.kernel.h - 1) / 2, (conv.kernel.w - 1) / 2};
  return {in,
          conv.out,
          conv.kernel,
          {.conv{.stride = conv.stride, .padding = inside ? Size2(0) : around},
           .norm{.kind = c.norm_layer, .eps = c.norm_eps},
           .act = c.act_layer}};
}

Sequential inception_chain(const InceptionCfg& c, int in, std::initializer_list<InceptionConv> convs) {
  Sequential s;
  for (const InceptionConv& conv : convs) {
    s.add(inception_conv(c, in, conv));
    in = conv.out;
  }
  return s;
}

Sequential inception_pool(const InceptionCfg& c, int in, int out) {
  Sequential s;
  s.add(AvgPool2d(3, {.stride = 1, .padding = 1, .count_include_pad = false}));
  s.add(inception_conv(c, in, {out}));
  return s;
}

}  // namespace fovea::zoo
