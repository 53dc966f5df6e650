// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/branched_conv.cpp — the branches, and what they become.
#include "zoo/blocks/branched_conv.h"

#include "engine/ops/ops.h"

namespace fovea::zoo {

BranchedConv::BranchedConv(int in, int out, const BranchedConvOptions& o) {
  if (o.identity && in == out && o.stride == 1) identity_ = add("identity", norm2d(o.norm, out));
  const auto branch = [&](int kernel, int dilation) {
    return ConvNormAct(in, out, kernel,
                       {.conv = {.stride = o.stride, .dilation = dilation, .groups = o.groups},
                        .norm = o.norm,
                        .act = act::none,
                        .drop = kernel == 1 ? DropBlockOptions{} : o.drop_block});
  };
  if (o.branches == 0) {
    convs_.push_back(add("conv_kxk", branch(o.kernel, o.dilation)));
  } else {
    Sequential list;
    for (int i = 0; i < o.branches; ++i) convs_.push_back(list.add(branch(o.kernel, o.dilation)));
    list_ = add("conv_kxk", std::move(list)).get();
  }
  if (!o.pointwise.empty()) pointwise_ = add(o.pointwise, branch(1, 1));
  if (o.drop_path > 0 && identity_) drop_path_ = add("drop_path", DropPath(o.drop_path));
}

Tensor BranchedConv::branches(const Tensor& x) {
  Tensor y;
  if (pointwise_) y = pointwise_(x);
  {
    const Scope scope(list_ ? std::string_view(list_->name()) : std::string_view());
    for (const Ref<ConvNormAct>& conv : convs_) y = y ? y + conv(x) : conv(x);
  }
  y = drop_path_(y);
  return identity_ ? y + identity_(x) : y;
}

void BranchedConv::fuse() {
  if (reparam_conv_) return;
  std::unique_ptr<Conv2d> conv =
      fused_conv(*this, *convs_[0]->conv, Branches([this](const Tensor& x) { return branches(x); }));
  give_up({identity_.get(), pointwise_.get(), drop_path_.get(), list_ ? list_ : convs_[0].get()});
  reparam_conv_ = add("reparam_conv", std::move(conv));
}

}  // namespace fovea::zoo
