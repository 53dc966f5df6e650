// SPDX-License-Identifier: Apache-2.0
// cli/train.cpp — `fovea train DIR --model M …`: training a classifier, by the flags of timm's train.py.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/dry_run.h"
#include "cli/evaluate.h"
#include "cli/head.h"
#include "cli/imbalance.h"
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
#include "train/distill.h"
#include "train/fit.h"
#include "weights_tools/atomic_file.h"

namespace fovea::cli {
namespace {

constexpr int kInterrupted = 130, kDiverged = 3;   // exit codes

train::LossOptions loss_of(const TrainingOptions& o, bool several) {
  train::LossOptions l{.kind = o.jsd_loss ? "jsd" : o.bce_loss ? "bce" : o.loss,
                       .multi_label = several,
                       .soft_targets = o.mixes(),
                       .smoothing = o.smoothing};
  l.jsd_splits = o.aug_splits;
  l.bce_sum = o.bce_sum;
  l.bce_target_thresh = o.bce_target_thresh;
  if (o.bce_pos_weight) l.pos_weight = {*o.bce_pos_weight};
  l.class_weight = o.class_weight;
  return l;
}

std::string loss_text(const TrainingOptions& o, bool several) {
  const train::LossOptions l = loss_of(o, several);
  std::string out = !l.kind.empty() ? l.kind : several ? "bce" : "ce";
  if (l.smoothing > 0) out += str_cat(", smoothing ", l.smoothing);
  if (l.soft_targets) out += ", of mixed targets";
  return o.teacher.empty() ? out : str_cat(out, "; and what ", o.teacher, " says");
}

data::TrainConfig train_config(const data::EvalConfig& eval, const TrainingOptions& o) {
  data::TrainConfig c{.input_size = eval.input_size, .augment = !o.no_aug, .mean = eval.mean, .std = eval.std};
  c.crop = data::parse_train_crop(o.train_crop_mode);
  if (!o.scale.empty()) c.scale = std::array{o.scale[0], o.scale[1]};
  if (!o.ratio.empty()) c.ratio = std::array{o.ratio[0], o.ratio[1]};
  c.color_jitter = o.color_jitter;
  c.color_jitter_prob = o.color_jitter_prob;
  c.grayscale_prob = o.grayscale_prob;
  c.blur_prob = o.blur_prob;
  c.erasing = {.prob = o.reprob, .fill = data::parse_fill(o.remode), .most = o.recount};
  c.hflip = o.hflip;
  c.vflip = o.vflip;
  if (o.no_aug || o.train_interpolation.empty()) c.interpolation = eval.interpolation;
  else if (o.train_interpolation != "random") c.interpolation = data::parse_filter(o.train_interpolation);
  if (o.aa.empty() || o.no_aug) return c;
  // timm's AugMix moves images less far. Where there is a policy, colours change by it alone, but for 3-Augment.
  c.policy = std::make_shared<data::Policy>(
      o.aa, data::AugmentSettings{.fill = data::mean_colour(c.mean),
                                  .interpolation = c.interpolation,
                                  .translate_share = o.aa.starts_with("augmix") ? 0.3 : 0.45});
  if (o.aa.find("3a") == o.aa.npos) c.color_jitter = 0;
  return c;
}

std::optional<data::MixConfig> mix_config(const TrainingOptions& o, int64_t classes) {
  if (!o.mixes()) return {};
  data::MixConfig c{.mixup = o.mixup, .cutmix = o.cutmix, .prob = o.mixup_prob, .switch_prob = o.mixup_switch_prob};
  if (!o.cutmix_minmax.empty()) c.cutmix_minmax = std::array{o.cutmix_minmax[0], o.cutmix_minmax[1]};
  c.mode = data::parse_mix_mode(o.mixup_mode);
  c.smoothing = o.smoothing;
  c.classes = classes;
  c.off_epoch = o.mixup_off_epoch;
  return c;
}

std::optional<data::SizeConfig> size_config(const TrainingOptions& o) {
  if (o.img_sizes.empty()) return {};
  data::SizeConfig c{.sizes = o.img_sizes, .batches = o.batch_sizes, .weights = o.size_probs};
  if (c.batches.empty()) c.batches.assign(c.sizes.size(), o.batch);
  c.progressive = o.size_schedule == "progressive";
  c.epochs = o.schedule.epochs;
  c.spread = o.size_spread;
  c.random_mix = o.size_random_mix;
  c.batches_an_epoch = o.batches_an_epoch;
  return c;
}

// Images in a batch of one process, on average, of so many that it has.
double usual_batch(const TrainingOptions& o, int64_t images) {
  const std::optional<data::SizeConfig> sizes = size_config(o);
  return sizes ? data::SizeSchedule(*sizes, images, static_cast<uint64_t>(o.seed)).average_batch()
               : static_cast<double>(o.batch);
}

// Losses of batches that are larger or smaller than others count more or less.
struct ByBatch final : train::Objective {
  ByBatch(std::shared_ptr<const train::Objective> f, double n, double e) : inner(std::move(f)), usual(n), power(e) {}
  Tensor operator()(Module& model, std::span<const Tensor> batch) const override {
    return (*inner)(model, batch) * std::pow(static_cast<double>(batch[0].dim(0)) / usual, power);
  }
  std::shared_ptr<const train::Objective> inner;
  double usual, power;
};

std::string experiment_name(const TrainingOptions& o, int size) {
  if (!o.experiment.empty()) return o.experiment;
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", std::localtime(&now));
  std::string name = str_cat(text, '-', o.model, '-', size);
  std::ranges::replace(name, '/', '_');
  return name;
}

struct Evaluate final : train::Evaluator {
  Evaluate(zoo::ImageModel& m, data::Loader& l, train::Ema* average, const zoo::ModelOptions& wanted,
           const TrainingOptions& o, AnswerListener* page, Peers* peers)
      : model(m),
        loader(l),
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
    const train::Evaluation plain = score(model, loader, options).evaluation();
    tell_bad(loader);
    if (!ema) return plain;
    averaged->load(ema->state_dict());
    options.listener = listener;
    options.listens = listens;
    const train::Evaluation e = score(*averaged, loader, options).evaluation();
    char text[120];
    std::snprintf(text, sizeof text, "  without the average: loss %.4f, top-1 %.3f %%, top-5 %.3f %%", plain.loss,
                  plain.top1, plain.top5);
    say(text);
    return e;
  }
  zoo::ImageModel& model;
  data::Loader& loader;
  train::Ema* ema;
  AnswerListener* listener;
  bool listens = false;
  Model averaged;
  ScoreOptions options{};
};

struct PooledFeatures final : train::FeatureReader {
  std::pair<Tensor, Tensor> operator()(Module& model, const Tensor& images) const override {
    auto& m = dynamic_cast<zoo::ImageModel&>(model);
    const Tensor map = m.forward_features(images);
    return {m.forward_head(map, true), m.forward_head(map)};
  }
};

std::shared_ptr<const train::Objective> objective_of(const TrainingOptions& o, const zoo::ImageModel& model,
                                                     bool several) {
  std::shared_ptr<const train::Loss> loss = train::classification_loss(loss_of(o, several));
  if (o.teacher.empty()) return train::classification(std::move(loss));
  zoo::ModelOptions wanted{.pretrained = true, .num_classes = model.num_classes(), .in_chans = model.input_size()[0]};
  // "NAME=FILE": with these weights
  const size_t equals = o.teacher.find('=');
  if (equals != o.teacher.npos) wanted.weights = o.teacher.substr(equals + 1), wanted.pretrained = false;
  std::shared_ptr<zoo::ImageModel> teacher = zoo::create(o.teacher.substr(0, equals), wanted);
  train::DistillOptions d{.loss = std::move(loss),
                          .task_weight = o.task_weight,
                          .distill_weight = o.distill_weight,
                          .temperature = o.temperature};
  if (o.distill_type == "feature") d.features = std::make_shared<PooledFeatures>();
  for (const auto& [said, real, whose] : {std::tuple{o.student_features, model.head_hidden_size(), "student"},
                                          std::tuple{o.teacher_features, teacher->head_hidden_size(), "teacher"}})
    if (said && *said != real)
      throw Error(Error::Kind::argument, str_cat("the ", whose, " has ", real, " features, not ", *said));
  const data::EvalConfig ours = eval_config(model, o.input), theirs = fovea::eval_config(*teacher);
  d.student_mean = ours.mean, d.student_std = ours.std;
  d.teacher_mean = theirs.mean, d.teacher_std = theirs.std;
  return train::distillation(std::move(teacher), std::move(d));
}

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
  train::StepOptions s{.objective = objective_of(o, *p.model, several),
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
  if (o.loss_scale != "none")
    s.objective = std::make_shared<ByBatch>(std::move(s.objective), usual, o.loss_scale == "sqrt" ? 0.5 : 1.0);
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
  if (out.validation && out.validation->multi_label())
    throw Error(Error::Kind::unsupported, "how good answers of several labels an image are is not measured yet",
                "--val-split '' trains without");
  return out;
}

}  // namespace

