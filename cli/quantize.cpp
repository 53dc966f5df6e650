// SPDX-License-Identifier: Apache-2.0
// cli/quantize.cpp — `fovea quantize MODEL`: finds the ranges for 8-bit integers on crops of photos, and says on other
// crops how far the answers then are from those in f32.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "api/calibration.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/images.h"
#include "cli/options.h"
#include "cli/signals.h"
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
  ImageArguments images;                           // one source: a folder
  std::string output;
  int crops = 256, compare = 1000;
  double f32_share = 0.2;
  int64_t seed = 1;
  bool per_layer = false;
};

// How many of the crops show what each layer costs.
constexpr int kSensitivityCrops = 16;

// Photos by number, one decoded at a time.
class Photos {
 public:
  explicit Photos(ImageList& list) : list_(list), broken_(list.paths().size()) {}
  size_t count() const { return broken_.size(); }
  size_t readable() const { return count() - static_cast<size_t>(std::count(broken_.begin(), broken_.end(), true)); }

  /// In the place of one that cannot be read stands the next that can. Good until the next call.
  const data::Image& operator[](size_t i) {
    for (size_t tried = 0; tried < count(); ++tried, i = (i + 1) % count())
      if (read(i)) return image_;
    throw Error(Error::Kind::io, str_cat("none of ", count(), " images could be read"));
  }

 private:
  bool read(size_t i) {
    if (held_ == i) return true;
    if (broken_[i]) return false;
    try {
      held_ = count();                             // none
      image_ = {};
      image_ = list_.read(i);
      held_ = i;
    } catch (const Error& e) {
      broken_[i] = true;
      list_.pass_over(e);
    }
    return held_ == i;
  }

  ImageList& list_;
  std::vector<bool> broken_;
  data::Image image_;
  size_t held_ = static_cast<size_t>(-1);          // its number
};

// A sequence of crops. Crop i is a random part of photo i modulo their number, a quarter to all of its area, resized.
class Crops {
 public:
  Crops(ImageList& list, const data::EvalConfig& config, int64_t seed) : photos_(list), config_(config), seed_(seed) {}
  size_t images() const { return photos_.readable(); }                 // as far as is known

  /// f(i, crop) for `n` crops from `first` on, photo by photo, so that each is decoded once.
  template <class F>
  void each(int first, int n, F f) {
    const int64_t photos = static_cast<int64_t>(photos_.count()), end = int64_t{first} + n;
    for (int64_t start = first; start < std::min(end, first + photos); ++start)
      for (int64_t i = start; i < end; i += photos) f(static_cast<int>(i), crop(static_cast<size_t>(i)));
  }

 private:
  Tensor crop(size_t i) {
    const data::Image& image = photos_[i % photos_.count()];
    const std::array<float, 4> part = uniform4(static_cast<uint64_t>(seed_), i);
    const auto width = static_cast<float>(image.width), height = static_cast<float>(image.height);
    const float area = width * height * (0.25f + 0.75f * part[0]);
    const float ratio = std::exp(std::log(4.f / 3) * (2 * part[1] - 1));
    const float w = std::min(width, std::sqrt(area * ratio)), h = std::min(height, std::sqrt(area / ratio));
    const float left = (width - w) * part[2], top = (height - h) * part[3];
    const data::Image crop = data::resize(image, config_.input_size[2], config_.input_size[1], config_.interpolation,
                                          {left, top, left + w, top + h});
    return data::to_tensor(crop, config_.mean, config_.std);
  }

