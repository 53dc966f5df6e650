// SPDX-License-Identifier: Apache-2.0
// cli/bench.cpp — `fovea bench MODEL`: how long a batch takes. With --worker it waits for "run N" lines and answers
// with times, so that several runtimes can take turns on one machine.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/common.h"
#include "engine/core/error.h"
#include "engine/core/threads.h"
#include "engine/ops/ops.h"
#include "train/step.h"
#include "weights_tools/mapped_file.h"

namespace fovea::cli {
namespace {

struct Arguments {
  ModelArguments model;
  int batch = 1, repeat = 50;
  std::string input;
  bool worker = false, train = false;
};

// The given raw f32 file, or noise.
Tensor make_input(const Arguments& a, const Shape& s) {
  if (a.input.empty()) return randn(s, 1);
  const std::shared_ptr<const MappedFile> file = MappedFile::open(a.input);
  const std::span<const std::byte> bytes = file->bytes();
  if (static_cast<int64_t>(bytes.size()) != numel(s) * 4)
    throw Error(Error::Kind::argument,
                cat(a.input, " holds ", bytes.size(), " bytes; an input of f32", s, " has ", numel(s) * 4));
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return from<float>(values, s);
}

// One batch, over and over.
class Work {
 public:
  explicit Work(const Arguments& a) {
    if (a.model.threads > 0) set_threads(a.model.threads);
    model_ = zoo::create(a.model.name);
    if (a.model.weights.empty()) model_->materialise();
    else zoo::load_weights(*model_, a.model.weights);
    const auto [channels, height, width] = model_->input_size();
    input_ = make_input(a, {a.batch, channels, height, width});
    if (!a.train) {
      model_->eval();
      zoo::CompileOptions o;
      o.batch = a.batch;
      if (a.model.dtype != "f32") o.target.dtype = parse_dtype(a.model.dtype);
      if (a.model.eager) eager_ = std::make_unique<Classifier>(*model_, a.model, a.batch);
      else session_ = zoo::compile(*model_, o);
      return;
    }
    if (a.model.dtype != "f32")
      throw Error(Error::Kind::unsupported, cat("training in ", a.model.dtype), "leave out --dtype");
    model_->train().set_requires_grad();
    const Tensor classes = affine(arange(0, a.batch), 7, 0);
    targets_ = binary(classes, full({}, model_->num_classes(), DType::i64), Binary::remainder);
    sgd_ = std::make_unique<train::SGD>(model_->parameters(),
                                        train::SGDOptions{.lr = 0.01, .momentum = 0.9, .weight_decay = 1e-4});
    if (!a.model.eager) step_ = std::make_unique<train::CompiledStep>(*model_, *sgd_, input_.meta(), targets_.meta());
  }

  Tensor operator()() {
    if (step_) return scalar((*step_)(input_, targets_));
    if (sgd_) return scalar(train::eager_step(*model_, *sgd_, input_, targets_));
    return eager_ ? (*eager_)(input_) : session_.run_borrowed(input_)[0];
  }
  const zoo::ImageModel& model() const { return *model_; }

 private:
  std::unique_ptr<zoo::ImageModel> model_;
  Tensor input_, targets_;
  std::unique_ptr<Classifier> eager_;
  Session session_;
  std::unique_ptr<train::SGD> sgd_;
  std::unique_ptr<train::CompiledStep> step_;
};

std::vector<double> time_ms(Work& work, int runs) {
  std::vector<double> ms;
  for (int i = 0; i < runs; ++i) {
    const double start = now();
    work();
    ms.push_back((now() - start) * 1e3);
  }
  return ms;
}

void serve(const Arguments& a) {
  double mark = now();
  Work work(a);
  const double load = now() - mark;
  mark = now();
  const Tensor first = reshape(work(), {-1});
  const double first_ms = (now() - mark) * 1e3;
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const float v : first.data<float>().subspan(0, static_cast<size_t>(std::min<int64_t>(8, first.numel()))))
    out.push_back(v);
  time_ms(work, 3);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const nlohmann::ordered_json ready{
      {"ready", true}, {"load_s", load}, {"first_ms", first_ms}, {"rss_mb", usage.ru_maxrss / 1024}, {"out", out}};
  std::cout << ready.dump() << std::endl;
  for (std::string word; std::cin >> word;) {
    int runs = 0;
    if (word != "run" || !(std::cin >> runs) || runs < 1)
      throw Error(Error::Kind::argument, "a worker reads lines of the form: run N");
    std::cout << nlohmann::json(time_ms(work, runs)).dump() << std::endl;
  }
}

void run(const Arguments& a) {
  if (a.worker) return serve(a);
  Work work(a);
  time_ms(work, 5);
  std::vector<double> ms = time_ms(work, a.repeat);
  std::sort(ms.begin(), ms.end());
  const double median = ms[ms.size() / 2];
  std::printf(
      "%s  batch %d  %s  %d threads  %s: median %.3f ms, fastest %.3f, slowest %.3f over %d runs; %.1f images/s\n",
      work.model().full_name().c_str(), a.batch, a.model.dtype.c_str(), threads(),
      a.train ? "training step" : "inference", median, ms.front(), ms.back(), a.repeat, a.batch * 1e3 / median);
}

}  // namespace

void add_bench(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("bench", "how long a batch takes");
  add_model_arguments(*command, a->model);
  command->add_option("--batch", a->batch, "images at a time")->check(CLI::Range(1, 1 << 20));
  command->add_option("--repeat", a->repeat, "timed runs")->check(CLI::Range(1, 1 << 20));
  command->add_option("--input", a->input, "raw f32 values, batch x channels x height x width (default: noise)");
  command->add_flag("--train", a->train, "a training step (SGD; targets are 7 i modulo the classes)");
  command->add_flag("--worker", a->worker, "answer \"run N\" lines on stdin with a JSON list of milliseconds");
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
