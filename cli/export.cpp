// SPDX-License-Identifier: Apache-2.0
// cli/export.cpp — `fovea export MODEL -o model.onnx`: a model for other runtimes.
#include <algorithm>
#include <cstdio>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/options.h"
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
  std::vector<std::string> dynamic;                // batch, size
  bool features = false, bytes = false, first_values = false;
  bool any(const char* what) const { return std::find(dynamic.begin(), dynamic.end(), what) != dynamic.end(); }
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
  for (size_t i = 0; i < count; ++i) names.push_back(str_cat("features_", i));
  return names;
}

struct Images {
  int batch = 1, height = 0, width = 0;
};

Graph trace_of(const Arguments& a, zoo::ImageModel& model, const Images& i) {
  return zoo::trace(model, {.batch = i.batch, .height = i.height, .width = i.width, .features_only = a.features});
}

// What tells sizes apart that follow the images: all four heights and widths differ, and by what strides leave of them.
Images usual_images(const Arguments& a, const zoo::ImageModel& model) {
  constexpr int kBatch = 2;  // of one image, some models compute otherwise than of any other number
  constexpr int kWider = 64;
  const auto [channels, height, width] = model.input_size();
  const int batch = a.any("batch") ? kBatch : a.batch;
  return a.any("size") ? Images{batch, height, width + kWider} : Images{batch, height, width};
}
Images other_sizes(const Images& i) {
  constexpr int kHigher = 32, kWider = 128;
  return {i.batch, i.height + kHigher, i.width + kWider};
}

std::vector<Images> images_to_check(const Arguments& a, const zoo::ImageModel& model) {
  const auto [channels, height, width] = model.input_size();
  std::vector<Images> all;
  for (const int n : a.any("batch") ? std::vector<int>{1, 3} : std::vector<int>{a.batch}) {
    all.push_back({n, height, width});
    if (a.any("size")) all.push_back({n, height + 96, width + 32}), all.push_back({n, height + 33, width + 71});
  }
  return all;
}

// Images and what fovea makes of them, for whoever compares: images_1x224x224, logits_of_1x224x224, ...
void write_answers(const Arguments& a, zoo::ImageModel& model, const std::vector<std::string>& outputs) {
  const NoGrad no_grad;
  StateDict all;
  for (const Images& i : images_to_check(a, model)) {
    Tensor images = randn({i.batch, model.input_size()[0], i.height, i.width}, 7);
    if (a.bytes) images = clamp(floor(images * 64 + 128), 0, 255);
    const std::string what = str_cat(i.batch, "x", i.height, "x", i.width);
    all.set(str_cat("images_", what), a.bytes ? cast(images, DType::u8) : images);
    if (a.bytes) {
      const zoo::PretrainedCfg& row = model.pretrained_cfg();
      Tensor mean = empty({3, 1, 1}), std = empty({3, 1, 1});
      std::copy(row.mean.begin(), row.mean.end(), reinterpret_cast<float*>(mean.bytes()));
      std::copy(row.std.begin(), row.std.end(), reinterpret_cast<float*>(std.bytes()));
      images = (images / 255 - mean) / std;
    }
    const Tensors answers = fovea::compile(trace_of(a, model, i)).run({images});
    for (size_t k = 0; k < answers.size(); ++k) all.set(str_cat(outputs[k], "_of_", what), contiguous(answers[k]));
  }
  write_npz(a.check, all);
}

void run(const Arguments& a) {
  const std::unique_ptr<zoo::ImageModel> model = model_of(a);
  const Images usual = usual_images(a, *model), more{usual.batch + 1, usual.height, usual.width};
  const Graph graph = trace_of(a, *model, usual);
  const zoo::PretrainedCfg& row = model->pretrained_cfg();
  onnx::ExportOptions o{.opset = a.opset, .version = FOVEA_VERSION};
  o.outputs = output_names(a, graph.outputs.size());
  if (a.bytes) o.byte_images = {row.mean, row.std};
  o.metadata = {{"model", model->full_name()},
                {"interpolation", std::string(row.interpolation)},
                {"crop_pct", str_cat(row.crop_pct)},
                {"crop_mode", std::string(row.crop_mode)},
                {"mean", str_cat(row.mean[0], ",", row.mean[1], ",", row.mean[2])},
                {"std", str_cat(row.std[0], ",", row.std[1], ",", row.std[2])}};
  std::optional<Graph> batch, size;
  if (a.any("batch")) batch = trace_of(a, *model, more);
  if (a.any("size")) size = trace_of(a, *model, other_sizes(usual));
  onnx::write(a.out, graph, {.batch = batch ? &*batch : nullptr, .size = size ? &*size : nullptr}, o);
  std::fprintf(stderr, "%s: opset %d, %zu steps\n", printable(a.out).c_str(), a.opset, graph.steps.size());
  if (!a.check.empty()) write_answers(a, *model, o.outputs);
}

}  // namespace

void add_export(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("export", "write a model as an ONNX file");
  add_model_name(command, a->model.name);
  command.add_option("-o,--output", a->out, "FILE.onnx; large weights go to FILE.onnx.data").required();
  add_weights_arguments(command, a->model);
  add_create_arguments(command, a->model.options);
  command.add_flag("--first-values", a->first_values, "without weights: what training starts from")
      .excludes("--weights");
  command.add_option("--opset", a->opset, "of ONNX").check(in_range(18, 21));
  Option batch = command.add_option("--batch", a->batch, "images at a time").check(in_range(1, 1 << 20));
  command
      .add_option_function<std::string>(
          "--dynamic", [all = &a->dynamic](const std::string& v) { *all = zoo::split_list(v); },
          "batch: any number of images at a time; batch,size: of any size, too")
      .check(one_of({"batch", "size", "batch,size"}))
      .excludes(batch);
  command.add_flag("--features", a->features, "the feature maps instead of the logits");
  command.add_flag("--u8", a->bytes, "images are bytes; the file takes the mean and the deviation itself");
  command.add_option("--check", a->check,
                     "FILE.npz: images and fovea's answers, which tools/onnx_check.py compares with ONNX Runtime's");
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
