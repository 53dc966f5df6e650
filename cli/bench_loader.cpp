// SPDX-License-Identifier: Apache-2.0
// cli/bench_loader.cpp — `fovea bench-loader DIR …`: how many images a second become batches, by the flags of
// `train`. With --worker it waits for "run N" lines and answers with seconds, so that several loaders can take turns.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>

#include "bench/loader.h"
#include "cli/command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/signals.h"
#include "cli/training.h"
#include "cli/training_model.h"
#include "engine/core/error.h"
#include "zoo/zoo.h"

namespace fovea::cli {
namespace {

struct Arguments : TrainingOptions {
  bool evaluation = false, worker = false, json = false;
  int64_t images = 1024, rounds = 5;
};

void serve(bench::LoaderClock& clock) {
  std::cout << Json{{"ready", true}}.dump() << std::endl;
  for (std::string word; std::cin >> word;) {
    int64_t images = 0;
    if (word != "run" || !(std::cin >> images) || images < 1)
      throw Error(Error::Kind::argument, "a worker reads lines of the form: run N");
    const bench::LoaderClock::Time t = clock.run(images);
    std::cout << Json{{"images", t.images}, {"seconds", t.seconds}}.dump() << std::endl;
  }
}

void report(const Arguments& a, bench::LoaderClock& clock) {
  std::vector<bench::LoaderClock::Time> times;
  clock.run(std::max<int64_t>(1, a.images / 8));   // files and memory are there
  for (int64_t i = 0; i < a.rounds; ++i) times.push_back(clock.run(a.images));
  const auto [slowest, fastest] = std::ranges::minmax(times, {}, &bench::LoaderClock::Time::rate);
  if (a.json)
    std::printf("%s\n", Json{{"images_per_second", bench::median_rate(times)},
                             {"slowest", slowest.rate()},
                             {"fastest", fastest.rate()},
                             {"images", times[0].images},
                             {"rounds", a.rounds},
                             {"workers", a.workers},
                             {"batch", a.batch}}
                            .dump()
                            .c_str());
  else
    std::printf("%.1f images/s (%.1f to %.1f; %lld rounds of %lld images, %d workers, batches of %lld)\n",
                bench::median_rate(times), slowest.rate(), fastest.rate(), static_cast<long long>(a.rounds),
                static_cast<long long>(times[0].images), a.workers, static_cast<long long>(a.batch));
  flush_output();
}

void run(const Arguments& a) {
  const std::string root = a.data_dir.empty() ? a.data : a.data_dir;
  if (root.empty()) throw Error(Error::Kind::argument, "no folder of images", "fovea bench-loader DIR");
  const std::unique_ptr<data::Reader> reader = open_images(a.input, root, a.evaluation ? a.val_split : a.train_split);
  const auto classes = static_cast<int>(reader->classes().size());
  const Model model = zoo::create(a.model, wanted_model(a, classes));
  const data::EvalConfig eval = eval_config(*model, a.input);
  data::LoaderOptions o = loader_options(a, eval, *model, classes);
  if (a.evaluation) o.train.reset(), o.mix.reset(), o.sizes.reset();
  data::Loader loader(*reader, o);
  bench::LoaderClock clock(loader);
  if (a.worker) serve(clock);
  else report(a, clock);
}

}  // namespace

void add_bench_loader(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("bench-loader", "measure how many images a second become batches");
  add_training_options(command, *a);
  command.add_flag("--eval", a->evaluation, "as images are evaluated, not as they are trained on");
  command.add_option("--images", a->images, "so many a round").check(in_range(1, 1 << 30));
  command.add_option("--rounds", a->rounds, "how many").check(in_range(1, 10000));
  command.add_flag("--json", a->json, "one line of JSON");
  command.add_flag("--worker", a->worker, "wait for lines 'run N'");
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
