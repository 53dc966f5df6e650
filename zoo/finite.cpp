// SPDX-License-Identifier: Apache-2.0
#include "zoo/finite.h"

#include <algorithm>

#include "engine/autograd/autograd.h"
#include "engine/core/eager.h"
#include "engine/core/finite.h"
#include "engine/core/scope.h"

namespace fovea::zoo {
namespace {

std::optional<Error> in_weights(const ImageModel& model) {
  for (const NamedParameter& p : model.named_state())
    if (const auto what = first_not_finite(p.tensor()))
      return Error(Error::Kind::weights,
                   str_cat("the weights of ", model.full_name(), " are not finite: ", p.name, " ", p.tensor().meta(),
                           " holds ", *what),
                   "the file is damaged, or was saved by a training run that diverged");
  return {};
}

// Runs op by op, and stops at the first that makes something of finite operands which is not, or NaN of any. (Infinity
// alone may have been meant: attention is masked with it.)
class Watch final : public Executor {
 public:
  Tensors emit(const Site& site, std::span<const Tensor> in, Metas out) override {
    const Tensors results = eager_.emit(site, in, std::move(out));
    for (const Tensor& r : results)
      if (const auto what = first_not_finite(r))
        if (what->find("nan") != std::string::npos || std::all_of(in.begin(), in.end(), [](const Tensor& t) {
              return !t || all_finite(t);
            }))
          found(site, r, *what);
    return results;
  }

 private:
  [[noreturn]] static void found(const Site& site, const Tensor& result, const std::string& what) {
    const std::string scope = current_scope();
    throw Error(Error::Kind::weights,
                str_cat(scope.empty() ? "the model" : scope, " (", site.op.name(), ") gives ", result.meta(), " with ",
                        what, ", the first that is not finite"),
                "weights and image are finite: the weights are of another model or of a training run that diverged");
  }
  Eager eager_;
};

}  // namespace

void want_finite_weights(const ImageModel& model) {
  if (const std::optional<Error> e = in_weights(model)) throw *e;
}

Error why_not_finite(ImageModel& model, const Tensor& images) {
  if (const std::optional<Error> e = in_weights(model)) return *e;
  if (const auto what = first_not_finite(images))
    return Error(Error::Kind::argument, str_cat("the images ", images.meta(), " are not finite: they hold ", *what));
  Watch watch;
  try {
    const NoGrad no_grad;
    const EvalMode eval(model);
    const UseExecutor use(watch);
    model(images);
  } catch (const Error& e) {
    return e;
  }
  return Error(Error::Kind::unsupported, str_cat(model.full_name(), ": compiled, it gives values that are not finite"),
               "op by op all of them are: sums of values beyond 1e37 overflow in compiled convolutions "
               "(docs/numerics.md)");
}

}  // namespace fovea::zoo
