// SPDX-License-Identifier: Apache-2.0
#include "cli/objective.h"

#include <cmath>
#include <span>
#include <tuple>
#include <utility>

#include "api/preprocess.h"
#include "cli/training.h"
#include "engine/core/error.h"
#include "train/distill.h"
#include "train/loss.h"
#include "zoo/model_kinds.h"
#include "zoo/sequence_sessions.h"

namespace fovea::cli {
namespace {

train::LossOptions loss_of(const TrainingOptions& o, bool several) {
  train::LossOptions l{.kind = o.jsd_loss ? "jsd" : o.bce_loss ? "bce" : o.loss,
                       .multi_label = several,
                       .soft_targets = o.mixes(),
                       .smoothing = o.smoothing};
  l.jsd_splits = o.aug_splits;
  l.bce_sum = o.bce_sum;
  l.bce_target_thresh = o.bce_target_thresh;
  if (o.bce_pos_weight) l.pos_weight = {*o.bce_pos_weight};
  l.class_weight = o.class_weight;
  return l;
}

// Gradients of batches that are larger or smaller than others count more or less.
struct ByBatch final : train::Objective {
  ByBatch(std::shared_ptr<const train::Objective> f, double n, double e) : inner(std::move(f)), usual(n), power(e) {}
  Tensor operator()(Module& model, std::span<const Tensor> batch) const override { return (*inner)(model, batch); }
  double weight(std::span<const Tensor> batch) const override {
    return std::pow(static_cast<double>(batch[0].dim(0)) / usual, power);
  }
  std::shared_ptr<const train::Objective> inner;
  double usual, power;
};

// Of a batch of sequences: patches, their places, which of them are valid, and targets.
struct SequenceClassification final : train::Objective {
  explicit SequenceClassification(std::shared_ptr<const train::Loss> l) : loss(std::move(l)) {}
  Tensor operator()(Module& model, std::span<const Tensor> batch) const override {
    auto& m = dynamic_cast<zoo::ImageModel&>(model);
    const Tensor& patches = batch[0];
    zoo::SequenceWants wants;
    if (patches.rank() == 5) {                     // patches of any size, with height and width of their own
      const int at = zoo::sequences_of(m).sequence_channels_last() ? 2 : 3;
      wants.patch = Size2(static_cast<int>(patches.dim(at)), static_cast<int>(patches.dim(at + 1)));
    }
    const zoo::PatchSequence s{.patches = patches, .coords = batch[1], .valid = batch[2]};
    return (*loss)(zoo::run_sequence(m, s, wants)[0], batch[3]);
  }
  std::shared_ptr<const train::Loss> loss;
};

struct PooledFeatures final : train::FeatureReader {
  std::pair<Tensor, Tensor> operator()(Module& model, const Tensor& images) const override {
    auto& m = dynamic_cast<zoo::ImageModel&>(model);
    const Tensor map = m.forward_features(images);
    return {m.forward_head(map, true), m.forward_head(map)};
  }
};

struct TwoHeads final : train::HeadsReader {
  std::pair<Tensor, Tensor> operator()(Module& model, const Tensor& images) const override {
    auto* const two = dynamic_cast<zoo::TwoHeadedModel*>(&model);
    if (!two) return {model(images), {}};
    return two->heads(dynamic_cast<zoo::ImageModel&>(model).forward_features(images));
  }
};

std::shared_ptr<const train::Objective> of_task(const TrainingOptions& o, const zoo::ImageModel& model, bool several) {
  std::shared_ptr<const train::Loss> loss = train::classification_loss(loss_of(o, several));
  if (o.sequences()) return std::make_shared<SequenceClassification>(std::move(loss));
  if (o.teacher.empty()) return train::classification(std::move(loss));
  zoo::ModelOptions wanted{.pretrained = true, .num_classes = model.num_classes(), .in_chans = model.input_size()[0]};
  // "NAME=FILE": with these weights
  const size_t equals = o.teacher.find('=');
  if (equals != o.teacher.npos) wanted.weights = o.teacher.substr(equals + 1), wanted.pretrained = false;
  std::shared_ptr<zoo::ImageModel> teacher = zoo::create(o.teacher.substr(0, equals), wanted);
  train::DistillOptions d{.loss = std::move(loss),
                          .task_weight = o.task_weight,
                          .distill_weight = o.distill_weight,
                          .temperature = o.temperature};
  if (o.distill_type == "feature") d.features = std::make_shared<PooledFeatures>();
  if (o.distill_type == "token") d.heads = std::make_shared<TwoHeads>(), d.hard = o.token_distill_type == "hard";
  for (const auto& [said, real, whose] : {std::tuple{o.student_features, model.head_hidden_size(), "student"},
                                          std::tuple{o.teacher_features, teacher->head_hidden_size(), "teacher"}})
    if (said && *said != real)
      throw Error(Error::Kind::argument, str_cat("the ", whose, " has ", real, " features, not ", *said));
  const data::EvalConfig ours = eval_config(model, o.input), theirs = fovea::eval_config(*teacher);
  d.student_mean = ours.mean, d.student_std = ours.std;
  d.teacher_mean = theirs.mean, d.teacher_std = theirs.std;
  return train::distillation(std::move(teacher), std::move(d));
}

}  // namespace

std::shared_ptr<const train::Objective> objective_of(const TrainingOptions& o, const zoo::ImageModel& model,
                                                     bool several, double usual) {
  std::shared_ptr<const train::Objective> task = of_task(o, model, several);
  const std::string& scale = o.sequences() ? o.sequence_loss_scale : o.loss_scale;
  if (scale == "none") return task;
  return std::make_shared<ByBatch>(std::move(task), usual, scale == "sqrt" ? 0.5 : 1.0);
}

std::string loss_text(const TrainingOptions& o, bool several) {
  const train::LossOptions l = loss_of(o, several);
  std::string out = !l.kind.empty() ? l.kind : several ? "bce" : "ce";
  if (l.smoothing > 0) out += str_cat(", smoothing ", l.smoothing);
  if (l.soft_targets) out += ", of mixed targets";
  return o.teacher.empty() ? out : str_cat(out, "; and what ", o.teacher, " says");
}

}  // namespace fovea::cli
