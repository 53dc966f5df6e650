// SPDX-License-Identifier: Apache-2.0
// cli/quantize.cpp — `fovea quantize MODEL`: finds the ranges for 8-bit integers on crops of photos, and says on other
// crops how far the answers then are from those in f32.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "bench/progress.h"
#include "cli/calibration.h"
#include "cli/command.h"
#include "cli/common.h"
#include "data/decode.h"
#include "engine/core/error.h"
#include "engine/core/finite.h"
#include "engine/core/philox.h"
#include "engine/graph/sensitivity.h"
#include "engine/ops/ops.h"
#include "zoo/finite.h"

namespace fovea::cli {
namespace {

struct Arguments {
  ModelArguments model;
  data::DecodeOptions decode;
  std::string images, output;
  int crops = 256, compare = 1000;
  double f32_share = 0.2;
  int64_t seed = 1;
  bool per_layer = false;
};

// How many of the crops show what each layer costs.
constexpr int kSensitivityCrops = 16;

std::vector<data::Image> read_folder(const std::string& folder, const data::DecodeOptions& decode) {
  std::vector<std::string> paths;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failed))
    if (entry.is_regular_file()) paths.push_back(entry.path().string());
  if (failed) throw Error(Error::Kind::io, cat("cannot read the folder ", folder));
  std::sort(paths.begin(), paths.end());
  std::vector<data::Image> images;
  for (const std::string& path : paths) images.push_back(data::read_image(path, decode));
  if (images.empty()) throw Error(Error::Kind::argument, cat("no images in ", folder));
  return images;
}

// Crop i of a sequence: a random part of image i modulo their number, a quarter to all of its area, resized.
class Crops {
 public:
  Crops(std::vector<data::Image> images, const data::EvalConfig& config, int64_t seed)
      : images_(std::move(images)), config_(config), seed_(seed) {}
  size_t images() const { return images_.size(); }

  Tensor operator()(int i) const {
    const data::Image& image = images_[static_cast<size_t>(i) % images_.size()];
    const std::array<float, 4> part = uniform4(static_cast<uint64_t>(seed_), static_cast<uint64_t>(i));
    const auto width = static_cast<float>(image.width), height = static_cast<float>(image.height);
    const float area = width * height * (0.25f + 0.75f * part[0]);
    const float ratio = std::exp(std::log(4.f / 3) * (2 * part[1] - 1));
    const float w = std::min(width, std::sqrt(area * ratio)), h = std::min(height, std::sqrt(area / ratio));
    const float left = (width - w) * part[2], top = (height - h) * part[3];
    const data::Image crop = data::resize(image, config_.input_size[2], config_.input_size[1], config_.interpolation,
                                          {left, top, left + w, top + h});
    return data::to_tensor(crop, config_.mean, config_.std);
  }

 private:
  std::vector<data::Image> images_;
  data::EvalConfig config_;
  int64_t seed_;
};

struct Report {
  int same = 0, all = 0, same_clear = 0, clear = 0;          // clear: f32's best two are more than kMargin apart
  double error = 0, largest_error = 0, largest_logit = 0;    // error: sum over logits
  int64_t logits = 0;
  static constexpr double kMargin = 0.05;

  void add(const Tensor& f32, const Tensor& int8) {
    const auto [probs, best] = topk(softmax(f32, 1), 2, 1);
    const bool agrees = argmax(int8, 1).data<int64_t>()[0] == best.data<int64_t>()[0];
    const bool is_clear =
        static_cast<double>(probs.data<float>()[0] - probs.data<float>()[1]) > kMargin;
    ++all, same += agrees;
    clear += is_clear, same_clear += is_clear && agrees;
    const std::span<const float> a = f32.data<float>(), b = int8.data<float>();
    for (size_t i = 0; i < a.size(); ++i) {
      const double off = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
      error += off;
      largest_error = std::max(largest_error, off);
      largest_logit = std::max(largest_logit, std::fabs(static_cast<double>(a[i])));
    }
    logits += static_cast<int64_t>(a.size());
  }

  void print() const {
    const auto share = [](int part, int whole) { return whole ? 100.0 * part / whole : 0.0; };
    std::printf("top-1 as in f32: %.1f %% (%d of %d)\n", share(same, all), same, all);
    std::printf("  where the best two are more than %g apart: %.1f %% (%d of %d)\n", kMargin, share(same_clear, clear),
                same_clear, clear);
    std::printf("logits: mean error %.4g, largest %.4g; largest logit %.4g\n", error / static_cast<double>(logits),
                largest_error, largest_logit);
  }
};

