// SPDX-License-Identifier: Apache-2.0
// cli/bench.cpp — `fovea bench MODEL…`: how long a batch takes and where the time goes. With --worker it waits for
// "run N" lines and answers with times, so that several runtimes can take turns on one machine.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/beside.h"
#include "bench/result.h"
#include "bench/start.h"
#include "api/calibration.h"
#include "cli/command.h"
#include "engine/core/error.h"
#include "engine/core/threads.h"
#include "engine/ops/ops.h"

namespace fovea::cli {
namespace {

struct Arguments {
  std::vector<std::string> models;
  bench::RunOptions run;
  int threads = 0, beside = 0;
  size_t top = 0;
  int starts = 0;
  bool worker = false, once = false, csv = false, json = false, per_op = false, roofline = false;
  std::string trace, html, calibration;
};

// Wildcards stand for the models that they match. A name that is no model is found out before anything is timed.
std::vector<std::string> expand(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& name : names) {
    if (name.find_first_of("*?[") == std::string::npos) {
      zoo::create(name);
      out.push_back(name);
      continue;
    }
    const std::vector<std::string> found = zoo::list({.patterns = {name}});
    if (found.empty())
      throw Error(Error::Kind::not_found, cat("no model matches ", name),
                  zoo::found_nothing({.patterns = {name}}, found)[0]);
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) throw Error(Error::Kind::io, cat("cannot write ", path));
}

void serve(const bench::WorkOptions& o) {
  double mark = bench::now();
  bench::Work work(o);
  const double load = bench::now() - mark;
  mark = bench::now();
  const Tensor first = reshape(work(), {-1});
  const double first_ms = (bench::now() - mark) * 1e3;
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const float v : first.data<float>().subspan(0, static_cast<size_t>(std::min<int64_t>(8, first.numel()))))
    out.push_back(v);
  bench::time_ms(work, 3);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const nlohmann::ordered_json ready{
      {"ready", true}, {"load_s", load}, {"first_ms", first_ms}, {"rss_mb", usage.ru_maxrss / 1024}, {"out", out}};
  std::cout << ready.dump() << std::endl;
  for (std::string word; std::cin >> word;) {
    int runs = 0;
    if (word != "run" || !(std::cin >> runs) || runs < 1)
      throw Error(Error::Kind::argument, "a worker reads lines of the form: run N");
    std::cout << nlohmann::json(bench::time_ms(work, runs)).dump() << std::endl;
  }
}

std::shared_ptr<const Calibration> calibration_of(const Arguments& a, const std::string& model) {
  if (a.calibration.empty()) return nullptr;
  if (a.run.work.dtype != "int8") throw Error(Error::Kind::argument, "--calibration is for --dtype int8");
  return read_calibration(a.calibration, zoo::create(model)->full_name());
}

// One after the other; with several, one that fails does not keep the others from being measured.
std::vector<bench::Result> run_all(const Arguments& a, const std::vector<std::string>& names,
                                   const bench::Machine& machine, bench::Progress& progress) {
  std::vector<bench::Result> results;
  for (const std::string& name : names) {
    bench::RunOptions o = a.run;
    o.work.model = name;
    o.work.calibration = calibration_of(a, name);
    o.profile = a.per_op || !a.trace.empty() || !a.html.empty();
    try {
      results.push_back(bench::run(o, machine, progress));
    } catch (const Error& e) {
      if (names.size() == 1) throw;
      progress.clear();
      std::fprintf(stderr, "fovea: %s: %s\n", name.c_str(), e.what());
      bench::Result failed;
      failed.model = name;
      failed.error = e.summary();
      results.push_back(std::move(failed));
      continue;
    }
    const bench::Result& r = results.back();
    if (a.csv) std::printf("%s\n", bench::csv_row(r).c_str());
    else if (!a.json) std::printf("%s\n", bench::summary(r).c_str());
    if (a.per_op && !a.json) std::printf("%s\n", bench::step_table(r, a.top).c_str());
    std::fflush(stdout);
  }
  return results;
}

void show_starts(const Arguments& a, const std::vector<std::string>& names) {
  bench::Progress progress;
  for (const std::string& name : names) {
    bench::WorkOptions o = a.run.work;
    o.model = name;
    const std::vector<bench::Start> starts = bench::measure_starts("/proc/self/exe", o, a.threads, a.starts, progress);
    progress.clear();
    std::printf("%s\n", (a.json ? bench::start_json(name, starts) : bench::start_table(name, starts)).c_str());
  }
}

