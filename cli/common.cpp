// SPDX-License-Identifier: Apache-2.0
#include "cli/common.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "cli/calibration.h"
#include "cli/images.h"
#include "engine/autograd/autograd.h"
#include "engine/core/finite.h"
#include "engine/core/threads.h"
#include "engine/ops/ops.h"
#include "zoo/finite.h"

namespace fovea::cli {

void add_weights_arguments(CLI::App& command, ModelArguments& a) {
  CLI::Option* file = command.add_option("--weights", a.weights, "safetensors, torch checkpoint (.pth, .bin) or .npz");
  command.add_flag("--pretrained", a.pretrained, "the published ones, from the caches of huggingface_hub or torch.hub")
      ->excludes(file);
}

void add_model_arguments(CLI::App& command, ModelArguments& a) {
  command.add_option("model", a.name, "a name of `fovea models`, with or without .tag")->required();
  add_weights_arguments(command, a);
  command
      .add_option("--threads", a.threads, "how many threads may compute (default: FOVEA_THREADS, else all processors)")
      ->check(CLI::Range(1, 4096));
  command.add_option("--dtype", a.dtype, "compute in f32 or bf16")->check(CLI::IsMember({"f32", "bf16"}));
  command.add_flag("--eager", a.eager, "run op by op instead of compiling first");
  command.add_flag("--no-cache", a.no_cache, "neither look for the compiled model in the plan cache nor keep it there");
  add_allow_nan(command, a);
}

void add_allow_nan(CLI::App& command, ModelArguments& a) {
  command.add_flag("--allow-nan", a.allow_nan, "go on where weights or results are not finite");
}

void refuse_not_finite(const Error& why, bool allow_nan) {
  if (!allow_nan) throw Error(why.kind(), why.what(), "--allow-nan goes on nevertheless");
  std::fprintf(stderr, "not finite: %s\n", why.summary().c_str());
}

void add_decode_arguments(CLI::App& command, data::DecodeOptions& o) {
  command.add_flag("--allow-truncated", o.allow_truncated, "read what a cut-off JPEG or PNG still holds");
  command.add_option("--max-pixels", o.max_pixels, "refuse larger images")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
}

void tell(const std::string& note) { std::fprintf(stderr, "note: %s\n", note.c_str()); }

void tell_adapted(const LoadReport& report, const std::string& weights) {
  for (const std::string& line : report.adapted) tell(cat(weights, ": ", line));
}

namespace {

struct NewModel {
  std::unique_ptr<zoo::ImageModel> model;
  std::string weights;
};

NewModel create_model(const ModelArguments& a) {
  if (a.threads > 0) set_threads(a.threads);
  NewModel made{.model = zoo::create(a.name), .weights = a.weights};
  if (a.pretrained) made.weights = zoo::pretrained_file(*made.model);
  if (made.weights.empty())
    throw Error(Error::Kind::argument, cat("no weights for ", made.model->full_name()),
                "give a file: --weights FILE (safetensors, torch checkpoint or npz), or --pretrained");
  made.model->eval();
  return made;
}

}  // namespace

std::unique_ptr<zoo::ImageModel> load_model(const ModelArguments& a) {
  NewModel made = create_model(a);
  tell_adapted(zoo::load_weights(*made.model, made.weights), made.weights);
  return std::move(made.model);
}

ReadyModel::ReadyModel(const ModelArguments& a, const Computation& what)
    : what_(what), dtype_(parse_dtype(a.dtype)), eager_(a.eager), allow_nan_(a.allow_nan) {
  NewModel made = create_model(a);
  model_ = std::move(made.model);
  weights_ = std::move(made.weights);
  if (!eager_) {
    compile(a);
    return;
  }
  load();
  if (dtype_ != DType::f32) model_->to(dtype_);
}

// Other classes show in what a session gives; the rest of what is told is not said again by one from the cache.
void ReadyModel::load() {
  const int before = model_->num_classes();
  const LoadReport report = zoo::load_weights(*model_, weights_, {.headless = !what_.needs_classifier()});
  tell_adapted(report, weights_);
  may_keep_ = report.adapted.size() == (model_->num_classes() == before ? 0 : 1);
}

void ReadyModel::compile(const ModelArguments& a) {
  Target target;
  if (dtype_ != DType::f32) target.dtype = dtype_;
  if (!a.calibration.empty()) target.calibration = read_calibration(a.calibration, model_->full_name());
  const NoGrad no_grad;
  // without a classifier of its own the model says nothing of how many classes the file has
  std::optional<Graph> graph;                      // traced without the weights
  if (!a.no_cache && (model_->num_classes() > 0 || !what_.needs_classifier())) {
    graph = what_.trace(*model_);
    cache_.emplace(*model_, zoo::ModelOptions{}, *graph, weights_, target);
    if (std::optional<Session> found = cache_->load()) {
      session_ = std::move(*found);
      from_cache_ = true;
      return;
    }
  }
  load();
  if (target.calibration) zoo::want_finite_weights(*model_);           // integers cannot say it later
  if (!graph || !zoo::fill_traced(*graph, *model_)) graph = what_.trace(*model_);
  zoo::give_up_tensors(*model_);
  session_ = fovea::compile(std::move(*graph), target);
}

Tensors ReadyModel::operator()(const Tensor& images) {
  Tensors out = compute(images);
  if (!told_ && !std::all_of(out.begin(), out.end(), all_finite)) {
    refuse_not_finite(why_not_finite(images), allow_nan_);
    told_ = true;
  }
  return out;
}

Error ReadyModel::why_not_finite(const Tensor& images) {
  if (!model_->has_bytes()) zoo::load_weights(*model_, weights_, {.headless = !what_.needs_classifier()});
  return zoo::why_not_finite(*model_, cast(images, eager_ ? dtype_ : DType::f32));
}

Tensors ReadyModel::compute(const Tensor& images) {
  if (!eager_) return images.dim(0) == 1 ? session_.run({images}) : run_batch(images);
  const NoGrad no_grad;
  Tensors out = what_.run(*model_, cast(contiguous(images, Memory::channels_last), dtype_));
  for (Tensor& t : out) t = contiguous(cast(t, DType::f32));
  return out;
}

Tensors ReadyModel::run_batch(const Tensor& images) {
  const int64_t n = images.dim(0);
  if (n >= threads()) {
    if (!forked_) side_by_side_ = BatchSession(session_.fork());
    forked_ = true;
    const std::span<const Tensor> out = side_by_side_.run_borrowed(images);
    return {out.begin(), out.end()};
  }
  std::vector<Tensors> each;  // by result
  for (int64_t i = 0; i < n; ++i) {
    const Tensors out = session_.run({slice(images, 0, i, i + 1)});
    each.resize(out.size());
    for (size_t k = 0; k < out.size(); ++k) each[k].push_back(out[k]);
  }
  Tensors out;
  for (const Tensors& rows : each) out.push_back(cat(rows, 0));
  return out;
}

void ReadyModel::keep() {
  if (cache_ && !from_cache_ && may_keep_) cache_->store(session_);
}

Tensors run_samples(ReadyModel& model, const std::vector<Sample>& samples) {
  Tensors inputs;
  for (const Sample& s : samples)
    if (!s.error) inputs.push_back(s.input);
  if (inputs.empty()) return {};
  return model(inputs.size() == 1 ? inputs[0] : cat(inputs, 0));
}

std::string duration(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, seconds < 1 ? "%.2f ms" : "%.2f s", seconds < 1 ? seconds * 1e3 : seconds);
  return text;
}

}  // namespace fovea::cli
