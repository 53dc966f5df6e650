// SPDX-License-Identifier: Apache-2.0
// cli/validate.cpp — `fovea validate DIR --model M …`: accuracies on a folder of images, by the flags and in the rows
// of
// timm's validate.py.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "bench/progress.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/evaluate.h"
#include "cli/signals.h"
#include "cli/training.h"
#include "data/resize.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/core/threads.h"
#include "weights_tools/atomic_file.h"

namespace fovea::cli {
namespace {

using Row = nlohmann::ordered_json;

struct Arguments {
  std::string data, data_dir, split = "validation", model, checkpoint, results_file, results_format = "csv",
                              metrics_avg;
  bool pretrained = false, use_train_size = false;
  InputOptions input;
  int64_t batch = 256;
  int workers = 4, threads = 0;
};

double rounded(double v) { return std::nearbyint(v * 1e4) / 1e4; }

// One model with one set of weights.
Row validate(const Arguments& a, const std::string& name, const std::string& weights) {
  zoo::ModelOptions wanted = model_options(a.input);
  wanted.pretrained = weights.empty();
  wanted.weights = weights;
  const std::unique_ptr<zoo::ImageModel> model = zoo::create(name, wanted);
  data::EvalConfig config = eval_config(*model, a.input);
  if (!a.use_train_size && !a.input.crop_pct && model->pretrained_cfg().test_crop_pct > 0)
    config.crop_pct = model->pretrained_cfg().test_crop_pct;
  const std::string root = a.data_dir.empty() ? a.data : a.data_dir;
  const data::ImageFolder folder(data::split_folder(root, a.split), class_map(a.input));
  data::Loader loader(folder, {.batch = a.batch, .workers = a.workers, .eval = config, .most_bad = 0});
  bench::Counter counter("validate", static_cast<int64_t>(folder.samples().size()), "images");
  const Scores scores = score(*model, loader, &counter);
  counter.clear();
  const train::Evaluation e = scores.evaluation();
  Row row{{"model", name}};
  row["top1"] = rounded(e.top1);
  row["top1_err"] = rounded(100 - e.top1);
  row["top5"] = rounded(e.top5);
  row["top5_err"] = rounded(100 - e.top5);
  if (!a.metrics_avg.empty()) {
    const Scores::Averages m = scores.averages(a.metrics_avg);
    row[a.metrics_avg + "_precision"] = rounded(m.precision);
    row[a.metrics_avg + "_recall"] = rounded(m.recall);
    row[a.metrics_avg + "_f1_score"] = rounded(m.f1);
  }
  row["param_count"] = std::nearbyint(static_cast<double>(model->parameter_count()) / 1e4) / 100;
  row["img_size"] = config.input_size[2];
  row["crop_pct"] = nlohmann::json::parse(cat(config.crop_pct));
  row["interpolation"] = data::name_of(config.interpolation);
  return row;
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
    if (out.empty()) throw Error(Error::Kind::not_found, cat("no weights in ", a.checkpoint));
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
  if (out.empty()) throw Error(Error::Kind::not_found, cat("no model '", a.model, "'"));
  return out;
}

std::string as_csv(const std::vector<Row>& rows) {
  std::string out;
  for (const auto& [key, value] : rows[0].items()) out += cat(out.empty() ? "" : ",", key);
  out += "\n";
  for (const Row& row : rows) {
    std::string line;
    for (const auto& [key, value] : row.items())
      line += cat(line.empty() ? "" : ",", value.is_string() ? value.get<std::string>() : value.dump());
    out += line + "\n";
  }
  return out;
}

void run(const Arguments& a) {
  if (a.threads > 0) set_threads(a.threads);
  if (a.data.empty() && a.data_dir.empty())
    throw Error(Error::Kind::argument, "no folder of images", "fovea validate DIR --model NAME");
  const std::vector<Task> tasks = tasks_of(a);
  std::vector<Row> rows;
  for (const Task& t : tasks) {
    try {
      Row row = validate(a, t.model, t.weights);
      if (tasks.size() > 1 && !t.weights.empty()) row["checkpoint"] = t.weights;
      std::fprintf(stderr, " * Acc@1 %.3f (%.3f) Acc@5 %.3f (%.3f)  %s\n", row["top1"].get<double>(),
                   row["top1_err"].get<double>(), row["top5"].get<double>(), row["top5_err"].get<double>(),
                   t.model.c_str());
      rows.push_back(std::move(row));
    } catch (const Error& e) {
      if (tasks.size() == 1) throw;
      std::fprintf(stderr, "%s: %s\n", t.model.c_str(), e.what());     // the others go on
    }
  }
  if (rows.empty()) throw Error(Error::Kind::argument, "nothing could be validated");
  std::ranges::stable_sort(rows, [](const Row& x, const Row& y) { return x["top1"] > y["top1"]; });
  const nlohmann::ordered_json all = rows.size() == 1 ? rows[0] : nlohmann::ordered_json(rows);
  if (!a.results_file.empty()) {
    AtomicFile file(a.results_file);
    file.write(a.results_format == "json" ? all.dump(4) : as_csv(rows));
    file.commit();
  }
  std::printf("--result\n%s\n", all.dump(4).c_str());
  flush_output();
}

}  // namespace

void add_validate(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("validate", "measure a classifier on a folder of images");
  command->add_option("data", a->data, "a folder with a folder a class, or one that has it as its split");
  command->add_option("--data-dir", a->data_dir, "the same");
  command->add_option("--split", a->split, "validation, or another folder");
  command->add_option("--model,-m", a->model, "a name, a pattern, a file of names, or all")->required();
  command->add_option("--checkpoint", a->checkpoint, "weights, or a folder of them; default: the published ones");
  command->add_flag("--pretrained", a->pretrained, "the published weights, which is the default");
  command->add_flag("--use-train-size", a->use_train_size, "crops as in training, where the model's row says another");
  add_input_options(*command, a->input);
  command->add_option("-b,--batch-size", a->batch, "images at a time")->check(CLI::Range(1, 1 << 20));
  command->add_option("-j,--workers", a->workers, "threads that read images")->check(CLI::Range(1, 256));
  command->add_option("--threads", a->threads, "how many threads may compute")->check(CLI::Range(1, 4096));
  command->add_option("--metrics-avg", a->metrics_avg, "precision, recall and F1 as well: micro, macro, weighted")
      ->check(CLI::IsMember({"micro", "macro", "weighted"}));
  command->add_option("--results-file", a->results_file, "where the rows go, too");
  command->add_option("--results-format", a->results_format, "csv or json")->check(CLI::IsMember({"csv", "json"}));
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
