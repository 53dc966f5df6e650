// SPDX-License-Identifier: Apache-2.0
// cli/validate.cpp — `fovea validate DIR --model M …`: accuracies on a folder of images, by the flags and in the rows
// of timm's validate.py.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "bench/progress.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/evaluate.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/processes.h"
#include "cli/signals.h"
#include "cli/training.h"
#include "data/resize.h"
#include "engine/core/error.h"
#include "engine/core/out_of_memory.h"
#include "engine/core/text.h"
#include "nn/fuse.h"
#include "train/checkpoint.h"
#include "weights_tools/atomic_file.h"
#include "zoo/source.h"

namespace fovea::cli {
namespace {

using Row = Json;

struct Arguments : EvaluationOptions {
  std::string results_file, results_format = "csv", metrics_avg, real_labels, valid_labels;
  bool use_train_size = false, use_ema = false, reparam = false, test_pool = false, retry = false;
};

// timm's decay of batches: 64, 48, 32, 24, 16, ...
int64_t smaller(int64_t batch) {
  int64_t power = 1;
  while (power * 2 <= batch - 1) power *= 2;
  const int64_t between = power + power / 2;
  return std::max<int64_t>(1, between < batch ? between : power);
}

double rounded(double v) { return std::nearbyint(v * 1e4) / 1e4; }

std::vector<int64_t> numbers_in(const std::string& path) {
  std::vector<int64_t> out;
  if (path.empty()) return out;
  std::ifstream file(path);
  if (!file) throw Error(Error::Kind::not_found, str_cat("cannot read ", path));
  for (int64_t n; file >> n;) out.push_back(n);
  if (!file.eof()) throw Error(Error::Kind::format, str_cat(path, " has something else than the numbers of classes"));
  return out;
}

std::unique_ptr<zoo::ImageModel> loaded(const Arguments& a, const std::string& name, const std::string& weights) {
  InputOptions input = a.input;
  const zoo::PretrainedCfg* row = zoo::find_pretrained(name);
  const bool given_size = input.img_size || !input.input_size.empty();
  if (row && row->test_input_size[1] > 0 && !given_size && !a.use_train_size)
    input.input_size.assign(row->test_input_size.begin(), row->test_input_size.end());
  std::unique_ptr<zoo::ImageModel> model = create_loaded(name, for_patches(model_options(input, name), a.patch_size),
                                                         weights, a.licenses, {.ema = a.use_ema});
  if (a.use_ema && weights.ends_with(".safetensors")) train::load_average(weights, *model);
  if (a.reparam) fuse(*model);
  return model;
}

// The row's size and crop for tests, where it has some and nobody says otherwise.
data::EvalConfig test_config(const Arguments& a, const zoo::ImageModel& model) {
  data::EvalConfig c = eval_config(model, a.input);
  const zoo::PretrainedCfg& row = model.pretrained_cfg();
  if (a.use_train_size) return c;
  if (!a.input.img_size && a.input.input_size.empty() && row.test_input_size[1] > 0)
    c.input_size = {c.input_size[0], row.test_input_size[1], row.test_input_size[2]};
  if (!a.input.crop_pct && row.test_crop_pct > 0) c.crop_pct = row.test_crop_pct;
  return c;
}

// What asks about the one class of an image, where images have several.
void refuse_of_one_label(const Arguments& a) {
  for (const auto& [given, what] : {std::pair{!a.real_labels.empty(), "--real-labels"},
                                    std::pair{!a.metrics_avg.empty(), "--metrics-avg"}})
    if (given)
      throw Error(Error::Kind::argument, str_cat(what, ": these images have several labels"),
                  "mAP and F1 are measured without it");
}

// One model with one set of weights.
Row validate(const Arguments& a, const std::string& name, const std::string& weights, int64_t images_at_a_time,
             const Processes& all) {
  const std::unique_ptr<zoo::ImageModel> model = loaded(a, name, weights);
  data::EvalConfig config = test_config(a, *model);
  ScoreOptions options{.valid = numbers_in(a.valid_labels), .peers = all.peers()};
  const zoo::PretrainedCfg& cfg = model->pretrained_cfg();
  if (a.test_pool && config.input_size[1] > cfg.input_size[1] && config.input_size[2] > cfg.input_size[2]) {
    options.pool = cfg.pool_size;
    config.crop_pct = 1;
  }
  const std::unique_ptr<data::Reader> reader = open_images(a.input, a.root(), a.split);
  if (reader->multi_label()) refuse_of_one_label(a);
  data::Loader loader(*reader, {.batch = images_at_a_time,
                                .workers = a.workers,
                                .eval = config,
                                .fast_decode = a.input.fast_decode,
                                .classes = options.valid.empty() ? model->num_classes()
                                                                 : static_cast<int64_t>(options.valid.size()),
                                .most_bad = a.most_bad,
                                .shard = all.shard()});
  const auto [first, behind] = all.shard().run(static_cast<int64_t>(reader->size()));
  bench::Counter counter("validate", behind - first, "images", !all.writes());
  std::optional<RealLabels> real;
  if (!a.real_labels.empty()) options.real = &real.emplace(a.real_labels);
  options.counter = &counter;
  options.reader = reader.get();
  const std::unique_ptr<Answers> answers =
      answers_of(a, *model, *reader, loader, config, all.shard(), options.pool);
  const Scores scores = score(*answers, options);
  counter.clear();
  tell_bad(answers->bad());
  train::Evaluation e = scores.evaluation();
  if (real) e.top1 = real->top1(), e.top5 = real->top5();
  Row row{{"model", name}};
  for (const auto& [name, value] : e.figures()) {
    if (name == "loss" && !e.labels) continue;     // timm's rows of one label have none
    row[name] = rounded(value);
    if (!e.labels) row[name + "_err"] = rounded(100 - value);
  }
  if (!a.metrics_avg.empty()) {
    const Scores::Averages m = scores.averages(a.metrics_avg);
    row[a.metrics_avg + "_precision"] = rounded(m.precision);
    row[a.metrics_avg + "_recall"] = rounded(m.recall);
    row[a.metrics_avg + "_f1_score"] = rounded(m.f1);
  }
  row["param_count"] = std::nearbyint(static_cast<double>(model->parameter_count()) / 1e4) / 100;
  row["img_size"] = config.input_size[2];
  if (a.max_seq_len > 0) row["max_seq_len"] = a.max_seq_len;
  row["crop_pct"] = Json::parse(str_cat(config.crop_pct));
  row["interpolation"] = data::name_of(config.interpolation);
  return row;
}

// With --retry, by smaller and smaller batches where memory runs out: 3/4, 1/2, 3/8 ... of the first. Of several
// processes each would have to know that another one begins again, so there it is an error.
Row validate_or_retry(const Arguments& a, const std::string& name, const std::string& weights, const Processes& all) {
  for (int64_t batch = a.batch;; batch = smaller(batch)) {
    try {
      return validate(a, name, weights, batch, all);
    } catch (const OutOfMemory&) {
      if (!a.retry || batch <= 1 || all.count() > 1) throw;
      std::fprintf(stderr, "%s: out of memory with %lld images at a time, now with fewer\n", name.c_str(),
                   static_cast<long long>(batch));
    }
  }
}

struct Task {
  std::string model, weights;
};

bool is_pattern(const std::string& name) { return name.find_first_of("*?[") != name.npos; }

// What there is to do: one model, several by pattern or by a file of names, or one with each file of a folder.
std::vector<Task> tasks_of(const Arguments& a) {
  namespace fs = std::filesystem;
  std::vector<Task> out;
  if (!a.checkpoint.empty() && fs::is_directory(a.checkpoint)) {
    for (const fs::directory_entry& entry : fs::directory_iterator(a.checkpoint)) {
      const std::string file = entry.path().string();
      const bool weights = file.ends_with(".safetensors") || file.ends_with(".pth") || file.ends_with(".bin") ||
                           file.ends_with(".pth.tar");
      if (weights && !file.ends_with(".train.safetensors")) out.push_back({a.model, file});
    }
    std::ranges::sort(out, [](const Task& x, const Task& y) { return natural_less(x.weights, y.weights); });
    if (out.empty()) throw Error(Error::Kind::not_found, str_cat("no weights in ", a.checkpoint));
    return out;
  }
  std::vector<std::string> names{a.model};
  zoo::ListOptions list{.pretrained = true, .tags = true};
  if (a.model == "all") {
    list.exclude = {"*_in21k", "*_in22k", "*in12k", "*_dino", "*fcmae", "*seer"};
    names = zoo::list(list);
  } else if (is_pattern(a.model)) {
    list.patterns = {a.model};
    names = zoo::list(list);
  } else if (fs::is_regular_file(a.model)) {
    names.clear();
    std::ifstream file(a.model);
    for (std::string line; std::getline(file, line);)
      if (!line.empty()) names.push_back(line);
  }
  for (const std::string& name : names) out.push_back({name, a.checkpoint});
  if (out.empty()) throw Error(Error::Kind::not_found, str_cat("no model '", a.model, "'"));
  return out;
}

std::string summary(const Row& row) {
  const auto number = [&](const char* key) { return row[key].number(); };
  std::array<char, 160> text;
  if (row.contains("map"))
    std::snprintf(text.data(), text.size(), "mAP %.3f F1 micro %.3f macro %.3f sample %.3f", number("map"),
                  number("micro_f1"), number("macro_f1"), number("sample_f1"));
  else
    std::snprintf(text.data(), text.size(), "Acc@1 %.3f (%.3f) Acc@5 %.3f (%.3f)", number("top1"), number("top1_err"),
                  number("top5"), number("top5_err"));
  return text.data();
}

std::string as_csv(const std::vector<Row>& rows) {
  std::string out;
  for (const auto& [key, value] : rows[0].members()) out += str_cat(out.empty() ? "" : ",", key);
  out += "\n";
  for (const Row& row : rows) {
    std::string line;
    for (const auto& [key, value] : row.members())
      line += str_cat(line.empty() ? "" : ",", value.is_string() ? value.string() : value.dump());
    out += line + "\n";
  }
  return out;
}

void run(const Arguments& a) {
  const Processes all(a.threads);
  if (a.root().empty())
    throw Error(Error::Kind::argument, "no folder of images", "fovea validate DIR --model NAME");
  const std::vector<Task> tasks = tasks_of(a);
  std::vector<Row> rows;
  for (const Task& t : tasks) {
    try {
      Row row = validate_or_retry(a, t.model, t.weights, all);
      if (tasks.size() > 1 && !t.weights.empty()) row["checkpoint"] = t.weights;
      say(str_cat(" * ", summary(row), "  ", t.model));
      rows.push_back(std::move(row));
    } catch (const Error& e) {
      if (tasks.size() == 1 || all.count() > 1) throw;
      std::fprintf(stderr, "%s: %s\n", t.model.c_str(), e.what());     // the others go on
    }
  }
  if (rows.empty()) throw Error(Error::Kind::argument, "nothing could be validated");
  if (!all.writes()) return;
  const char* best = rows[0].contains("map") ? "map" : "top1";
  std::ranges::stable_sort(rows, [&](const Row& x, const Row& y) { return x[best].number() > y[best].number(); });
  const Json result = rows.size() == 1 ? rows[0] : Json(rows);
  if (!a.results_file.empty()) {
    AtomicFile file(a.results_file);
    file.write(a.results_format == "json" ? result.dump(4) : as_csv(rows));
    file.commit();
  }
  std::printf("--result\n%s\n", result.dump(4).c_str());
  flush_output();
}

}  // namespace

void add_validate(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("validate", "measure a classifier on a folder of images");
  add_evaluation_options(command, *a, "a name, a pattern, a file of names, or all",
                         "weights, or a folder of them; default: the published ones");
  command.add_flag("--use-ema", a->use_ema, "the averaged weights of training checkpoints, fovea's and torch's");
  command.add_flag("--reparam", a->reparam, "branches of training become one layer before");
  command.add_flag("--test-pool", a->test_pool, "larger images are classified window by window");
  command.add_flag("--retry", a->retry, "by smaller batches where memory runs out");
  command.add_option("--real-labels", a->real_labels, "ImageNet's reassessed labels, as JSON");
  command.add_option("--valid-labels", a->valid_labels,
                     "the numbers of those classes that the images are of, a line each");
  command.add_flag("--use-train-size", a->use_train_size, "crops as in training, where the model's row says another");
  command.add_option("--metrics-avg", a->metrics_avg, "precision, recall and F1 as well: micro, macro, weighted")
      .check(one_of({"micro", "macro", "weighted"}));
  command.add_option("--results-file", a->results_file, "where the rows go, too");
  command.add_option("--results-format", a->results_format, "csv or json").check(one_of({"csv", "json"}));
  take_last(command);
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
