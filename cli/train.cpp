// SPDX-License-Identifier: Apache-2.0
// cli/train.cpp — `fovea train DIR --model M …`: training a classifier, by the flags of timm's train.py.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/dry_run.h"
#include "cli/evaluate.h"
#include "cli/head.h"
#include "cli/imbalance.h"
#include "cli/objective.h"
#include "cli/options.h"
#include "cli/processes.h"
#include "cli/recipe.h"
#include "cli/settings_file.h"
#include "cli/signals.h"
#include "cli/training.h"
#include "cli/training_log.h"
#include "cli/training_model.h"
#include "cli/training_page.h"
#include "engine/core/cancel.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/core/threads.h"
#include "engine/ops/ops.h"
#include "train/fit.h"
#include "weights_tools/atomic_file.h"

namespace fovea::cli {
namespace {

constexpr int kInterrupted = 130, kDiverged = 3;   // exit codes

std::string experiment_name(const TrainingOptions& o, int size) {
  if (!o.experiment.empty()) return o.experiment;
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", std::localtime(&now));
  std::string name = str_cat(text, '-', o.model, '-', size);
  std::ranges::replace(name, '/', '_');
  return name;
}

// What evaluation asks about; sequences have no loader.
struct Asked {
  const data::Reader& images;
  std::unique_ptr<data::Loader> loader;
  std::optional<SequenceAnswers::Options> sequences{};
};

struct Evaluate final : train::Evaluator {
  Evaluate(zoo::ImageModel& m, Asked& a, train::Ema* average, const zoo::ModelOptions& wanted,
           const TrainingOptions& o, AnswerListener* page, Peers* peers)
      : model(m),
        asked(a),
        ema(average),
        listener(page) {
    if (ema) averaged = zoo::create(o.model, wanted);
    options.group = o.tta;
    options.peers = peers;
    listens = !o.html.empty();
  }
  train::Evaluation operator()() override {
    const UseCancellation until(&FirstInterrupt::flag());
    options.listener = ema ? nullptr : listener;
    options.listens = listens && !ema;
    const train::Evaluation plain = measured(model, true);
    if (!ema) return plain;
    averaged->load(ema->state_dict());
    options.listener = listener;
    options.listens = listens;
    const train::Evaluation e = measured(*averaged, false);
    say(str_cat("  without the average:  ", figures_text(plain)));
    return e;
  }
  train::Evaluation measured(zoo::ImageModel& asked_model, bool tells) {
    std::unique_ptr<Answers> answers;
    if (asked.sequences) answers = std::make_unique<SequenceAnswers>(asked_model, asked.images, *asked.sequences);
    else answers = std::make_unique<ImageAnswers>(asked_model, *asked.loader);
    const Scores scores = score(*answers, options);
    if (tells) tell_bad(answers->bad());
    return scores.evaluation();
  }
  zoo::ImageModel& model;
  Asked& asked;
  train::Ema* ema;
  AnswerListener* listener;
  bool listens = false;
  Model averaged;
  ScoreOptions options{};
};

// Steps of all shapes and what they change.
struct Parts {
  Model model;
  std::unique_ptr<train::Ema> ema;
  std::unique_ptr<train::Optimizer> optimizer;
  std::unique_ptr<train::Step> step;
};

// `several`: labels an image.
Parts make_parts(const TrainingOptions& o, const zoo::ModelOptions& wanted, double lr, double usual, bool several,
                 const Processes& all) {
  Parts p;
  p.model = make_model(o, wanted);
  ask_for_gradients(*p.model, o);
  p.optimizer = std::make_unique<train::Optimizer>(train::rule(o.opt, rule_settings(o)), groups_of(*p.model, o), lr);
  if (o.ema)
    p.ema = std::make_unique<train::Ema>(*p.model, train::EmaOptions{.decay = o.ema_decay, .warmup = o.ema_warmup});
  train::StepOptions s{.objective = objective_of(o, *p.model, several, usual),
                       .accumulate = o.accumulate,
                       .seed = static_cast<uint64_t>(o.seed + all.rank()),       // each drops other values
                       .ema = p.ema.get(),
                       .skip_not_finite = true,
                       .peers = all.peers(),
                       .sync_batch_norm = o.sync_bn,
                       .share_statistics = !o.no_ddp_bb,
                       .bucket_bytes = static_cast<int64_t>(o.bucket_mib * (1 << 20))};
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

// Images to train on, and those to evaluate on, if there are any.
struct Images {
  std::unique_ptr<data::Reader> training, validation;
};

Images images_of(const TrainingOptions& o) {
  const std::string root = o.data_dir.empty() ? o.data : o.data_dir;
  if (root.empty()) throw Error(Error::Kind::argument, "no folder of images", "fovea train DIR --model NAME");
  Images out{.training = open_images(o.input, root, o.train_split), .validation = {}};
  if (!o.val_split.empty()) out.validation = open_images(o.input, root, o.val_split, out.training->classes());
  if (out.validation && out.validation->multi_label() && !out.training->multi_label())
    throw Error(Error::Kind::argument, "images of evaluation have several labels, those of training one",
                "--val-split '' trains without; --target-key names the classes");
  return out;
}

// --eval-metric, or what it is by default of one label or of several.
std::string metric_of(const TrainingOptions& o, const Images& images) {
  const bool several = images.training->multi_label();
  if (o.metric.empty()) return several ? "map" : "top1";
  const bool of_one = o.metric == "top1" || o.metric == "top5";
  if (o.metric != "loss" && of_one == several)
    throw Error(Error::Kind::argument,
                str_cat("--eval-metric ", o.metric, ": images have ", several ? "several labels" : "one label each"),
                several ? "map, micro_f1, macro_f1, sample_f1 or loss" : "top1, top5 or loss");
  return o.metric;
}

Asked asked_of(const TrainingOptions& o, const Images& images, zoo::ImageModel& model, const data::EvalConfig& eval,
               const Processes& all) {
  const data::Shard shard = all.shard(std::max<int64_t>(1, o.tta));
  const int64_t batch = o.validation_batch.value_or(o.batch);
  const bool several = images.training->multi_label();
  if (o.sequences())
    return {.images = *images.validation,
            .loader = {},
            .sequences = SequenceAnswers::Options{.batch = batch,
                                                  .eval = eval,
                                                  .limits = sequence_limits(model, o.max_seq_len, {}),
                                                  .wants = {},
                                                  .most_bad = o.most_bad,
                                                  .label_classes = several ? model.num_classes() : 0,
                                                  .shard = shard}};
  const data::LoaderOptions reading{.batch = batch,
                                    .workers = o.workers,
                                    .eval = eval,
                                    .fast_decode = o.input.fast_decode,
                                    .classes = model.num_classes(),
                                    .several_labels = several,
                                    .most_bad = o.most_bad,
                                    .shard = shard};
  return {.images = *images.validation,
          .loader = std::make_unique<data::Loader>(*images.validation, reading),
          .sequences = {}};
}

train::Schedule schedule_of(const TrainingOptions& o, int64_t batches, double lr) {
  train::ScheduleOptions s = o.schedule;
  s.updates_per_epoch = batches;
  s.noise_seed = o.seed;
  s.plateau_max = o.metric != "loss";
  return {s, lr};
}

// The checkpoint to go on from; "" where training begins anew.
std::string resumed(const TrainingOptions& o, const train::Checkpoints& checkpoints) {
  if (o.resume != "auto") return o.resume;
  const std::string newest = checkpoints.newest();
  if (!newest.empty()) return checkpoints.path(newest);
  tell(str_cat("no checkpoint in ", checkpoints.folder(), ": training begins anew"));
  return "";
}

int64_t first_epoch(const TrainingOptions& o, const std::string& resume) {
  if (resume.empty() || o.no_resume_opt || o.start_epoch >= 0) return std::max<int64_t>(0, o.start_epoch);
  return std::stoll(train::read_notes(resume).at("epoch"));
}

// Null: another process writes it.
void note(TrainingLog* log, const std::string& text) {
  if (log) log->note(text);
}

void keep_settings(const train::Checkpoints& checkpoints, const std::string& settings) {
  AtomicFile arguments(checkpoints.folder() + "/args.yaml");
  arguments.write(settings);
  arguments.commit();
}

int finish(train::Ended ended, const train::Fit& fit, const std::string& recovery, TrainingLog* log) {
  if (ended == train::Ended::interrupted) {
    note(log, str_cat("interrupted: --resume ", recovery, " goes on"));
    return kInterrupted;
  }
  if (ended == train::Ended::diverged) {
    note(log, str_cat("the loss is not finite any more; ", recovery, " is from before"));
    return kDiverged;
  }
  if (!log) return 0;
  if (fit.out_of_patience()) log->note(str_cat("no better for a while: ended after epoch ", fit.epoch() - 1));
  if (fit.best()) log->note(str_cat("*** Best metric: ", *fit.best(), " (epoch ", fit.best_epoch(), ")"));
  std::printf("--result\n%s\n", log->best().dump(4).c_str());
  flush_output();
  return 0;
}

// Before anything is read or fetched.
void check_licenses(const TrainingOptions& o) {
  if (o.pretrained && o.pretrained_path.empty()) check_license(o.model, o.licenses);
  if (o.teacher.find('=') == o.teacher.npos) check_license(o.teacher, o.licenses);
}

std::string run_folder(const TrainingOptions& o, const data::EvalConfig& eval) {
  return str_cat(o.output.empty() ? "output/train" : o.output, '/', experiment_name(o, eval.input_size[1]));
}

// The page of a run, where one is wanted.
std::optional<TrainingPage> page_of(const TrainingOptions& o, const Images& images, const std::vector<Choice>& recipe,
                                    int64_t epochs) {
  if (o.html.empty()) return {};
  PageFacts facts{.title = o.model, .about = {}, .classes = images.training->classes(),
                  .images = class_counts(*images.training).images, .epochs = epochs,
                  .asked = images.validation.get()};
  facts.about.emplace_back("images to train on",
                           str_cat(images.training->size(), ", the first ", images.training->name(0)));
  if (images.validation)
    facts.about.emplace_back("images of evaluation",
                             str_cat(images.validation->size(), ", the first ", images.validation->name(0)));
  for (const Choice& c : recipe) facts.about.emplace_back(c.flag, str_cat(c.value, ": ", c.why));
  return std::optional<TrainingPage>(std::in_place, o.html, std::move(facts));
}

int run_head(const TrainingOptions& o, const std::string& settings, const Images& images,
             const std::vector<Choice>& recipe) {
  check_head_only(o);
  const Model model = make_model(o, wanted_model(o, static_cast<int>(images.training->classes().size())));
  std::optional<TrainingPage> page = page_of(o, images, recipe, 0);
  const bool others = images.validation && images.validation->name(0) != images.training->name(0);
  try {
    train_head({o, *model, *images.training, others ? images.validation.get() : nullptr,
                run_folder(o, eval_config(*model, o.input)), settings, page ? &*page : nullptr});
    return 0;
  } catch (const Cancelled&) {
    if (page) page->end("interrupted");
    return kInterrupted;
  }
}

// What evaluates after each epoch, where there are images for that.
struct Evaluation {
  std::optional<Asked> asked;
  std::optional<Evaluate> evaluate;
  train::Evaluator* get() { return evaluate ? &*evaluate : nullptr; }
};

train::FitOptions fit_options(const TrainingOptions& o, const Processes& all) {
  using Statistics = train::FitOptions::Statistics;
  return {.stop_epoch = o.stop_epoch,
          .val_interval = o.val_interval,
          .recovery_interval = o.recovery_interval,
          .history = o.history,
          .metric = o.metric,
          .milestones = o.save_epochs,
          .patience = o.patience,
          .peers = all.peers(),
          .statistics = o.dist_bn == "reduce"      ? Statistics::mean
                        : o.dist_bn == "broadcast" ? Statistics::first
                                                   : Statistics::kept};
}

// What one process of all does: it keeps checkpoints, and says what goes on.
struct Writer {
  Writer(const TrainingOptions& o, const std::string& settings, const Images& images,
         const std::vector<Choice>& recipe, int64_t epochs, const std::string& folder)
      : checkpoints(folder), page(page_of(o, images, recipe, epochs)) {
    keep_settings(checkpoints, settings);
  }
  TrainingPage* shown() { return page ? &*page : nullptr; }
  train::Checkpoints checkpoints;
  std::optional<TrainingPage> page;
  std::optional<TrainingLog> log;
};

std::string summary(const Parts& parts, const Images& images, const train::Schedule& schedule, double lr,
                    const std::string& folder, const Processes& all) {
  return str_cat(parts.model->full_name(), ", ", parts.model->parameter_count(), " parameters; ",
                 images.training->size(), " images of ", images.training->classes().size(), " classes to train on, ",
                 images.validation ? images.validation->size() : 0, " to evaluate; learning rate ", lr, ", ",
                 schedule.epochs(), " epochs; ",
                 all.count() > 1 ? str_cat(all.count(), " processes of ", threads(), " threads; ") : "", folder);
}

// What runs to its end, whatever that is.
int run(const TrainingOptions& o, const std::string& settings, const Images& images,
        const std::vector<Choice>& recipe, const Processes& all) {
  const auto size = static_cast<int64_t>(images.training->size());
  const double usual = usual_batch(o, (size + all.count() - 1) / all.count());
  const double lr = learning_rate(o, usual * all.count());
  const zoo::ModelOptions wanted = wanted_model(o, static_cast<int>(images.training->classes().size()));
  Parts parts = make_parts(o, wanted, lr, usual, images.training->multi_label(), all);
  const data::EvalConfig eval = eval_config(*parts.model, o.input);
  const data::LoaderOptions reading =
      loader_options(o, eval, *parts.model, parts.model->num_classes(), all.shard());
  data::Loader loader(*images.training, reading);
  train::Schedule schedule = schedule_of(o, loader.batches(), lr);
  if (o.dry_run) {
    if (all.writes())
      dry_run({o, settings, *parts.model, *parts.optimizer, schedule, *images.training,
               images.validation ? static_cast<int64_t>(images.validation->size()) : 0, reading, eval,
               loader.batches(), loss_text(o, images.training->multi_label())});
    return 0;
  }
  const std::string folder = all.agreed(run_folder(o, eval));
  std::optional<Writer> writer;
  if (all.writes()) writer.emplace(o, settings, images, recipe, schedule.epochs(), folder);
  Evaluation evaluation;
  if (images.validation) {
    evaluation.asked.emplace(asked_of(o, images, *parts.model, eval, all));
    evaluation.evaluate.emplace(*parts.model, *evaluation.asked, parts.ema.get(), wanted, o,
                                writer ? writer->shown() : nullptr, all.peers());
  }
  const FirstInterrupt interrupts;
  const std::string resume = all.agreed(writer ? resumed(o, writer->checkpoints) : "");
  if (writer) writer->log.emplace(o, folder, first_epoch(o, resume), loader.images_at_a_time(), writer->shown());
  TrainingLog* const log = writer ? &*writer->log : nullptr;
  QuietLog quiet;
  train::Fit fit(*parts.model, *parts.optimizer, *parts.step, schedule, loader, fit_options(o, all),
                 writer ? &writer->checkpoints : nullptr, evaluation.get(),
                 log ? static_cast<train::Listener*>(log) : &quiet);
  if (!resume.empty()) {
    if (!o.no_resume_opt) fit.resume(resume);
    else if (all.writes()) zoo::load_weights(*parts.model, resume);        // run() shares them
    note(log, str_cat("going on from ", resume, ": epoch ", fit.epoch(), ", ", fit.updates(), " steps"));
  }
  if (o.start_epoch >= 0) fit.start_at(o.start_epoch);
  note(log, summary(parts, images, schedule, lr, folder, all));
  const train::Ended ended = fit.run();
  if (writer && writer->page)
    writer->page->end(fit.out_of_patience() ? "done: no better for a while" : std::string(train::name_of(ended)));
  return finish(ended, fit, folder + "/recovery.safetensors", log);
}

// Looks at the images first: they decide what flags do not say.
int prepare_and_run(Command command, TrainingOptions& o) {
  check(o);
  check_licenses(o);
  const Processes all(o.threads);
  if (o.head_only && all.count() > 1)
    throw Error(Error::Kind::unsupported, str_cat("--head-only in ", all.count(), " processes"),
                "features are computed once, and the rest takes seconds: start one process with all threads");
  const Images images = images_of(o);
  if (!o.head_only && images.validation && images.validation->name(0) == images.training->name(0))
    tell("evaluation asks about the images of training: " +
         (o.val_split == o.train_split ? "--val-split names them" : str_cat("there is no folder ", o.val_split)));
  o.metric = metric_of(o, images);
  const std::vector<Choice> recipe = take_recipe(command, o, *images.training, all.count());
  if (o.head_only) return run_head(o, settings_text(command), images, recipe);
  o.class_weight = class_weights(o, *images.training,
                                 o.input.num_classes.value_or(static_cast<int>(images.training->classes().size())));
  return run(o, settings_text(command), images, recipe, all);
}

}  // namespace

void add_train(Command app) {
  auto o = std::make_shared<TrainingOptions>();
  auto config = std::make_shared<std::string>();
  Command command = app.add_subcommand("train", "train a classifier on a folder of images");
  add_training_options(command, *o);
  command.add_option("-c,--config", *config, "a file of flags, as args.yaml beside checkpoints");
  command.callback([=] {
    if (!config->empty())
      for (const std::string& key : apply_settings(command, *config)) tell(str_cat(*config, ": no flag '", key, "'"));
    const int code = prepare_and_run(command, *o);
    if (code != 0) throw ExitCode{code};
  });
}

}  // namespace fovea::cli