void run(const Arguments& a) {
  if (a.threads > 0) set_threads(a.threads);
  if (a.models.empty() && !(a.roofline && !a.worker))
    throw Error(Error::Kind::argument, "bench: no model", "name some of `fovea models`, or only measure: --roofline");
  const std::vector<std::string> names = expand(a.models);
  if (names.size() > 1 && (a.worker || a.once || !a.run.work.weights.empty() || !a.run.work.input.empty()))
    throw Error(Error::Kind::argument, cat("--worker, --weights and --input are for one model, not ", names.size()));
  if (a.worker || a.once) {
    bench::WorkOptions o = a.run.work;
    o.model = names[0];
    o.calibration = calibration_of(a, names[0]);
    return a.worker ? serve(o) : bench::answer_once(o);
  }
  if (a.beside > 0) {
    for (const std::string& name : names) {
      bench::WorkOptions o = a.run.work;
      o.model = name;
      o.calibration = calibration_of(a, name);
      std::printf("%s\n", bench::beside_table(bench::run_beside(o, a.beside, a.run.repeat)).c_str());
    }
    return;
  }
  if (a.starts > 0) return show_starts(a, names);
  for (const std::string& path : {a.trace, a.html})
    if (!path.empty()) write_file(path, "");       // a path that cannot be written is found out before the work
  bench::Progress progress;
  bench::Machine machine = bench::this_machine();
  if (a.roofline || !a.html.empty()) bench::measure(machine, progress);
  progress.clear();
  if (machine.measured() && !a.json && !a.csv && a.html.empty())
    std::printf("%s\n", bench::machine_table(machine).c_str());
  if (a.csv) std::printf("%s\n", bench::csv_header(a.run.work.train).c_str());
  const std::vector<bench::Result> results = run_all(a, names, machine, progress);
  if (a.json) std::printf("%s\n", bench::json_list(results, machine, FOVEA_VERSION).c_str());
  if (!a.trace.empty()) write_file(a.trace, bench::chrome_trace(results));
  if (!a.html.empty()) write_file(a.html, bench::html_page(results, machine, FOVEA_VERSION));
  const auto failed =
      std::count_if(results.begin(), results.end(), [](const bench::Result& r) { return !r.error.empty(); });
  if (failed > 0)
    throw Error(Error::Kind::argument, cat(failed, " of ", results.size(), " models could not be measured"));
}

}  // namespace

void add_bench(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  bench::WorkOptions& work = a->run.work;
  CLI::App* command = app.add_subcommand("bench", "how long a batch takes, and where the time goes");
  command->add_option("models", a->models, "names or wildcards of `fovea models`");
  command->add_option("--batch", work.batch, "images at a time")->check(CLI::Range(1, 1 << 20));
  command
      ->add_option("--dtype", work.dtype,
                   "compute in f32, bf16 or int8 (8-bit integers; ranges of --calibration, else of the input)")
      ->check(CLI::IsMember({"f32", "bf16", "int8"}));
  command
      ->add_option("--threads", a->threads,
                   "how many threads may compute (default: FOVEA_THREADS, else all processors)")
      ->check(CLI::Range(1, 4096));
  CLI::Option* train =
      command->add_flag("--train", work.train, "a training step (SGD; targets are 7 i modulo the classes)");
  CLI::Option* eager = command->add_flag("--eager", work.eager, "run op by op instead of compiling first");
  command->add_option("--repeat", a->run.repeat, "timed runs; their median counts")->check(CLI::Range(1, 1 << 20));
  command->add_option("--weights", work.weights,
                      "safetensors, torch checkpoint (.pth, .bin) or .npz (default: first values)");
  command->add_option("--calibration", a->calibration, "with --dtype int8: a file of `fovea quantize`");
  command->add_option("--input", work.input, "raw f32 values, batch x channels x height x width (default: noise)");
  CLI::Option* csv = command->add_flag("--csv", a->csv, "a table with the columns of timm's");
  CLI::Option* json = command->add_flag("--json", a->json, "a list of objects: timm's columns and more")->excludes(csv);
  CLI::Option* per_op =
      command->add_flag("--per-op", a->per_op, "every step: module, op, kernel, shapes, time, rates")->excludes(csv);
  command->add_option("--top", a->top, "with --per-op: only so many of the slowest steps")
      ->needs(per_op)
      ->excludes(json);
  CLI::Option* roofline = command->add_flag("--roofline", a->roofline,
                    "measure the machine first; steps then show their share of what it allows");
  CLI::Option* trace =
      command->add_option("--trace", a->trace, "write the steps as a trace for chrome://tracing or Perfetto");
  CLI::Option* html = command->add_option("--html", a->html, "write one page with plots; measures the machine too");
  CLI::Option* worker = command->add_flag("--worker", a->worker,
                                          "answer \"run N\" lines on stdin with a JSON list of milliseconds");
  command->add_flag("--cache", work.cache,
                    "with --weights: take the compiled model from the plan cache, or put it there");
  CLI::Option* start =
      command
          ->add_option("--start", a->starts, "start so many processes in each way; time each until its first logits")
          ->check(CLI::Range(1, 1000));
  command->add_flag("--once", a->once, "answer with the first logits and the time that they took, as JSON");
  CLI::Option* beside = command
      ->add_option("--beside", a->beside,
                   "idle and beside so many busy processes, with all threads and with one: how much longer it takes")
      ->check(CLI::Range(1, 4096));
  for (CLI::Option* other : {csv, json, per_op, train, eager, roofline, trace, html, worker, start})
    beside->excludes(other);
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
