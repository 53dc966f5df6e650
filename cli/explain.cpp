// SPDX-License-Identifier: Apache-2.0
// cli/explain.cpp — `fovea explain MODEL IMAGE -o FILE.png`: which parts of an image an answer rests on, as a picture;
// and what the values inside the network look like.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>

#include "api/classifier.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/heat.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "data/encode_png.h"
#include "data/resize.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "weights_tools/atomic_file.h"
#include "zoo/activation_stats.h"
#include "zoo/attention_maps.h"
#include "zoo/class_activation.h"

namespace fovea::cli {
namespace {

struct Arguments {
  ModelArguments model;
  data::DecodeOptions decode;
  std::string image, out, method = "auto", labels, label_type = "description";
  int64_t label = -1;
  bool stats = false;
};

// A picture whose shorter side is large enough to look at.
data::Image enlarged(const data::Image& image) {
  constexpr int kLeast = 320;
  const int shorter = std::min(image.width, image.height);
  if (shorter >= kLeast) return image;
  const double by = static_cast<double>(kLeast) / shorter;
  return data::resize(image, static_cast<int>(image.width * by), static_cast<int>(image.height * by));
}

// "37 % from the left, 52 % from the top"
std::string peak_of(const Tensor& map) {
  const auto at = static_cast<int64_t>(argmax(reshape(map, {-1}), 0).item());
  const auto part = [](int64_t i, int64_t n) { return (200 * i + 100) / (2 * n); };
  return str_cat(part(at % map.dim(1), map.dim(1)), " % from the left, ", part(at / map.dim(1), map.dim(0)),
                 " % from the top");
}

void write(const std::string& path, const data::Image& image) {
  AtomicFile file(path);
  file.write(data::encode_png(image));
  file.commit();
}

// The picture itself, then where it looks, then the heads of the last block.
void draw_attention(const Arguments& a, const zoo::AttentionMaps& maps, const data::Image& picture) {
  std::vector<data::Image> all{picture, overlay(picture, maps.rollout)};
  const auto heads = static_cast<int>(maps.heads.dim(0));
  for (int i = 0; i < heads; ++i) all.push_back(overlay(picture, contiguous(select(maps.heads, 0, i))));
  const int columns = heads <= 2 ? 2 : heads <= 8 ? 4 : 6;
  write(a.out, beside(all, columns));
  std::printf("%s: the image, attention rollout over %d blocks (most at %s), and the %d heads of the last block, "
              "%d a row\n", a.out.c_str(), maps.blocks, peak_of(maps.rollout).c_str(), heads, columns);
}

void draw_activation(const Arguments& a, const zoo::ClassActivation& c, const Classifier& names,
                     const data::Image& picture) {
  write(a.out, beside({picture, overlay(picture, c.map)}, 2));
  const double prob = select(softmax(c.logits, 1), 1, c.label).item();
  std::printf("%s: the image, and Grad-CAM of class %lld, %s (probability %.4f): most at %s\n", a.out.c_str(),
              static_cast<long long>(c.label), names.name_of(c.label).c_str(), prob, peak_of(c.map).c_str());
  if (amax(c.map).item() == 0) tell("nothing in the last map speaks for this class: the picture is cold everywhere");
}

// What is wrong with a module's values; "" where nothing is.
std::string complaint(const zoo::ActivationStats& s) {
  if (s.not_finite > 0) return str_cat(s.not_finite, " not finite");
  if (s.zeros > 0.999) return "all zero";
  if (s.deviation <= 1e-6 * std::max(s.largest, 1e-30) && numel(s.shape) > 1) return "all alike";
  return s.largest > 1e4 ? "very large" : "";
}

void print_stats(zoo::ImageModel& model, const Tensor& image) {
  const std::vector<zoo::ActivationStats> all = zoo::activation_stats(model, image);
  size_t longest = 6, bad = 0;
  for (const zoo::ActivationStats& s : all) longest = std::max(longest, s.module.size());
  std::printf("%-*s  %-14s  %-20s  %11s  %11s  %11s  %7s\n", static_cast<int>(longest), "module", "op", "shape", "mean",
              "deviation", "largest", "zeros");
  for (const zoo::ActivationStats& s : all) {
    const std::string wrong = complaint(s);
    bad += !wrong.empty();
    std::printf("%-*s  %-14s  %-20s  %11.4g  %11.4g  %11.4g  %6.2f%%%s%s\n", static_cast<int>(longest),
                s.module.empty() ? "(model)" : s.module.c_str(), s.op.c_str(), to_string(s.shape).c_str(), s.mean,
                s.deviation, s.largest, 100 * s.zeros, wrong.empty() ? "" : "  ! ", wrong.c_str());
  }
  std::printf("%zu modules, %zu of them with something to look at\n", all.size(), bad);
}

void explain(const Arguments& a, zoo::ImageModel& model, const data::Image& crop, const Tensor& input) {
  const data::Image picture = enlarged(crop);
  if (a.method != "cam") {
    try {
      const zoo::AttentionMaps maps = zoo::attention_maps(model, input);
      if (a.label >= 0) tell("attention maps are of no class: --class counts for --method cam");
      draw_attention(a, maps, picture);
      return;
    } catch (const Error& e) {
      if (a.method == "attention" || e.kind() != Error::Kind::unsupported) throw;
    }
  }
  Classifier names(model, {.given = a.labels, .weights = a.model.weights,
                           .tag_given = a.model.weights.empty(), .type = a.label_type});
  const zoo::ClassActivation c = zoo::class_activation(model, input, a.label);
  const std::string& assumed = names.name_classes(c.logits.dim(1));
  if (!assumed.empty()) tell(assumed);
  draw_activation(a, c, names, picture);
}

void run(const Arguments& a) {
  if (a.out.empty() && !a.stats)
    throw Error(Error::Kind::argument, "nothing to do", "-o FILE.png draws a picture, --stats looks at the values");
  const std::unique_ptr<zoo::ImageModel> model = load_model(a.model);
  const data::EvalConfig config = eval_config(*model);
  const data::Image crop = data::eval_crop(data::read_image(a.image, a.decode), config);
  const Tensor input = data::to_tensor(crop, config.mean, config.std);
  if (!a.out.empty()) explain(a, *model, crop, input);
  if (a.stats) print_stats(*model, input);
  flush_output();
}

}  // namespace

void add_explain(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("explain", "show which parts of an image a model's answer rests on");
  add_model_name(command, a->model.name);
  command.add_option("image", a->image, "an image").required();
  add_weights_arguments(command, a->model);
  add_create_arguments(command, a->model.options);
  add_decode_arguments(command, a->decode);
  command.add_option("--threads", a->model.threads, "how many threads may compute").check(in_range(1, 4096));
  command.add_option("-o,--output", a->out, "FILE.png: the image as the model sees it, and heat over it");
  command
      .add_option("--method", a->method,
                  "attention: of transformers, rolled out, and of the last block's heads; cam: Grad-CAM of the "
                  "last map; auto: the first that the model has")
      .check(one_of({"auto", "attention", "cam"}));
  command.add_option("--class", a->label, "of Grad-CAM: the number of a class (default: the most probable one)")
      .check(not_negative());
  command.add_option("--labels", a->labels, "a file of labels, one a line, or none");
  command.add_option("--label-type", a->label_type, "name, description or detail")
      .check(one_of({"name", "description", "detail"}));
  command.add_flag("--stats", a->stats, "mean, deviation, share of zeros and NaN of what every module gives");
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
