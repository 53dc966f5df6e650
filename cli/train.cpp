// SPDX-License-Identifier: Apache-2.0
// cli/train.cpp — `fovea train DIR --model M …`: training a classifier, by the flags of timm's train.py.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "bench/progress.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/evaluate.h"
#include "cli/settings_file.h"
#include "cli/signals.h"
#include "cli/training.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/core/threads.h"
#include "train/fit.h"
#include "train/summary.h"
#include "weights_tools/atomic_file.h"

namespace fovea::cli {
namespace {

constexpr int kInterrupted = 130, kDiverged = 3;   // exit codes

using Model = std::unique_ptr<zoo::ImageModel>;

zoo::ModelOptions wanted_model(const TrainingOptions& o, int classes) {
  zoo::ModelOptions m = model_options(o.input);
  m.num_classes = o.input.num_classes.value_or(classes);
  m.checkpointing = o.grad_checkpointing;
  if (o.drop > 0) m.drop_rate = static_cast<float>(o.drop);
  if (o.drop_path) m.drop_path_rate = static_cast<float>(*o.drop_path);
  if (o.drop_block && *o.drop_block > 0) m.set.emplace_back("drop_block_rate", cat(*o.drop_block));
  return m;
}

Model make_model(const TrainingOptions& o, const zoo::ModelOptions& wanted) {
  zoo::ModelOptions m = wanted;
  m.pretrained = o.pretrained && o.pretrained_path.empty();
  Model model = zoo::create(o.model, m);
  if (!o.pretrained_path.empty())
    tell_adapted(zoo::load_weights(*model, o.pretrained_path, {.fine_tune = true}), o.pretrained_path);
  if (!o.initial_checkpoint.empty()) zoo::load_weights(*model, o.initial_checkpoint);
  model->materialise(static_cast<uint64_t>(o.seed));
  return model;
}

// All but frozen ones.
void ask_for_gradients(zoo::ImageModel& model, const TrainingOptions& o) {
  model.train().set_requires_grad();
  for (const std::string& pattern : o.freeze) {
    bool any = false;
    for (const NamedParameter& p : model.named_parameters())
      if (glob_match(pattern, p.name)) p.tensor().set_requires_grad(false), any = true;
    if (!any) throw Error(Error::Kind::argument, cat("--freeze ", pattern, ": no parameter is called so"));
  }
}

std::vector<train::ParameterGroup> groups_of(zoo::ImageModel& model, const TrainingOptions& o) {
  train::GroupOptions g{.weight_decay = o.weight_decay,
                        .no_weight_decay = model.no_weight_decay(),
                        .fallback = o.fallback_list,
                        .fallback_no_weight_decay = o.fallback_no_weight_decay,
                        .layer_decay = o.layer_decay,
                        .layer_decay_min_scale = o.layer_decay_min_scale,
                        .layer_decay_no_opt_scale = o.layer_decay_no_opt_scale};
  if (o.layer_decay) {
    g.layers = model.group_matcher(false).empty() ? train::automatic_layers(model, model.classifier_name())
                                                  : zoo::layer_numbers(model);
  }
  return train::parameter_groups(model, g);
}

train::LossOptions loss_of(const TrainingOptions& o) {
  train::LossOptions l{.kind = o.bce_loss ? "bce" : o.loss, .smoothing = o.smoothing};
  l.bce_sum = o.bce_sum;
  l.bce_target_thresh = o.bce_target_thresh;
  if (o.bce_pos_weight) l.pos_weight = {*o.bce_pos_weight};
  return l;
}

data::TrainConfig train_config(const data::EvalConfig& eval, const TrainingOptions& o) {
  data::TrainConfig c{.input_size = eval.input_size, .augment = !o.no_aug, .mean = eval.mean, .std = eval.std};
  if (!o.scale.empty()) c.scale = {o.scale[0], o.scale[1]};
  if (!o.ratio.empty()) c.ratio = {o.ratio[0], o.ratio[1]};
  c.hflip = o.hflip;
  c.vflip = o.vflip;
  if (o.train_interpolation != "random") c.interpolation = data::parse_filter(o.train_interpolation);
  return c;
}

std::string experiment_name(const TrainingOptions& o, int size) {
  if (!o.experiment.empty()) return o.experiment;
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", std::localtime(&now));
  std::string name = cat(text, '-', o.model, '-', size);
  std::ranges::replace(name, '/', '_');
  return name;
}

// The newest whole checkpoint; "" where there is none.
std::string newest(const train::Checkpoints& checkpoints) {
  const std::vector<std::string> names = checkpoints.whole();
  return names.empty() ? "" : checkpoints.path(names[0]);
}

struct Evaluate final : train::Evaluator {
  Evaluate(zoo::ImageModel& m, data::Loader& l, train::Ema* average, const zoo::ModelOptions& o,
           const std::string& name)
      : model(m),
        loader(l),
        ema(average) {
    if (ema) averaged = zoo::create(name, o);
  }
  train::Evaluation operator()() override {
    const train::Evaluation plain = score(model, loader).evaluation();
    if (!ema) return plain;
    averaged->load(ema->state_dict());
    const train::Evaluation e = score(*averaged, loader).evaluation();
    std::fprintf(stderr, "  without the average: loss %.4f, top-1 %.3f %%, top-5 %.3f %%\n", plain.loss, plain.top1,
                 plain.top5);
    return e;
  }
  zoo::ImageModel& model;
  data::Loader& loader;
  train::Ema* ema;
  Model averaged;
};

// The log on stderr, and files beside the checkpoints.
class Log final : public train::Listener {
 public:
  Log(const TrainingOptions& o, const std::string& folder, int64_t first_epoch)
      : o_(o), summary_(folder + "/summary.csv", first_epoch), events_(folder), steps_(folder + "/steps.jsonl"),
        images_(o.batch * o.accumulate) {}

