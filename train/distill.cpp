// SPDX-License-Identifier: Apache-2.0
#include "train/distill.h"

#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::train {
namespace {

Tensor by_channel(const std::vector<float>& v, const Tensor& like) {
  const Tensor t = from<float>(v, {1, static_cast<int64_t>(v.size()), 1, 1});
  return cast(t.to(like.device()), like.dtype());
}

struct Distillation final : Objective {
  Distillation(std::shared_ptr<Module> t, DistillOptions options) : teacher(std::move(t)), o(std::move(options)) {
    if (o.distill_weight) {
      distill = *o.distill_weight;
      task = o.task_weight.value_or(1);
    } else if (o.task_weight) {
      task = *o.task_weight;
      distill = 1 - task;
    }
    if (!(o.temperature > 0))
      throw Error(Error::Kind::argument, str_cat("distillation at a temperature of ", o.temperature));
    if (o.heads && o.features)
      throw Error(Error::Kind::argument, "a student compares features, or has a classifier for its teacher's answers",
                  "one of them");
    teacher->set_requires_grad(false);
  }

  Tensor as_teacher_wants(const Tensor& x) const {
    if (o.student_mean == o.teacher_mean && o.student_std == o.teacher_std) return x;
    const auto of = [&](const std::vector<float>& v) { return by_channel(v, x); };
    return (x * of(o.student_std) + of(o.student_mean) - of(o.teacher_mean)) / of(o.teacher_std);
  }

  Tensor task_loss(const Tensor& logits, const Tensor& target) const {
    return o.loss ? (*o.loss)(logits, target) : cross_entropy(logits, target);
  }

  Tensor operator()(Module& model, std::span<const Tensor> batch) const override {
    Tensor theirs;
    {
      const NoGrad no_grad;
      const EvalMode eval(*teacher);
      const Tensor images = as_teacher_wants(batch[0]);
      theirs = (o.features ? (*o.features)(*teacher, images).first : (*teacher)(images)).detach();
    }
    if (o.features) {
      const auto [features, logits] = (*o.features)(model, batch[0]);
      if (features.shape() != theirs.shape())
        throw Error(Error::Kind::shape,
                    str_cat("features of ", features.shape(), " learn from some of ", theirs.shape()),
                    "a teacher of as many features is needed");
      return task_loss(logits, batch[1]) * task + mse_loss(features, theirs) * distill;
    }
    if (!o.heads) {
      const Tensor logits = model(batch[0]);
      return task_loss(logits, batch[1]) * task + divergence(logits, theirs) * distill;
    }
    const auto [logits, second] = (*o.heads)(model, batch[0]);
    if (!second)
      throw Error(Error::Kind::argument, "the student has one classifier", "distill logits or features");
    return task_loss(logits, batch[1]) * task +
           (o.hard ? cross_entropy(second, argmax(theirs, 1)) : divergence(second, theirs)) * distill;
  }

  // Kullback-Leibler, of softened probabilities, per image.
  Tensor divergence(const Tensor& logits, const Tensor& theirs) const {
    const Tensor mine = log_softmax(logits / o.temperature, 1), target = log_softmax(theirs / o.temperature, 1);
    const double scale = o.temperature * o.temperature / static_cast<double>(logits.dim(0));
    return sum(exp(target) * (target - mine)) * scale;
  }

  std::shared_ptr<Module> teacher;
  DistillOptions o;
  double task = 1, distill = 1;
};

}  // namespace

std::shared_ptr<const Objective> distillation(std::shared_ptr<Module> teacher, DistillOptions options) {
  return std::make_shared<Distillation>(std::move(teacher), std::move(options));
}

}  // namespace fovea::train
