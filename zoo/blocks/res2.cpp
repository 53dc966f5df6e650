// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/res2.cpp — the hierarchy of groups.
#include "zoo/blocks/res2.h"

#include "engine/ops/ops.h"

namespace fovea::zoo {

Res2Lists res2_lists(int width, int scale, const Conv2dOptions& conv, const NormSpec& norm, const Act& act) {
  Res2Lists lists;
  for (int i = 0; i < std::max(1, scale - 1); ++i) {
    lists.convs.add(Conv2d(width, width, 3, conv));
    lists.bns.add(norm_act2d(norm, width, act));
  }
  return lists;
}

Tensor res2(const Tensor& x, const Sequential& convs, const Sequential& bns, const Maybe<Module>& pool) {
  const size_t count = convs.children().size();
  const int64_t width = dynamic_cast<const Conv2d&>(*convs.children()[0]).out_channels();
  Tensors groups = split(x, width, 1);
  for (size_t i = 0; i < count; ++i) {
    const Tensor sum = i == 0 || pool ? groups[i] : groups[i - 1] + groups[i];
    const Tensor y = [&] {
      const Scope scope(convs.name());
      return (*convs.children()[i])(sum);
    }();
    const Scope scope(bns.name());
    groups[i] = (*bns.children()[i])(y);
  }
  if (groups.size() > count) groups[count] = pool(groups[count]);
  return cat(groups, 1);
}

}  // namespace fovea::zoo
