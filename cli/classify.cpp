// SPDX-License-Identifier: Apache-2.0
// cli/classify.cpp — `fovea classify MODEL IMAGE|DIR…`: what is on these images?
#include <cstdio>

#include "api/classifier.h"
#include "cli/answers.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "engine/core/error.h"
#include "engine/core/finite.h"
#include "engine/ops/ops.h"

namespace fovea::cli {
namespace {

struct Arguments {
  ModelArguments model;
  ImageArguments images;
  std::string labels, label_type = "description";
  int64_t topk = 5;
  bool json = false, csv = false;
};

// As many classes as there are logits: a session from the cache shows only so that its weights have others.
void name_classes(Classifier& classifier, ReadyModel& ready, int64_t classes) {
  const zoo::ImageModel& model = ready.model();
  if (ready.from_cache() && classes != model.num_classes())
    tell(str_cat(ready.weights(), ": ", zoo::classes_taken(classes, model.num_classes())));
  const std::string& assumed = classifier.name_classes(classes);
  if (!assumed.empty()) tell(assumed);
}

struct Logits final : Computation {
  Graph trace(zoo::ImageModel& model) const override { return zoo::trace(model); }
  Tensors run(zoo::ImageModel& model, const Tensor& images) const override { return {model(images)}; }
};

std::unique_ptr<Answers> answers_for(const Arguments& a) {
  return a.json ? answers_as_json() : a.csv ? answers_as_csv() : answers_for_people();
}

void run(const Arguments& a) {
  const double began = bench::now();
  ImageList list("classify", a.images);
  const Logits logits_of;
  ReadyModel ready(a.model, logits_of);
  const zoo::ImageModel& model = ready.model();
  const bool tag_given = a.model.weights.empty() || !zoo::split_name(a.model.name).tag.empty();
  Classifier classifier(
      model, {.given = a.labels, .weights = ready.weights(), .tag_given = tag_given, .type = a.label_type});
  if (!a.json && !a.csv)
    std::printf("%s: ready in %s%s\n", model.full_name().c_str(), duration(bench::now() - began).c_str(),
                ready.from_cache() ? " (from the plan cache)" : "");
  {
    const std::unique_ptr<Answers> answers = answers_for(a);
    list.expect(static_cast<int64_t>(list.paths().size()), "images");
    const auto batch = static_cast<size_t>(a.images.batch);
    for (size_t first = 0; first < list.paths().size(); first += batch) {
      const std::vector<Sample> samples = read_samples(list, first, batch, classifier.config(), ready.limits());
      const double read = bench::now();
      const Tensors results = run_samples(ready, samples);
      const double infer = (bench::now() - read) / static_cast<double>(samples.size());
      list.clear();
      if (!classifier.named() && !results.empty()) name_classes(classifier, ready, results[0].dim(1));
      int64_t row = 0;
      for (const Sample& s : samples) {
        if (s.error) {
          answers->add_unread(s);
          continue;
        }
        const Tensor logits = slice(results[0], 0, row, row + 1);
        answers->add(s, {classifier.best(logits, a.topk), all_finite(logits), infer});
        ++row;
      }
      list.done(static_cast<int64_t>(samples.size()));
    }
  }
  flush_output();
  ready.keep();
  list.finish();
}

}  // namespace

void add_classify(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("classify", "name what is on images");
  add_model_arguments(command, a->model);
  add_image_arguments(command, a->images);
  add_sequence_arguments(command, a->model);
  command.add_option("--calibration", a->model.calibration, "compute in 8-bit integers: a file of `fovea quantize`")
      .excludes("--eager")
      .excludes("--dtype")
      .excludes("--max-seq-len");
  command.add_option("--labels", a->labels,
                     "a file of labels, one a line, or none (default: what is known of the weights)");
  command.add_option("--label-type", a->label_type, "name (n02123045), description, or detail: with a definition")
      .check(one_of({"name", "description", "detail"}));
  command.add_option("--topk", a->topk, "how many classes to list").check(in_range(1, 1 << 20));
  Option json = command.add_flag(
      "--json", a->json, "a list of {image, top: [{index, label, prob}]}, or {image, error} for what cannot be read");
  command.add_flag("--csv", a->csv, "a table of image, rank, index, label, prob").excludes(json);
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
