// SPDX-License-Identifier: Apache-2.0
// cli/bench.cpp — `fovea bench MODEL…`: how long a batch takes and where the time goes. With --worker it waits for
// "run N" lines and answers with times, so that several runtimes can take turns on one machine.
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>

#include "api/calibration.h"
#include "bench/beside.h"
#include "bench/compare.h"
#include "bench/google.h"
#include "bench/op.h"
#include "bench/page.h"
#include "bench/results_file.h"
#include "bench/start.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "engine/core/error.h"
#include "engine/core/isa.h"
#include "engine/core/threads.h"
#include "engine/ops/ops.h"
#include "zoo/source.h"

namespace fovea::cli {
namespace {

struct Arguments {
  std::vector<std::string> models;
  bench::RunOptions run;
  bench::OpOptions op;
  std::vector<int64_t> x, w, stride, pad, dilation, kernel;
  int threads = 0, beside = 0;
  size_t top = 0;
  int starts = 0;
  bool worker = false, once = false, csv = false, json = false, google = false, per_op = false, roofline = false,
       no_retry = false, no_bias = false;
  std::string trace, html, calibration, isa, model_list, results, precision;
  std::vector<std::string> compare;
};

std::vector<std::string> names_of_classes() {
  std::vector<std::string> names;
  for (const Isa isa : known_isas()) names.emplace_back(name_of(isa));
  return names;
}

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
      throw Error(Error::Kind::not_found, str_cat("no model matches ", name),
                  zoo::found_nothing({.patterns = {name}}, found)[0]);
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

// Names of a file, one a line; what follows a # is a remark. timm's lists of results are CSV whose first column is the
// name, and their first line says so.
std::vector<std::string> listed(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(Error::Kind::not_found, str_cat("--model-list: cannot read ", path));
  std::vector<std::string> out;
  for (std::string line; std::getline(file, line);) {
    line.resize(std::min(line.find_first_of(",#\r"), line.size()));
    const size_t first = line.find_first_not_of(" \t"), last = line.find_last_not_of(" \t");
    if (first != line.npos && line != "model") out.push_back(line.substr(first, last + 1 - first));
  }
  if (out.empty()) throw Error(Error::Kind::format, str_cat("--model-list: ", path, " names no model"));
  return out;
}

// timm's names of types.
std::string type_of(const std::string& precision) {
  if (precision == "int8") return precision;
  if (precision == "amp" || precision == "amp_bfloat16") return "bf16";
  const DType t = parse_dtype(precision);
  if (t == DType::f32) return "f32";
  if (t == DType::bf16) return "bf16";
  throw Error(Error::Kind::unsupported, str_cat("--precision ", precision),
              "there are float32, bfloat16, amp and int8");
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  if (!file.flush()) throw Error(Error::Kind::io, str_cat("cannot write ", path));
}

void serve(const bench::WorkOptions& o) {
  double mark = bench::now();
  bench::Work work(o);
  const double load = bench::now() - mark;
  mark = bench::now();
  const Tensor first = reshape(work(), {-1});
  const double first_ms = (bench::now() - mark) * 1e3;
  Json out = Json::array();
  for (const float v : first.data<float>().subspan(0, static_cast<size_t>(std::min<int64_t>(8, first.numel()))))
    out.push_back(v);
  bench::time_ms(work, 3);
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const Json ready{
      {"ready", true}, {"load_s", load}, {"first_ms", first_ms}, {"rss_mb", usage.ru_maxrss / 1024}, {"out", out}};
  std::cout << ready.dump() << std::endl;
  for (std::string word; std::cin >> word;) {
    int runs = 0;
    if (word != "run" || !(std::cin >> runs) || runs < 1)
      throw Error(Error::Kind::argument, "a worker reads lines of the form: run N");
    std::cout << Json(bench::time_ms(work, runs)).dump() << std::endl;
  }
}

std::shared_ptr<const Calibration> calibration_of(const Arguments& a, const std::string& model) {
  if (a.calibration.empty()) return nullptr;
  if (a.run.work.dtype != "int8") throw Error(Error::Kind::argument, "--calibration is for --dtype int8");
  return read_calibration(a.calibration, zoo::create(model)->full_name());
}

bench::Result run_one(const Arguments& a, const std::string& name, const bench::Machine& machine,
                      bench::Progress& progress, bool alone) {
  bench::RunOptions o = a.run;
  o.work.model = name;
  o.work.calibration = calibration_of(a, name);
  o.profile = a.per_op || !a.trace.empty() || !a.html.empty() || !a.compare.empty();
  o.smaller_batches = !a.no_retry;
  try {
    return bench::run(o, machine, progress);
  } catch (const Error& e) {
    if (alone) throw;
    progress.clear();
    std::fprintf(stderr, "fovea: %s: %s\n", name.c_str(), e.what());
    bench::Result failed;
    failed.model = name;
    failed.error = e.summary();
    return failed;
  }
}

// In the form that was asked for; lists in JSON are printed once all are known.
void show(const Arguments& a, const bench::Result& r) {
  if (!r.error.empty() || a.json || a.google) return;
  if (r.batch < a.run.work.batch)
    std::fprintf(stderr, "note: %s: no memory for batches of %d, measured with %d\n", r.model.c_str(),
                 a.run.work.batch, r.batch);
  if (a.csv) std::printf("%s", a.per_op ? bench::step_csv_rows(r).c_str() : (bench::csv_row(r) + "\n").c_str());
  else std::printf("%s\n", bench::summary(r).c_str());
  if (a.per_op && !a.csv) std::printf("%s\n", bench::step_table(r, a.top).c_str());
  std::fflush(stdout);
}

// One after the other; with several, one that fails does not keep the others from being measured.
std::vector<bench::Result> run_all(const Arguments& a, const std::vector<std::string>& names,
                                   const bench::Machine& machine, bench::Progress& progress) {
  std::vector<bench::Result> results;
  for (const std::string& name : names) {
    results.push_back(run_one(a, name, machine, progress, names.size() == 1));
    show(a, results.back());
  }
  return results;
}

// What an earlier call measured is not measured again; the rows of both are the result.
std::vector<bench::Result> run_bulk(const Arguments& a, const std::vector<std::string>& names,
                                    const bench::Machine& machine, bench::Progress& progress) {
  bench::ResultsFile file(a.results);
  for (const std::string& name : names) {
    bench::RunOptions o = a.run;
    o.work.model = name;
    if (file.has(o, name, machine)) continue;
    const bench::Result r = run_one(a, name, machine, progress, false);
    file.add(r, o, machine, FOVEA_VERSION);
    show(a, r);
  }
  return file.results();
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

// By name; where both have one result alone, whatever it is called.
std::vector<std::unique_ptr<bench::Comparison>> compare_all(std::vector<bench::Snapshot> before,
                                                            std::vector<bench::Snapshot> now) {
  std::vector<std::unique_ptr<bench::Comparison>> out;
  if (before.size() == 1 && now.size() == 1) {
    out.push_back(std::make_unique<bench::Comparison>(std::move(before[0]), std::move(now[0])));
    return out;
  }
  for (bench::Snapshot& n : now)
    for (const bench::Snapshot& b : before)
      if (b.model == n.model) {
        out.push_back(std::make_unique<bench::Comparison>(b, std::move(n)));
        break;
      }
  if (out.empty()) throw Error(Error::Kind::argument, "--compare: the two have no model in common");
  return out;
}

void show_comparisons(const Arguments& a, const std::vector<std::unique_ptr<bench::Comparison>>& all) {
  for (const auto& c : all)
    std::printf("%s\n", (a.json ? bench::comparison_json(*c) : bench::comparison_table(*c, a.top)).c_str());
}

// Two files: nothing is measured.
void compare_files(const Arguments& a) {
  const auto all = compare_all(bench::read_snapshots(a.compare[0]), bench::read_snapshots(a.compare[1]));
  show_comparisons(a, all);
  if (!a.html.empty()) write_file(a.html, bench::html_page({}, bench::this_machine(), FOVEA_VERSION, all));
}

void run_op(Arguments& a) {
  const auto dims = [](const std::vector<int64_t>& v) { return Dims(v.begin(), v.end()); };
  a.op.x = dims(a.x);
  a.op.w = dims(a.w);
  a.op.stride = dims(a.stride);
  a.op.pad = dims(a.pad);
  a.op.dilation = dims(a.dilation);
  a.op.kernel = dims(a.kernel);
  a.op.dtype = a.run.work.dtype;
  a.op.repeat = a.run.repeat;
  a.op.bias = !a.no_bias;
  std::vector<bench::OpTimes> times;
  if (a.isa.empty()) {
    bench::op_step(a.op);                          // what cannot be is told once
    std::vector<std::string> args{"fovea", "bench", "--op", a.op.op, "--dtype", a.op.dtype,
                                  "--threads", str_cat(threads()), "--repeat", str_cat(a.op.repeat),
                                  "--groups", str_cat(a.op.groups), "--between", str_cat(a.op.between >> 20)};
    const auto add = [&](const char* option, const std::vector<int64_t>& v) {
      std::string text;
      for (const int64_t d : v) text += str_cat(text.empty() ? "" : ",", d);
      if (!v.empty()) args.insert(args.end(), {option, text});
    };
    for (const auto& [option, v] : {std::pair{"--x", &a.x}, {"--w", &a.w}, {"--stride", &a.stride}, {"--pad", &a.pad},
                                    {"--dilation", &a.dilation}, {"--kernel", &a.kernel}})
      add(option, *v);
    if (!a.op.act.empty()) args.insert(args.end(), {"--act", a.op.act});
    if (!a.op.fn.empty()) args.insert(args.end(), {"--fn", a.op.fn});
    if (a.op.residual) args.emplace_back("--residual");
    if (a.no_bias) args.emplace_back("--no-bias");
    times = bench::time_op_on_all("/proc/self/exe", a.op, args);
  } else {
    times.push_back(bench::time_op(a.op));
  }
  std::printf("%s\n", (a.json ? bench::op_json(times) : bench::op_table(times)).c_str());
}

// Whoever wants something else than results of models.
bool run_special(const Arguments& a, const std::vector<std::string>& names) {
  if (names.size() > 1 && (a.worker || a.once || !a.run.work.weights.empty() || !a.run.work.input.empty()))
    throw Error(Error::Kind::argument,
                str_cat("--worker, --weights and --input are for one model, not ", names.size()));
  if (a.worker || a.once) {
    bench::WorkOptions o = a.run.work;
    o.model = names[0];
    o.calibration = calibration_of(a, names[0]);
    a.worker ? serve(o) : bench::answer_once(o);
  } else if (a.beside > 0) {
    for (const std::string& name : names) {
      bench::WorkOptions o = a.run.work;
      o.model = name;
      o.calibration = calibration_of(a, name);
      std::printf("%s\n", bench::beside_table(bench::run_beside(o, a.beside, a.run.repeat)).c_str());
    }
  } else if (a.starts > 0) {
    show_starts(a, names);
  } else {
    return false;
  }
  return true;
}

void run_models(const Arguments& a, const std::vector<std::string>& names) {
  for (const std::string& path : {a.trace, a.html})
    if (!path.empty()) write_file(path, "");       // a path that cannot be written is found out before the work
  std::vector<bench::Snapshot> before;
  if (!a.compare.empty()) before = bench::read_snapshots(a.compare[0]);
  bench::Progress progress;
  bench::Machine machine = bench::this_machine();
  if (a.roofline || !a.html.empty()) bench::measure(machine, progress);
  progress.clear();
  if (machine.measured() && !a.json && !a.google && !a.csv && a.html.empty())
    std::printf("%s\n", bench::machine_table(machine).c_str());
  if (a.csv)
    std::printf("%s\n",
                (a.per_op ? bench::step_csv_header() : bench::csv_header(a.run.work.train, a.run.detail)).c_str());
  const std::vector<bench::Result> results =
      a.results.empty() ? run_all(a, names, machine, progress) : run_bulk(a, names, machine, progress);
  std::vector<std::unique_ptr<bench::Comparison>> comparisons;
  if (!a.compare.empty()) {
    std::vector<bench::Snapshot> now;
    for (const bench::Result& r : results)
      if (r.error.empty()) now.push_back(bench::snapshot_of(r, machine, FOVEA_VERSION));
    comparisons = compare_all(std::move(before), std::move(now));
    show_comparisons(a, comparisons);
  } else if (a.json) {
    std::printf("%s\n", bench::json_list(results, machine, FOVEA_VERSION).c_str());
  } else if (a.google) {
    std::printf("%s\n", bench::google_json(results, machine).c_str());
  }
  if (!a.trace.empty()) write_file(a.trace, bench::chrome_trace(results));
  if (!a.html.empty()) write_file(a.html, bench::html_page(results, machine, FOVEA_VERSION, comparisons));
  const auto failed =
      std::count_if(results.begin(), results.end(), [](const bench::Result& r) { return !r.error.empty(); });
  if (failed > 0)
    throw Error(Error::Kind::argument, str_cat(failed, " of ", results.size(), " models could not be measured"));
}

void run(Arguments a) {
  // before anything asks what kernels may use
  if (!a.isa.empty()) ::setenv("FOVEA_ISA", a.isa.c_str(), 1);
  if (a.threads > 0) set_threads(a.threads);
  if (a.top > 0 && !a.per_op && a.compare.empty())
    throw Error(Error::Kind::argument, str_cat("--top ", a.top, " is for --per-op and --compare"));
  if (!a.precision.empty()) a.run.work.dtype = type_of(a.precision);
  if (!a.op.op.empty()) return run_op(a);
  if (a.compare.size() == 2) return compare_files(a);
  if (std::string& weights = a.run.work.weights; !weights.empty()) weights = zoo::weights_path(weights);
  if (!a.model_list.empty())
    for (const std::string& name : listed(a.model_list)) a.models.push_back(name);
  if (a.models.empty() && !(a.roofline && !a.worker))
    throw Error(Error::Kind::argument, "bench: no model", "name some of `fovea models`, or only measure: --roofline");
  const std::vector<std::string> names = expand(a.models);
  if (!run_special(a, names)) run_models(a, names);
}

}  // namespace

namespace {

void add_op_options(Command command, Arguments& a) {
  const std::vector<std::string> ops = bench::op_names();
  Option op = command.add_option("--op", a.op.op, "time one op at a chosen shape: " + join(ops, ", "));
  op.check(one_of(ops));
  for (const auto& [option, values, what] :
       {std::tuple{"--x", &a.x, "with --op: the operand's shape, 1,64,56,56"},
        {"--w", &a.w, "with --op: the weights' shape, 64,64,3,3; the second operand's of matmul"},
        {"--stride", &a.stride, "with --op: strides, one for all dimensions or one each"},
        {"--pad", &a.pad, "with --op: padding, likewise"},
        {"--dilation", &a.dilation, "with --op: dilation, likewise"},
        {"--kernel", &a.kernel, "with --op: the window of a pool, likewise"}})
    command.add_option(option, *values, what).delimiter(',').check(in_range(0, 1 << 24)).needs(op);
  command.add_option("--groups", a.op.groups, "with --op conv").check(in_range(1, 1 << 20)).needs(op);
  command.add_option("--act", a.op.act, "with --op: the activation fused into conv or linear").needs(op);
  command.add_option("--fn", a.op.fn, "with --op: the function of unary (silu) or binary (add)").needs(op);
  command.add_flag("--residual", a.op.residual, "with --op: conv or linear adds another operand").needs(op);
  command.add_flag("--no-bias", a.no_bias, "with --op: conv or linear without a bias").needs(op);
  command
      .add_option_function<int>(
          "--between", [&a](int mb) { a.op.between = int64_t{mb} << 20; },
          "with --op: MB that a model touches between two runs of the op (64)")
      .check(in_range(0, 4096))
      .needs(op);
}

// Names of timm's benchmark.py, and what goes with bulk runs.
void add_timm_options(Command command, Arguments& a) {
  bench::WorkOptions& work = a.run.work;
  command.add_option("--model-list", a.model_list, "a file with a name or wildcard a line (or timm's CSV of results)");
  command.add_option("--precision", a.precision, "timm's word for --dtype: float32, bfloat16, amp, int8")
      .excludes("--dtype");
  command.add_option("--img-size", work.img_size, "height and width of images (default: the model's own)")
      .check(in_range(1, 1 << 14));
  command.add_flag("--reparam", work.reparam, "make branches one layer first, as timm's reparameterize_model()");
  command.add_flag("--detail", a.run.detail, "with --train: the time of forward, backward and update").needs("--train");
  command.add_flag("--no-retry", a.no_retry, "where memory is short: an error, not smaller batches");
  command
      .add_option("--results", a.results,
                  "a file to which each model's result is added at once; models that it holds are not measured again")
      .excludes("--per-op")
      .excludes("--trace")
      .excludes("--worker");
}

}  // namespace

void add_bench(Command app) {
  auto a = std::make_shared<Arguments>();
  bench::WorkOptions& work = a->run.work;
  Command command = app.add_subcommand("bench", "how long a batch takes, and where the time goes");
  command.add_option("models", a->models, "names or wildcards of `fovea models`");
  command.add_option("--batch", work.batch, "images at a time").check(in_range(1, 1 << 20));
  command
      .add_option("--dtype", work.dtype,
                  "compute in f32, bf16 or int8 (8-bit integers; ranges of --calibration, else of the input)")
      .check(one_of({"f32", "bf16", "int8"}));
  command
      .add_option("--threads", a->threads, "how many threads may compute (default: FOVEA_THREADS, else all processors)")
      .check(in_range(1, 4096));
  Option train = command.add_flag("--train", work.train, "a training step (SGD; targets are 7 i modulo the classes)");
  Option eager = command.add_flag("--eager", work.eager, "run op by op instead of compiling first");
  command.add_option("--repeat", a->run.repeat, "timed runs; their median counts").check(in_range(1, 1 << 20));
  command.add_option("--weights", work.weights,
                     "safetensors, torch checkpoint (.pth, .bin) or .npz (default: first values)");
  command.add_option("--calibration", a->calibration, "with --dtype int8: a file of `fovea quantize`");
  command.add_option("--input", work.input, "raw f32 values, batch x channels x height x width (default: noise)");
  Option csv = command.add_flag("--csv", a->csv, "a table with the columns of timm's");
  Option json = command.add_flag("--json", a->json, "a list of objects: timm's columns and more").excludes(csv);
  Option google =
      command.add_flag("--google-benchmark", a->google, "every run in the JSON of google-benchmark, for its compare.py")
          .excludes(csv)
          .excludes(json);
  Option per_op =
      command.add_flag("--per-op", a->per_op, "every step: module, op, kernel, shapes, time, rates").excludes(google);
  command.add_option("--top", a->top, "with --per-op or --compare: only so many of the steps").excludes(json);
  command
      .add_flag("--counters", a->run.counters,
                "with --per-op: cycles, instructions, cache misses of each step, where perf_event_open is allowed")
      .needs(per_op)
      .excludes(csv);
  Option roofline = command.add_flag("--roofline", a->roofline,
                                     "measure the machine first; steps then show their share of what it allows");
  Option trace = command.add_option("--trace", a->trace, "write the steps as a trace for chrome://tracing or Perfetto");
  Option html = command.add_option("--html", a->html, "write one page with plots; measures the machine too");
  Option worker =
      command.add_flag("--worker", a->worker, "answer \"run N\" lines on stdin with a JSON list of milliseconds");
  command.add_flag("--cache", work.cache,
                   "with --weights: take the compiled model from the plan cache, or put it there");
  Option start =
      command.add_option("--start", a->starts, "start so many processes in each way; time each until its first logits")
          .check(in_range(1, 1000));
  command.add_flag("--once", a->once, "answer with the first logits and the time that they took, as JSON");
  Option beside =
      command
          .add_option("--beside", a->beside,
                      "idle and beside so many busy processes, with all threads and with one: how much longer it takes")
          .check(in_range(1, 4096));
  command
      .add_option("--compare", a->compare,
                  "OLD.json [NEW.json], of --json --per-op: step by step, what the models that are named take now "
                  "(or took when NEW.json was written)")
      .expected(1, 2)
      .excludes(csv)
      .excludes(google);
  command.add_option("--isa", a->isa, "the most that kernels may use, as FOVEA_ISA").check(one_of(names_of_classes()));
  command.add_option("--without", work.without, "a pass that compiling leaves out; may be given again")
      .excludes(eager)
      .expected(1)
      .take_all();
  add_timm_options(command, *a);
  add_op_options(command, *a);
  for (Option other : {csv, json, google, per_op, train, eager, roofline, trace, html, worker, start})
    beside.excludes(other);
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