void print_layers(std::vector<Sensitivity> each, const Calibration& left) {
  double error = 0, work = 0;
  for (const Sensitivity& s : each) error += s.error, work += s.work;
  std::stable_sort(each.begin(), each.end(), [](const auto& a, const auto& b) { return a.error > b.error; });
  std::printf("%8s %8s  what reads\n", "error", "work");
  for (const Sensitivity& s : each)
    if (s.work > 0)
      std::printf("%6.2f %% %6.2f %%  %s%s\n", error > 0 ? 100 * s.error / error : 0, 100 * s.work / work,
                  s.value.c_str(), left.values.contains(s.value) ? "" : "  (stays in f32)");
}

// Leaves in f32 what costs most accuracy for its work.
Calibration spared(zoo::ImageModel& model, const Calibration& c, const Crops& crops, const Arguments& a) {
  std::vector<Tensor> some;
  for (int i = 0; i < std::min(a.crops, kSensitivityCrops); ++i) some.push_back(crops(i));
  const SensitivityMeter meter(zoo::trace(model), {}, std::move(some));
  std::vector<Sensitivity> each;
  bench::Progress progress;
  for (const auto& [name, observed] : c.values) {
    progress.show(cat("what each layer costs: ", each.size(), " of ", c.values.size()));
    each.push_back(meter.measure(name, observed));
  }
  progress.clear();
  Calibration left = spare_most_sensitive(c, each, a.f32_share);
  if (a.per_layer) print_layers(each, left);
  return left;
}

void run(const Arguments& a) {
  const std::unique_ptr<zoo::ImageModel> model = load_model(a.model);
  if (model->num_classes() <= 0)
    throw Error(Error::Kind::argument, cat(model->full_name(), " has no classifier whose answers could be compared"));
  zoo::want_finite_weights(*model);                // ranges and integers cannot say it later
  const Crops crops(read_folder(a.images, a.decode), eval_config(*model), a.seed);
  auto calibration = std::make_shared<Calibration>();
  {
    Calibrator seen(zoo::trace(*model));
    for (int i = 0; i < a.crops; ++i) seen.observe(crops(i));
    *calibration = seen.result();
  }
  const size_t all = calibration->values.size();
  if (a.f32_share > 0) *calibration = spared(*model, *calibration, crops, a);
  write_calibration(a.output, *calibration, model->full_name());
  std::printf("%s: %d crops of %zu images give ranges for %zu values: %s\n", model->full_name().c_str(), a.crops,
              crops.images(), calibration->values.size(), a.output.c_str());
  if (const size_t spares = all - calibration->values.size())
    std::printf("%zu more, which cost most accuracy for their work, stay in f32\n", spares);
  if (a.compare == 0) return;
  Session f32 = zoo::compile(*model);
  zoo::CompileOptions o;
  o.target.calibration = calibration;
  Session int8 = zoo::compile(*model, o);
  Report report;
  for (int i = 0; i < a.compare; ++i) {
    const Tensor x = crops(a.crops + i);
    const Tensor exact = f32.run(x);
    if (!all_finite(exact)) throw zoo::why_not_finite(*model, x);
    report.add(exact, int8.run(x));
  }
  std::printf("%d other crops:\n", a.compare);
  report.print();
}

}  // namespace

void add_quantize(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("quantize", "find ranges for 8-bit integers, and say what they cost");
  command->add_option("model", a->model.name, "a name of `fovea models`, with or without .tag")->required();
  add_weights_arguments(*command, a->model);
  command->add_option("--threads", a->model.threads, "how many threads may compute")->check(CLI::Range(1, 4096));
  command->add_option("--images", a->images, "a folder of photos; random crops of them are looked at")->required();
  add_decode_arguments(*command, a->decode);
  command->add_option("--crops", a->crops, "how many crops the ranges come from")->check(CLI::Range(1, 1 << 20));
  command->add_option("--f32-share", a->f32_share,
                      "how much of the work may stay in f32, where integers cost most accuracy")
      ->check(CLI::Range(0.0, 1.0));
  command->add_flag("--per-layer", a->per_layer, "list what share of the error and of the work each layer has");
  command->add_option("--compare", a->compare, "how many other crops to compare with f32; 0: none")
      ->check(CLI::Range(0, 1 << 20));
  command->add_option("--seed", a->seed, "of the crops");
  command->add_option("-o,--output", a->output, "the calibration, for --calibration of classify and bench")->required();
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