  void step(const train::StepReport& r) override {
    const bool last = r.batch == r.batches, due = r.batch % o_.log_interval == 0 || last || r.batch == 1;
    if (r.result.skipped)
      note(cat("step ", r.updates, ": loss ", r.result.loss, ", gradients ", r.result.norm, ": nothing was changed"));
    const double now = bench::now();
    const double rate = began_ > 0 ? static_cast<double>((r.updates - counted_) * images_) / (now - began_) : 0;
    if (due) {
      char text[200];
      std::snprintf(text, sizeof text, "Train: %lld [%4lld/%lld (%3.0f%%)]  Loss: %#.4g (%#.3g)  LR: %.3e  %.1f/s",
                    static_cast<long long>(r.epoch), static_cast<long long>(r.batch), static_cast<long long>(r.batches),
                    100.0 * static_cast<double>(r.batch) / static_cast<double>(r.batches), r.result.loss, r.mean_loss,
                    r.lr, rate);
      note(text);
      const train::Numbers numbers{{"epoch", static_cast<double>(r.epoch)}, {"step", static_cast<double>(r.updates)},
                                   {"loss", r.result.loss}, {"norm", r.result.norm}, {"lr", r.lr},
                                   {"images_per_second", rate}};
      append_line(train::json_line(numbers));
      events_.add(r.updates, {{"train/loss", r.result.loss}, {"train/lr", r.lr}, {"train/norm", r.result.norm}});
    } else if (line_.due()) {
      line_.show(cat("epoch ", r.epoch, ": ", bench::how_far(r.batch, r.batches, "steps", now - epoch_began_)));
    }
    if (began_ == 0 || due) began_ = now, counted_ = r.updates;
  }