  Photos photos_;
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
Calibration spared(zoo::ImageModel& model, const Calibration& c, Tensors some, ImageList& list, const Arguments& a) {
  const SensitivityMeter meter(zoo::trace(model), {}, std::move(some));
  std::vector<Sensitivity> each;
  list.expect(static_cast<int64_t>(c.values.size()), "values measured");
  for (const auto& [name, observed] : c.values) {
    each.push_back(meter.measure(name, observed));
    list.done();
  }
  list.clear();
  Calibration left = spare_most_sensitive(c, each, a.f32_share);
  if (a.per_layer) print_layers(each, left);
  return left;
}

// What 8-bit integers change on other crops than those that the ranges come from.
void compare(zoo::ImageModel& model, std::shared_ptr<const Calibration> calibration, Crops& crops, ImageList& list,
             const Arguments& a) {
  Session f32 = zoo::compile(model);
  zoo::CompileOptions o;
  o.target.calibration = std::move(calibration);
  Session int8 = zoo::compile(model, o);
  tell_of_integers(int8);
  Report report;
  list.expect(a.compare, "crops compared");
  crops.each(a.crops, a.compare, [&](int, const Tensor& x) {
    const Tensor exact = f32.run(x);
    if (!all_finite(exact)) throw zoo::why_not_finite(model, x);
    report.add(exact, int8.run(x));
    list.done();
  });
  list.clear();
  std::printf("%d other crops:\n", a.compare);
  report.print();
}

void run(const Arguments& a) {
  ImageList list("quantize", a.images);
  const std::unique_ptr<zoo::ImageModel> model = load_model(a.model);
  if (model->num_classes() <= 0)
    throw Error(Error::Kind::argument,
                str_cat(model->full_name(), " has no classifier whose answers could be compared"));
  zoo::want_finite_weights(*model);                // ranges and integers cannot say it later
  Crops crops(list, eval_config(*model), a.seed);
  auto calibration = std::make_shared<Calibration>();
  Tensors some(static_cast<size_t>(std::min(a.crops, kSensitivityCrops)));
  {
    Calibrator seen(zoo::trace(*model));
    list.expect(a.crops, "crops");
    crops.each(0, a.crops, [&](int i, const Tensor& x) {
      seen.observe(x);
      if (i < kSensitivityCrops) some[static_cast<size_t>(i)] = x;
      list.done();
    });
    *calibration = seen.result();
  }
  const size_t all = calibration->values.size();
  if (a.f32_share > 0) *calibration = spared(*model, *calibration, std::move(some), list, a);
  write_calibration(a.output, *calibration, model->full_name());
  list.clear();
  std::printf("%s: %d crops of %zu images give ranges for %zu values: %s\n", model->full_name().c_str(), a.crops,
              crops.images(), calibration->values.size(), a.output.c_str());
  if (const size_t spares = all - calibration->values.size())
    std::printf("%zu more, which cost most accuracy for their work, stay in f32\n", spares);
  flush_output();
  if (a.compare > 0) compare(*model, calibration, crops, list, a);
  flush_output();
  list.finish();
}

}  // namespace

void add_quantize(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("quantize", "find ranges for 8-bit integers, and say what they cost");
  command.add_option("model", a->model.name, "a name of `fovea models`, with or without .tag").required();
  add_weights_arguments(command, a->model);
  add_create_arguments(command, a->model.options);
  command.add_option("--threads", a->model.threads, "how many threads may compute").check(in_range(1, 4096));
  command
      .add_option_function<std::string>(
          "--images", [a](const std::string& folder) { a->images.sources = {folder}; },
          "a folder of photos; random crops of them are looked at")
      .required();
  add_reading_arguments(command, a->images);
  command.add_option("--crops", a->crops, "how many crops the ranges come from").check(in_range(1, 1 << 20));
  command
      .add_option("--f32-share", a->f32_share,
                  "how much of the work may stay in f32, where integers cost most accuracy")
      .check(in_range(0.0, 1.0));
  command.add_flag("--per-layer", a->per_layer, "list what share of the error and of the work each layer has");
  command.add_option("--compare", a->compare, "how many other crops to compare with f32; 0: none")
      .check(in_range(0, 1 << 20));
  command.add_option("--seed", a->seed, "of the crops");
  command.add_option("-o,--output", a->output, "the calibration, for --calibration of classify and bench").required();
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
