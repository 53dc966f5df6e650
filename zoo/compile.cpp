// SPDX-License-Identifier: Apache-2.0
// zoo/compile.cpp — a model in eval mode as a graph and as a Session.
#include "engine/autograd/autograd.h"
#include "engine/graph/trace.h"
#include "zoo/levels.h"
#include "zoo/zoo.h"

namespace fovea::zoo {

Graph trace(ImageModel& model, const CompileOptions& o) {
  if (o.batch < 1 || o.height < 0 || o.width < 0)
    throw Error(Error::Kind::argument,
                str_cat("a batch of ", o.batch, " images of ", o.height, " x ", o.width, " cannot be compiled"));
  const auto [channels, height, width] = model.input_size();
  const Meta image = make_meta(DType::f32, {o.batch, channels, o.height ? o.height : height, o.width ? o.width : width},
                               Memory::contiguous, o.target.device);
  const EvalMode eval(model);
  const NoGrad no_grad;
  const StateDict names = model.state_dict();
  const TraceOptions options{.state = {}, .input_names = {"image"}, .names = &names};
  const int levels = o.features_only ? static_cast<int>(model.feature_info().size()) : 0;
  const auto run = [&](const Tensor& x) -> Tensors {
    if (!o.features_only) return {model(x)};
    return model
        .forward_intermediates(x, {.indices = usual_levels(model.default_levels(), levels),
                                   .stop_early = true,
                                   .intermediates_only = true,
                                   .nchw = model.features_nchw()})
        .features;
  };
  return fovea::trace(run, {image}, options);
}

void give_up_tensors(ImageModel& model) {
  const auto named = model.named_state();
  Tensors without;                                 // first all of them: memory may run out
  for (const NamedParameter& n : named) without.push_back(meta_tensor(n.tensor().meta()));
  for (size_t i = 0; i < named.size(); ++i) named[i].tensor() = std::move(without[i]);
}

Session compile(ImageModel& model, const CompileOptions& o) {
  Graph graph = trace(model, o);
  if (o.consume) give_up_tensors(model);
  return fovea::compile(std::move(graph), o.target, o.sharing);
}

}  // namespace fovea::zoo