  void epoch(const train::EpochReport& r) override {
    train::Numbers row{{"train_loss", r.loss}};
    nlohmann::ordered_json entry{{"epoch", r.epoch}, {"train", {{"loss", r.loss}}}};
    if (r.evaluation) {
      const train::Evaluation& e = *r.evaluation;
      char text[200];
      std::snprintf(text, sizeof text, "Test: %lld  Loss: %.4f  Acc@1: %.3f  Acc@5: %.3f%s",
                    static_cast<long long>(r.epoch), e.loss, e.top1, e.top5, r.best ? "  *" : "");
      note(text);
      row.insert(row.end(), {{"eval_loss", e.loss}, {"eval_top1", e.top1}, {"eval_top5", e.top5}});
      entry["validation"] = {{"loss", e.loss}, {"top1", e.top1}, {"top5", e.top5}};
      events_.add(r.updates, {{"eval/loss", e.loss}, {"eval/top1", e.top1}, {"eval/top5", e.top5}});
    }
    if (r.bad_images > 0) note(cat(r.bad_images, " images could not be read"));
    row.emplace_back("lr", r.lr);
    summary_.add(r.epoch, row);
    results_.push_back(std::move(entry));
    began_ = 0;
    epoch_began_ = bench::now();
  }
  bool stop() override { return FirstInterrupt::came(); }

  void note(const std::string& text) {
    line_.clear();
    std::fprintf(stderr, "%s\n", text.c_str());
  }

  // The ten best epochs, the best first, as timm's script ends.
  nlohmann::ordered_json best() const {
    std::vector<nlohmann::ordered_json> sorted = results_;
    const auto metric = [&](const nlohmann::ordered_json& e) {
      const nlohmann::ordered_json& part = e.contains("validation") ? e["validation"] : e["train"];
      return part.contains(o_.metric) ? part[o_.metric].get<double>() : 0.0;
    };
    std::ranges::stable_sort(sorted, [&](const auto& a, const auto& b) {
      return o_.metric == "loss" ? metric(a) < metric(b) : metric(a) > metric(b);
    });
    if (sorted.size() > 10) sorted.resize(10);
    return sorted;
  }

 private:
  void append_line(const std::string& text) {
    std::FILE* f = std::fopen(steps_.c_str(), "a");
    if (!f) return;                                // training does not end for the sake of its log
    std::fprintf(f, "%s\n", text.c_str());
    std::fclose(f);
  }

