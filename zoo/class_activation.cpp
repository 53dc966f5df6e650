// SPDX-License-Identifier: Apache-2.0
#include "zoo/class_activation.h"

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::zoo {
namespace {

// The last value in front of the head, and which of its axes are channels.
struct Features {
  Tensor value;
  int channel_axis = 1;
};

Features features_of(ImageModel& model, const Tensor& image) {
  const NoGrad no_grad;
  const TapCollector collector(TapKind::block);
  Features out{.value = model.forward_features(image)};
  if (!collector.taps().empty()) out.channel_axis = collector.taps().back().channel_axis;
  if (out.value.rank() == 3) out.channel_axis = 2;
  return out;
}

[[noreturn]] void refuse(const ImageModel& model, const std::string& why) {
  throw Error(Error::Kind::unsupported, str_cat(model.full_name(), " has no class-activation map: ", why),
              "attention maps may show what it looks at, if it attends over tokens");
}

// f32[h, w] of f32[1, tokens] or [1, h, w].
Tensor as_map(const ImageModel& model, const Tensor& x, const Tensor& image) {
  if (x.rank() == 3) return squeeze(x, 0);
  const auto* tokens = dynamic_cast<const TokenModel*>(&model);
  if (!tokens) refuse(model, "it does not say where its tokens lie");
  const Size2 grid = tokens->token_grid(image.dim(2), image.dim(3));
  const int64_t prefix = x.dim(1) - static_cast<int64_t>(grid.h) * grid.w;
  if (prefix < 0) refuse(model, str_cat("its ", x.dim(1), " tokens are no grid of ", grid.h, " x ", grid.w));
  return reshape(slice(x, 1, prefix, x.dim(1)), {grid.h, grid.w});
}

}  // namespace

ClassActivation class_activation(ImageModel& model, const Tensor& image, int64_t label) {
  const EvalMode eval(model);
  const Features f = features_of(model, image);
  if (f.value.rank() != 3 && f.value.rank() != 4) refuse(model, str_cat("its features are ", f.value.meta()));
  Tensor leaf = f.value.detach();
  leaf.set_requires_grad();
  const Tensor logits = model.forward_head(leaf);
  ClassActivation out{.map = {}, .logits = logits.detach(), .label = label};
  if (label < 0) out.label = static_cast<int64_t>(argmax(reshape(out.logits, {-1}), 0).item());
  if (out.label >= logits.dim(1))
    throw Error(Error::Kind::argument, str_cat("class ", out.label, " of ", logits.dim(1), " classes"));
  const Tensor one = sum(select(logits, 1, out.label));
  const Tensor slope = grad(std::span(&one, 1), std::span(&leaf, 1))[0];
  const NoGrad no_grad;
  Dims places;
  for (int i = 1; i < leaf.rank(); ++i)
    if (i != f.channel_axis) places.push_back(i);
  const Tensor weights = mean(slope, places, keep_dims);
  const Tensor seen = as_map(model, relu(sum(leaf.detach() * weights, {f.channel_axis})), image);
  if (amax(abs(as_map(model, sum(abs(slope), {f.channel_axis}), image))).item() == 0)
    refuse(model, "its head looks at tokens that stand for no part of the image");
  const double most = amax(seen).item();
  out.map = contiguous(most > 0 ? seen / most : seen);
  return out;
}

}  // namespace fovea::zoo
