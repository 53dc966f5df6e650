// SPDX-License-Identifier: Apache-2.0
// cli/classify.cpp — `fovea classify MODEL IMAGE…`: what is on these images?
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/labels.h"
#include "data/decode.h"
#include "engine/core/error.h"
#include "engine/core/finite.h"
#include "engine/ops/ops.h"

namespace fovea::cli {
namespace {

struct Arguments {
  ModelArguments model;
  std::vector<std::string> images;
  data::DecodeOptions decode;
  std::string labels;
  int64_t topk = 5;
  bool json = false;
};

struct Guess {
  int64_t index;
  float prob;
  std::string label;
};

std::vector<Guess> best(const Tensor& logits, int64_t k, const Labels& labels) {
  const auto [values, indices] = topk(softmax(logits, 1), std::min(k, logits.dim(1)), 1);
  const std::span<const float> probs = values.data<float>();
  const std::span<const int64_t> classes = indices.data<int64_t>();
  std::vector<Guess> out;
  for (size_t i = 0; i < probs.size(); ++i) out.push_back({classes[i], probs[i], labels[classes[i]]});
  return out;
}

// For as many classes as there are logits: a session from the cache shows only so that its weights have others.
Labels labels_for(const Arguments& a, ReadyModel& ready, int64_t classes) {
  const zoo::ImageModel& model = ready.model();
  if (ready.from_cache() && classes != model.num_classes())
    tell(cat(ready.weights(), ": ", zoo::classes_taken(classes, model.num_classes())));
  const bool tag_given = a.model.pretrained || !zoo::split_name(a.model.name).tag.empty();
  Labels labels({.given = a.labels, .weights = ready.weights(), .tag_given = tag_given}, model, classes);
  if (!labels.note().empty()) tell(labels.note());
  return labels;
}

struct Logits final : Computation {
  Graph trace(zoo::ImageModel& model) const override { return zoo::trace(model); }
  Tensors run(zoo::ImageModel& model, const Tensor& images) const override { return {model(images)}; }
};

void run(const Arguments& a) {
  double mark = now();
  const auto lap = [&mark] {
    const double before = mark;
    return (mark = now()) - before;
  };
  const Logits logits_of;
  ReadyModel ready(a.model, logits_of);
  const zoo::ImageModel& model = ready.model();
  if (model.num_classes() <= 0)
    throw Error(Error::Kind::argument, cat(model.full_name(), " has no classifier"),
                "fovea features gives its features");
  const data::EvalConfig config = eval_config(model);
  if (!a.json)
    std::printf("%s: ready in %s%s\n", model.full_name().c_str(), duration(lap()).c_str(),
                ready.from_cache() ? " (from the plan cache)" : "");

  std::optional<Labels> labels;
  nlohmann::ordered_json report = nlohmann::ordered_json::array();
  for (const std::string& path : a.images) {
    lap();
    const data::Image image = data::read_image(path, a.decode);
    const double decode = lap();
    const Tensor input = data::eval_transform(image, config);
    const double transform = lap();
    const Tensor logits = ready(input)[0];
    const double infer = lap();
    if (!labels) labels = labels_for(a, ready, logits.dim(1));
    const std::vector<Guess> guesses = best(logits, a.topk, *labels);
    if (a.json) {
      nlohmann::ordered_json top = nlohmann::ordered_json::array();
      for (const Guess& g : guesses) top.push_back({{"index", g.index}, {"label", g.label}, {"prob", g.prob}});
      report.push_back({{"image", path}, {"top", std::move(top)}});
      if (!all_finite(logits)) report.back()["finite"] = false;        // NaN, which was allowed, is null in JSON
      continue;
    }
    std::printf("%s  (%d x %d; decode %s, transform %s, infer %s)\n", path.c_str(), image.width, image.height,
                duration(decode).c_str(), duration(transform).c_str(), duration(infer).c_str());
    for (const Guess& g : guesses)
      std::printf("  %6.4f  %4lld  %s\n", static_cast<double>(g.prob), static_cast<long long>(g.index),
                  g.label.c_str());
  }
  if (a.json) std::printf("%s\n", report.dump(2).c_str());
  std::fflush(stdout);
  ready.keep();
}

}  // namespace

void add_classify(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("classify", "name what is on images");
  add_model_arguments(*command, a->model);
  command->add_option("--calibration", a->model.calibration, "compute in 8-bit integers: a file of `fovea quantize`")
      ->excludes("--eager")
      ->excludes("--dtype");
  command->add_option("images", a->images, "JPEG, PNG or WebP files")->required();
  add_decode_arguments(*command, a->decode);
  command->add_option("--labels", a->labels,
                      "a file of labels, one a line, or none (default: what is known of the weights)");
  command->add_option("--topk", a->topk, "how many classes to list")->check(CLI::Range(1, 1 << 20));
  command->add_flag("--json", a->json, "a list of {image, top: [{index, label, prob}]}");
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
