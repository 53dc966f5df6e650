// SPDX-License-Identifier: Apache-2.0
// cli/export.cpp — `fovea export MODEL -o model.onnx`: a model for other runtimes.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/command.h"
#include "cli/common.h"
#include "engine/autograd/autograd.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "onnx/export.h"
#include "weights_tools/bytes.h"
#include "weights_tools/npz.h"

namespace fovea::cli {
namespace {

struct Arguments {
  ModelArguments model;
  std::string out, check;
  int opset = 18, batch = 1;
  bool dynamic = false, features = false, bytes = false, first_values = false;
};

std::unique_ptr<zoo::ImageModel> model_of(const Arguments& a) {
  if (!a.first_values) return load_model(a.model);
  std::unique_ptr<zoo::ImageModel> model = zoo::create(a.model.name, a.model.options);
  model->materialise();
  model->eval();
  return model;
}

std::vector<std::string> output_names(const Arguments& a, size_t count) {
  if (!a.features) return {"logits"};
  std::vector<std::string> names;
  for (size_t i = 0; i < count; ++i) names.push_back(cat("features_", i));
  return names;
}

// Images and what fovea makes of them, for whoever compares: images_1, logits_1, and of a batch of three.
void write_answers(const Arguments& a, zoo::ImageModel& model, const std::vector<std::string>& outputs) {
  const NoGrad no_grad;
  const auto [channels, height, width] = model.input_size();
  StateDict all;
  for (const int n : a.dynamic ? std::vector<int>{1, 3} : std::vector<int>{a.batch}) {
    Tensor images = randn({n, channels, height, width}, 7);
    if (a.bytes) images = clamp(floor(images * 64 + 128), 0, 255);
    all.set(cat("images_", n), a.bytes ? cast(images, DType::u8) : images);
    if (a.bytes) {
      const zoo::PretrainedCfg& row = model.pretrained_cfg();
      Tensor mean = empty({3, 1, 1}), std = empty({3, 1, 1});
      std::copy(row.mean.begin(), row.mean.end(), reinterpret_cast<float*>(mean.bytes()));
      std::copy(row.std.begin(), row.std.end(), reinterpret_cast<float*>(std.bytes()));
      images = (images / 255 - mean) / std;
    }
    const Graph graph = zoo::trace(model, {.batch = n, .features_only = a.features});
    const Tensors answers = fovea::compile(graph).run({images});
    for (size_t i = 0; i < answers.size(); ++i) all.set(cat(outputs[i], "_of_", n), contiguous(answers[i]));
  }
  write_npz(a.check, all);
}

void run(const Arguments& a) {
  const std::unique_ptr<zoo::ImageModel> model = model_of(a);
  constexpr int kBatch = 2, kOther = 3;  // of one image, some models compute otherwise than of any other number
  const auto traced = [&](int batch) { return zoo::trace(*model, {.batch = batch, .features_only = a.features}); };
  const Graph graph = traced(a.dynamic ? kBatch : a.batch);
  const zoo::PretrainedCfg& row = model->pretrained_cfg();
  onnx::ExportOptions o{.opset = a.opset, .version = FOVEA_VERSION};
  o.outputs = output_names(a, graph.outputs.size());
  if (a.bytes) o.byte_images = {row.mean, row.std};
  o.metadata = {{"model", model->full_name()},
                {"interpolation", std::string(row.interpolation)},
                {"crop_pct", cat(row.crop_pct)},
                {"crop_mode", std::string(row.crop_mode)},
                {"mean", cat(row.mean[0], ",", row.mean[1], ",", row.mean[2])},
                {"std", cat(row.std[0], ",", row.std[1], ",", row.std[2])}};
  if (a.dynamic) {
    const Graph other = traced(kOther);
    onnx::write(a.out, graph, &other, o);
  } else {
    onnx::write(a.out, graph, nullptr, o);
  }
  std::fprintf(stderr, "%s: opset %d, %zu steps\n", printable(a.out).c_str(), a.opset, graph.steps.size());
  if (!a.check.empty()) write_answers(a, *model, o.outputs);
}

}  // namespace

void add_export(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("export", "write a model as an ONNX file");
  command
      ->add_option("model", a->model.name,
                   "a name of `fovea models`, with or without .tag; hf-hub:ORG/NAME[@REVISION]; local-dir:FOLDER")
      ->required();
  command->add_option("-o,--output", a->out, "FILE.onnx; large weights go to FILE.onnx.data")->required();
  add_weights_arguments(*command, a->model);
  add_create_arguments(*command, a->model.options);
  command->add_flag("--first-values", a->first_values, "without weights: what training starts from")
      ->excludes("--weights");
  command->add_option("--opset", a->opset, "of ONNX")->check(CLI::Range(18, 21));
  CLI::Option* batch = command->add_option("--batch", a->batch, "images at a time")->check(CLI::Range(1, 1 << 20));
  command->add_flag("--dynamic", a->dynamic, "any number of images at a time")->excludes(batch);
  command->add_flag("--features", a->features, "the feature maps instead of the logits");
  command->add_flag("--u8", a->bytes, "images are bytes; the file takes the mean and the deviation itself");
  command->add_option("--check", a->check,
                      "FILE.npz: images and fovea's answers, which tools/onnx_check.py compares with ONNX Runtime's");
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
