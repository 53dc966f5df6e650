// SPDX-License-Identifier: Apache-2.0
#include "cli/head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "bench/progress.h"
#include "cli/common.h"
#include "cli/evaluate.h"
#include "cli/feature_rows.h"
#include "cli/imbalance.h"
#include "cli/json.h"
#include "cli/signals.h"
#include "cli/training.h"
#include "data/loader.h"
#include "engine/autograd/autograd.h"
#include "engine/core/cancel.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "train/checkpoint.h"
#include "train/folds.h"
#include "train/summary.h"
#include "weights_tools/atomic_file.h"

namespace fovea::cli {
namespace {

constexpr std::array kStrengths{0.01, 0.1, 1.0, 10.0, 100.0, 1000.0};

struct Classifier {
  Param weight, bias;
};

Classifier classifier_of(zoo::ImageModel& model) {
  const Module* found = model.find(model.classifier_name());
  Classifier c;
  if (found)
    for (const Param& p : found->own_parameters()) (p.slot().name == "bias" ? c.bias : c.weight) = p;
  if (!found || found->own_parameters().size() != 2 || !c.weight || !c.bias)
    throw Error(Error::Kind::unsupported, str_cat(model.full_name(), " has no single linear classifier to learn"),
                "without --head-only all of it is trained");
  return c;
}

Tensor linear_logits(const Classifier& c, const Tensor& features) {
  return linear(features, flatten(*c.weight, 1), *c.bias);
}

// Are the model's logits what its classifier makes of the features? Asked of the first image, with a classifier that
// gives every class another answer.
void want_linear(const HeadRun& run, const Classifier& c, const data::EvalConfig& eval, const Tensor& features) {
  data::Loader loader(run.training, {.batch = 1, .workers = 1, .eval = eval});
  data::Batch batch;
  loader.begin(0);
  loader.next(batch);
  const NoGrad no_grad;
  const EvalMode mode(run.model);
  const Tensor logits = run.model(batch.images), ours = linear_logits(c, narrow(features, 0, 0, 1));
  const double off = amax(abs(logits - ours)).item(), size = amax(abs(logits)).item();
  if (!(off <= 1e-3 * std::max(size, 1.0)))
    throw Error(Error::Kind::unsupported,
                str_cat(run.model.full_name(), ": its logits are no linear layer of its features, but ", off, " off"),
                "without --head-only all of it is trained");
}

// --head-l2: a number, or what cross-validation finds.
double strength(const HeadRun& run, const FeatureRows& rows, int64_t classes, const train::LogisticOptions& options) {
  const std::string& said = run.options.head_l2;
  double l2 = 0;
  const auto end = std::from_chars(said.data(), said.data() + said.size(), l2);
  if (end.ptr == said.data() + said.size() && end.ec == std::errc() && l2 >= 0) return l2;
  if (said != "auto") throw Error(Error::Kind::argument, str_cat("--head-l2 ", said), "a number from 0 on, or auto");
  const std::vector<int> folds =
      train::stratified_folds(rows.labels, run.options.folds, static_cast<uint64_t>(run.options.seed));
  const train::Strength best = train::best_strength(rows.features, rows.labels, classes, options, folds, kStrengths);
  std::fprintf(stderr, "L2 penalty %g: in %d folds the best of 0.01 to 1000, %.2f %% right\n", best.l2,
               run.options.folds, best.scores.mean);
  return best.l2;
}

void tell_rows(const char* what, const FeatureRows& rows) {
  const auto [n, width] = std::pair{rows.features.dim(0), rows.features.dim(1)};
  if (rows.seconds > 0)
    std::fprintf(stderr, "%s: %lld rows of %lld features in %.1f s, %.1f images/s\n", what, static_cast<long long>(n),
                 static_cast<long long>(width), rows.seconds, static_cast<double>(n) / rows.seconds);
  else
    std::fprintf(stderr, "%s: %lld rows of %lld features were kept from another time\n", what,
                 static_cast<long long>(n), static_cast<long long>(width));
}

train::Evaluation evaluation_of(const Tensor& logits, const std::vector<int64_t>& labels) {
  Scores scores;
  scores.add(logits, from<int64_t>(labels, {static_cast<int64_t>(labels.size())}));
  return scores.evaluation();
}

struct Outcome {
  train::LogisticFit fit;
  train::Evaluation learnt;
  std::optional<train::Evaluation> measured;
  std::optional<train::FoldScores> folds;
};

void write(const HeadRun& run, const Outcome& out) {
  train::Checkpoints checkpoints(run.folder);
  AtomicFile arguments(run.folder + "/args.yaml");
  arguments.write(run.settings);
  arguments.commit();
  const double metric = out.measured ? out.measured->top1 : out.folds->mean;
  checkpoints.save("checkpoint-0", run.model, {}, {{"epoch", "1"}, {"updates", "1"}, {"metric", str_cat(metric)}});
  for (const char* name : {"last", "model_best"}) checkpoints.link("checkpoint-0", name);
  train::Numbers row{{"train_loss", out.learnt.loss}};
  Json entry{{"epoch", 0}, {"train", {{"loss", out.learnt.loss}, {"top1", out.learnt.top1}}}};
  if (out.measured) {
    const train::Evaluation& e = *out.measured;
    row.insert(row.end(), {{"eval_loss", e.loss}, {"eval_top1", e.top1}, {"eval_top5", e.top5}});
    entry["validation"] = {{"loss", e.loss}, {"top1", e.top1}, {"top5", e.top5}};
  }
  if (out.folds) entry["folds"] = {{"top1", out.folds->mean}, {"deviation", out.folds->deviation}};
  train::SummaryCsv(run.folder + "/summary.csv", 0).add(0, row);
  std::printf("--result\n%s\n", Json(std::vector{entry}).dump(4).c_str());
  flush_output();
}

}  // namespace

void check_head_only(const TrainingOptions& o) {
  const auto refuse = [](const char* what) {
    throw Error(Error::Kind::argument, str_cat(what, " beside --head-only"),
                "features are computed once, of images as they are, and their classifier is learnt at once");
  };
  if (!o.pretrained && o.pretrained_path.empty() && o.initial_checkpoint.empty())
    throw Error(Error::Kind::argument, "--head-only without weights: features of random ones say little",
                "--pretrained, or --pretrained-path FILE");
  if (!o.resume.empty()) refuse("--resume");
  if (o.dry_run) refuse("--dry-run");
  if (o.ema) refuse("--model-ema");
  if (!o.teacher.empty()) refuse("--kd-model-name");
  if (o.mixes()) refuse("--mixup or --cutmix");
  if (o.aug_splits > 0) refuse("--aug-splits");
  if (!o.freeze.empty()) refuse("--freeze");
}

void train_head(const HeadRun& run) {
  const TrainingOptions& o = run.options;
  const double began = bench::now();
  const data::EvalConfig eval = eval_config(run.model, o.input);
  const Classifier classifier = classifier_of(run.model);
  if (run.training.multi_label())
    throw Error(Error::Kind::unsupported, "images of several labels have no logistic regression over classes",
                "without --head-only they are trained on");
  const FirstInterrupt interrupts;
  const UseCancellation until(&FirstInterrupt::flag());
  FeatureRowOptions reading{.eval = eval, .workers = o.workers, .keep = run.folder + "/../features"};
  reading.name = "training images";
  const FeatureRows rows = feature_rows(run.model, run.training, reading);
  tell_rows("training", rows);
  want_linear(run, classifier, eval, rows.features);

  const int64_t classes = run.model.num_classes();
  train::LogisticOptions options{.class_weight = class_weights(o, run.training, classes)};
  options.l2 = strength(run, rows, classes, options);
  Outcome out{.fit = train::fit_logistic(rows.features, rows.labels, classes, options), .learnt = {}, .measured = {},
              .folds = {}};
  if (!out.fit.converged)
    tell(str_cat("the classifier is not at its minimum after ", out.fit.iterations, " steps; --head-l2 ",
                 10 * std::max(options.l2, 0.1), " has one that is found sooner"));
  classifier.weight.set(reshape(out.fit.weight, classifier.weight->shape()));
  classifier.bias.set(out.fit.bias);
  out.learnt = evaluation_of(train::logits_of(out.fit, rows.features), rows.labels);
  std::fprintf(stderr, "Train: loss %.4f  Acc@1: %.3f  (%lld steps of L-BFGS, L2 penalty %g)\n", out.learnt.loss,
               out.learnt.top1, static_cast<long long>(out.fit.iterations), options.l2);
  if (run.validation) {
    reading.name = "validation images";
    const FeatureRows asked = feature_rows(run.model, *run.validation, reading);
    tell_rows("validation", asked);
    const Tensor logits = train::logits_of(out.fit, asked.features);
    out.measured = evaluation_of(logits, asked.labels);
    if (run.page) run.page->answers(logits, asked.labels, asked.samples);
    std::fprintf(stderr, "Test: loss %.4f  Acc@1: %.3f  Acc@5: %.3f\n", out.measured->loss, out.measured->top1,
                 out.measured->top5);
  } else {
    const std::vector<int> folds = train::stratified_folds(rows.labels, o.folds, static_cast<uint64_t>(o.seed));
    out.folds = train::cross_validate(rows.features, rows.labels, classes, options, folds);
    std::fprintf(stderr, "Test: Acc@1: %.3f of images left out, in %d folds (deviation %.3f)\n", out.folds->mean,
                 o.folds, out.folds->deviation);
  }
  write(run, out);
  if (run.page) run.page->end(out.measured ? "done" : "done: cross-validation had no images of its own to show");
  std::fprintf(stderr, "%s/last.safetensors: %.1f s in all\n", run.folder.c_str(), bench::now() - began);
}

}  // namespace fovea::cli