  const TrainingOptions& o_;
  train::SummaryCsv summary_;
  train::EventFile events_;
  std::string steps_;
  int64_t images_, counted_ = 0;
  double began_ = 0, epoch_began_ = bench::now();
  bench::Progress line_;
  std::vector<nlohmann::ordered_json> results_;
};

// Steps of all shapes and what they change.
struct Parts {
  Model model;
  std::unique_ptr<train::Ema> ema;
  std::unique_ptr<train::Optimizer> optimizer;
  std::unique_ptr<train::Step> step;
};

Parts make_parts(const TrainingOptions& o, const zoo::ModelOptions& wanted, double lr) {
  Parts p;
  p.model = make_model(o, wanted);
  ask_for_gradients(*p.model, o);
  p.optimizer = std::make_unique<train::Optimizer>(train::rule(o.opt, rule_settings(o)), groups_of(*p.model, o), lr);
  if (o.ema)
    p.ema = std::make_unique<train::Ema>(*p.model, train::EmaOptions{.decay = o.ema_decay, .warmup = o.ema_warmup});
  train::StepOptions s{.objective = train::classification(train::classification_loss(loss_of(o))),
                       .accumulate = o.accumulate,
                       .seed = static_cast<uint64_t>(o.seed),
                       .ema = p.ema.get(),
                       .skip_not_finite = true};
  if (o.clip_grad) {
    s.clip = train::parse_clip(o.clip_mode);
    s.clip_bound = *o.clip_grad;
    // the classifier's two are spared by agc
    const std::vector<NamedParameter> all = p.model->named_parameters();
    for (size_t i = all.size() < 2 ? 0 : all.size() - 2; i < all.size(); ++i) s.clip_spared.push_back(all[i].name);
  }
  p.step = std::make_unique<train::Step>(*p.model, *p.optimizer, s);
  if (!o.eager) p.step->compile();
  return p;
}

int run(const TrainingOptions& o, const std::string& settings) {
  if (o.threads > 0) set_threads(o.threads);
  const std::string root = o.data_dir.empty() ? o.data : o.data_dir;
  if (root.empty()) throw Error(Error::Kind::argument, "no folder of images", "fovea train DIR --model NAME");
  const data::ImageFolder training(data::split_folder(root, o.train_split), class_map(o.input));
  const data::ImageFolder validation(data::split_folder(root, o.val_split), training.classes());
  const double lr = learning_rate(o);
  const zoo::ModelOptions wanted = wanted_model(o, static_cast<int>(training.classes().size()));
  Parts parts = make_parts(o, wanted, lr);
  const data::EvalConfig eval = eval_config(*parts.model, o.input);

  data::Loader loader(training, {.batch = o.batch * o.accumulate,
                                 .workers = o.workers,
                                 .seed = static_cast<uint64_t>(o.seed),
                                 .train = train_config(eval, o)});
  data::Loader evaluated(validation,
                         {.batch = o.validation_batch.value_or(o.batch), .workers = o.workers, .eval = eval});
  train::ScheduleOptions schedule_options = o.schedule;
  schedule_options.updates_per_epoch = loader.batches();
  schedule_options.noise_seed = o.seed;
  schedule_options.plateau_max = o.metric != "loss";
  train::Schedule schedule(schedule_options, lr);

  train::Checkpoints checkpoints(cat(o.output.empty() ? "output/train" : o.output, '/',
                                     experiment_name(o, eval.input_size[1])));
  AtomicFile arguments(checkpoints.folder() + "/args.yaml");
  arguments.write(settings);
  arguments.commit();
  std::string resume = o.resume;
  if (resume == "auto") resume = newest(checkpoints);

  Evaluate evaluate(*parts.model, evaluated, parts.ema.get(), wanted, o.model);
  const FirstInterrupt interrupts;
  train::FitOptions fit_options{.epochs = 0,
                                .stop_epoch = o.stop_epoch,
                                .val_interval = o.val_interval,
                                .recovery_interval = o.recovery_interval,
                                .history = o.history,
                                .metric = o.metric};
  int64_t first = 0;
  if (!resume.empty() && !o.no_resume_opt) first = std::stoll(train::read_notes(resume).at("epoch"));
  Log log(o, checkpoints.folder(), first);
  train::Fit fit(*parts.model, *parts.optimizer, *parts.step, schedule, loader, fit_options, &checkpoints, &evaluate,
                 &log);
  if (!resume.empty()) {
    if (o.no_resume_opt) zoo::load_weights(*parts.model, resume);
    else fit.resume(resume);
    log.note(cat("going on from ", resume, ": epoch ", fit.epoch(), ", ", fit.updates(), " steps"));
  }
  log.note(cat(parts.model->full_name(), ", ", parts.model->parameter_count(), " parameters; ",
               training.samples().size(), " images of ", training.classes().size(), " classes to train on, ",
               validation.samples().size(), " to evaluate; learning rate ", lr, ", ", schedule.epochs(), " epochs; ",
               checkpoints.folder()));
  const train::Ended ended = fit.run();
  if (ended == train::Ended::interrupted) {
    log.note(cat("interrupted: --resume ", checkpoints.path("recovery"), " goes on"));
    return kInterrupted;
  }
  if (ended == train::Ended::diverged) {
    log.note(cat("the loss is not finite any more; ", checkpoints.path("recovery"), " is from before"));
    return kDiverged;
  }
  if (fit.best()) log.note(cat("*** Best metric: ", *fit.best(), " (epoch ", fit.best_epoch(), ")"));
  std::printf("--result\n%s\n", log.best().dump(4).c_str());
  flush_output();
  return 0;
}

}  // namespace

void add_train(CLI::App& app) {
  auto o = std::make_shared<TrainingOptions>();
  auto config = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("train", "train a classifier on a folder of images");
  add_training_options(*command, *o);
  command->add_option("-c,--config", *config, "a file of flags, as args.yaml beside checkpoints");
  command->callback([=] {
    if (!config->empty())
      for (const std::string& key : apply_settings(*command, *config)) tell(cat(*config, ": no flag '", key, "'"));
    const int code = run(*o, settings_text(*command));
    if (code != 0) throw CLI::RuntimeError(code);
  });
}

}  // namespace fovea::cli
