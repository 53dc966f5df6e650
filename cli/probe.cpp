// SPDX-License-Identifier: Apache-2.0
// cli/probe.cpp — `fovea knn DIR --model M` and `fovea probe DIR --model M`: how much of a folder's classes lies in a
// model's features already, by neighbours and by a linear classifier.
#include <cstdio>
#include <filesystem>
#include <optional>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/feature_rows.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/training.h"
#include "data/loader.h"
#include "engine/core/error.h"
#include "engine/core/threads.h"
#include "train/folds.h"
#include "train/neighbours.h"

namespace fovea::cli {
namespace {

struct Arguments : EvaluationOptions {
  std::string train_split = "train", keep;
  std::vector<int64_t> k{1, 5, 20};
  double temperature = 0.07;
  std::vector<double> l2{1};
  int folds = 5;
  int64_t seed = 42;
};

struct Rows {
  FeatureRows known;
  std::optional<FeatureRows> asked;
  int64_t classes;
};

// Rows of the images to learn from and, where they are others, of those to ask about.
Rows rows_of(const Arguments& a) {
  if (a.threads > 0) set_threads(a.threads);
  if (a.root().empty()) throw Error(Error::Kind::argument, "no folder of images", "fovea knn DIR --model NAME");
  const std::unique_ptr<data::Reader> known = open_images(a.input, a.root(), a.train_split);
  std::unique_ptr<data::Reader> asked;
  if (!a.split.empty()) asked = open_images(a.input, a.root(), a.split, known->classes());
  if (known->multi_label())
    throw Error(Error::Kind::unsupported, "images of several labels have no nearest class", "one label an image");
  const std::unique_ptr<zoo::ImageModel> model =
      create_loaded(a.model, model_options(a.input, a.model), a.checkpoint, a.licenses);
  FeatureRowOptions o{.eval = eval_config(*model, a.input), .batch = 64, .workers = a.workers, .keep = a.keep};
  Rows out{.known = feature_rows(*model, *known, o), .asked = {},
           .classes = static_cast<int64_t>(known->classes().size())};
  if (asked && asked->name(0) != known->name(0)) out.asked = feature_rows(*model, *asked, o);
  return out;
}

std::string asked_of(const Arguments& a, const Rows& r) {
  return r.asked ? str_cat(r.asked->labels.size(), " images of ", a.split)
                 : str_cat(r.known.labels.size(), " images of ", a.train_split);
}

void print(const Json& result) {
  std::printf("--result\n%s\n", result.dump(4).c_str());
  flush_output();
}

void run_knn(const Arguments& a) {
  const Rows r = rows_of(a);
  Json result{{"model", a.model}, {"known", r.known.labels.size()}, {"features", r.known.features.dim(1)}};
  for (const int64_t k : a.k) {
    const FeatureRows& asked = r.asked ? *r.asked : r.known;
    const train::NeighbourOptions o{.k = k, .temperature = a.temperature, .leave_one_out = !r.asked};
    const Tensor votes = train::neighbour_votes(r.known.features, r.known.labels, asked.features, r.classes, o);
    const double right = train::accuracy(votes, asked.labels);
    std::fprintf(stderr, "%lld neighbours: %.3f %% right of %s%s\n", static_cast<long long>(k), right,
                 asked_of(a, r).c_str(), r.asked ? "" : ", each left out in its turn");
    result[str_cat("top1_k", k)] = right;
  }
  print(result);
}

void run_probe(const Arguments& a) {
  const Rows r = rows_of(a);
  const std::vector<int> folds =
      train::stratified_folds(r.known.labels, a.folds, static_cast<uint64_t>(a.seed));
  const train::Strength best =
      train::best_strength(r.known.features, r.known.labels, r.classes, {}, folds, a.l2);
  std::fprintf(stderr, "L2 penalty %g: %.3f %% right of images left out, in %d folds (deviation %.3f)\n", best.l2,
               best.scores.mean, a.folds, best.scores.deviation);
  Json result{{"model", a.model},         {"known", r.known.labels.size()}, {"features", r.known.features.dim(1)},
              {"l2", best.l2},            {"folds", best.scores.accuracies}, {"folds_top1", best.scores.mean},
              {"folds_deviation", best.scores.deviation}};
  if (r.asked) {
    const train::LogisticFit fit =
        train::fit_logistic(r.known.features, r.known.labels, r.classes, {.l2 = best.l2});
    const double right = train::accuracy(train::logits_of(fit, r.asked->features), r.asked->labels);
    std::fprintf(stderr, "%.3f %% right of %s\n", right, asked_of(a, r).c_str());
    result["top1"] = right;
  }
  print(result);
}

Command add(Command app, const char* name, const char* what, const std::shared_ptr<Arguments>& a) {
  Command command = app.add_subcommand(name, what);
  a->batch = 64;
  add_evaluation_options(command, *a, "a name of `fovea models`", "weights; default: the published ones");
  command.add_option("--train-split", a->train_split, "the folder of images whose classes are known");
  command.add_option("--keep", a->keep, "a folder for the features, so that they are computed once");
  return command;
}

}  // namespace

void add_knn(Command app) {
  auto near = std::make_shared<Arguments>();
  Command knn = add(app, "knn", "what nearest neighbours in a model's features say of a folder's classes", near);
  knn.add_option("-k,--neighbours", near->k, "how many neighbours vote; several are told one after the other")
      .check(in_range(1, 1 << 20))
      .expected(1, -1);
  knn.add_option("--temperature", near->temperature, "neighbours count by exp(cosine / temperature)");
  take_last(knn);
  knn.callback([near] { run_knn(*near); });
}

void add_probe(Command app) {
  auto line = std::make_shared<Arguments>();
  Command probe = add(app, "probe", "what a linear classifier of a model's features says of the same", line);
  probe.add_option("--l2", line->l2, "penalties of its weights; of several cross-validation takes the best")
      .check(not_negative())
      .expected(1, -1);
  probe.add_option("--folds", line->folds, "of cross-validation on the images whose classes are known")
      .check(in_range(2, 1000));
  probe.add_option("--fold-seed", line->seed, "of what lies in which fold");
  take_last(probe);
  probe.callback([line] { run_probe(*line); });
}

}  // namespace fovea::cli