data::LoaderOptions loader_options(const TrainingOptions& o, const data::EvalConfig& eval, int classes,
                                   const data::Shard& shard) {
  return {.batch = o.batch * o.accumulate,
          .workers = o.workers,
          .seed = static_cast<uint64_t>(o.seed),
          .train = train_config(eval, o),
          .mix = mix_config(o, classes),
          .sizes = size_config(o),
          .views = std::max(1, o.aug_splits),
          .repeats = o.aug_repeats,
          .spare_first = o.resplit,
          .fast_decode = o.input.fast_decode,
          .classes = classes,
          .most_bad = o.most_bad,
          .shard = shard};
}

namespace {

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
  std::optional<data::Loader> loader;
  std::optional<Evaluate> evaluate;
  train::Evaluator* get() { return evaluate ? &*evaluate : nullptr; }
};
data::LoaderOptions evaluation_options(const TrainingOptions& o, const data::EvalConfig& eval, const Processes& all) {
  return {.batch = o.validation_batch.value_or(o.batch),
          .workers = o.workers,
          .eval = eval,
          .fast_decode = o.input.fast_decode,
          .most_bad = o.most_bad,
          .shard = all.shard(std::max<int64_t>(1, o.tta))};
}

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
  const data::LoaderOptions reading = loader_options(o, eval, parts.model->num_classes(), all.shard());
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
    evaluation.loader.emplace(*images.validation, evaluation_options(o, eval, all));
    evaluation.evaluate.emplace(*parts.model, *evaluation.loader, parts.ema.get(), wanted, o,
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
int prepare_and_run(CLI::App& command, TrainingOptions& o) {
  check(o);
  check_licenses(o);
  const Processes all(o.threads);
  if (o.head_only && all.count() > 1)
    throw Error(Error::Kind::unsupported, str_cat("--head-only in ", all.count(), " processes"),
                "features are computed once, and the rest takes seconds: start one process with all threads");
  const Images images = images_of(o);
  if (!o.head_only && images.validation && images.validation->name(0) == images.training->name(0))
    tell(str_cat("no folder ", o.val_split, ": evaluation asks about the images of training"));
  const std::vector<Choice> recipe = take_recipe(command, o, *images.training, all.count());
  if (o.head_only) return run_head(o, settings_text(command), images, recipe);
  o.class_weight = class_weights(o, *images.training,
                                 o.input.num_classes.value_or(static_cast<int>(images.training->classes().size())));
  return run(o, settings_text(command), images, recipe, all);
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
      for (const std::string& key : apply_settings(*command, *config)) tell(str_cat(*config, ": no flag '", key, "'"));
    const int code = prepare_and_run(*command, *o);
    if (code != 0) throw CLI::RuntimeError(code);
  });
}

}  // namespace fovea::cli
