// SPDX-License-Identifier: Apache-2.0
#include "cli/training_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::cli {
namespace {

// Flags that mean nothing here: recipes that have them are taken as they are.
struct Idle {
  const char* name;
  int values;
};
constexpr Idle kIdle[] = {
    {"--pin-mem", 0},          {"--no-prefetcher", 0},       {"--use-multi-epochs-loader", 0},
    {"--channels-last", 0},    {"--fast-norm", 0},           {"--local-rank", 1},
    {"--local_rank", 1},       {"--worker-seeding", 1},      {"--synchronize-step", 0},
    {"--no-ddp-bb", 0},        {"--model-ema-force-cpu", 0}, {"--dataset-trust-remote-code", 0},
    {"--dataset-download", 0}, {"--input-img-mode", 1},      {"--amp-impl", 1},
};

// Flags whose work is not done yet: the values at which they change nothing are taken, others refused.
struct Later {
  const char* name;
  const char* neutral;
  int values = 1;
};
constexpr Later kLater[] = {
    {"--aa", ""},          {"--aug-repeats", "0"},     {"--aug-splits", "0"},      {"--jsd-loss", "false", 0},
    {"--mixup", "0"},      {"--cutmix", "0"},          {"--cutmix-minmax", ""},    {"--reprob", "0"},
    {"--resplit", "false", 0}, {"--train-crop-mode", "rrc"}, {"--color-jitter-prob", "0"}, {"--grayscale-prob", "0"},
    {"--gaussian-blur-prob", "0"}, {"--amp", "false", 0}, {"--model-dtype", "float32"}, {"--sync-bn", "false", 0},
    {"--split-bn", "false", 0}, {"--bn-momentum", ""}, {"--bn-eps", ""}, {"--head-init-scale", ""},
    {"--head-init-bias", ""}, {"--kd-model-name", ""}, {"--naflex-loader", "false", 0}, {"--save-images", "false", 0},
    {"--tta", "0"},        {"--train-num-samples", ""}, {"--val-num-samples", ""}, {"--input-key", ""},
    {"--target-key", ""},  {"--epoch-repeats", "0"},   {"--drop-connect", ""},     {"--task", ""},
    {"--train-img-sizes", ""}, {"--save-epochs", ""},
};
// Parts of those: how they would do it. They are taken, since recipes name them even where they are idle.
constexpr const char* kParts[] = {"--recount",          "--remode",          "--mixup-prob", "--mixup-switch-prob",
                                  "--mixup-mode",       "--mixup-off-epoch", "--dist-bn",    "--amp-dtype",
                                  "--kd-temperature",   "--kd-distill-type", "--kd-loss-type",
                                  "--distill-loss-weight", "--task-loss-weight", "--kd-token-distill-type"};

struct Refused {
  const char* name;
  const char* why;
  int values;
};
constexpr Refused kRefused[] = {
    {"--torchscript", "steps are compiled as they are; --eager runs them op by op", 0},
    {"--torchcompile", "steps are compiled as they are; --eager runs them op by op", 1},
    {"--torchcompile-mode", "steps are compiled as they are", 1},
    {"--fuser", "fusers are CUDA's", 1},
    {"--log-wandb", "training tells nobody outside; TensorBoard's files lie beside the checkpoints", 0},
    {"--wandb-project", "training tells nobody outside", 1},
    {"--wandb-tags", "training tells nobody outside", -1},
    {"--wandb-resume-id", "training tells nobody outside", 1},
};

bool is_neutral(const std::string& value, std::string_view neutral) {
  if (value == neutral || value.empty()) return true;
  double a = 0, b = 1;
  const auto number = [](std::string_view s, double& v) {
    return std::from_chars(s.data(), s.data() + s.size(), v).ptr == s.data() + s.size() && !s.empty();
  };
  return number(value, a) && number(neutral, b) && a == b;
}

[[noreturn]] void not_yet(const char* name, const std::string& value) {
  throw CLI::ValidationError(name, cat("'", value, "' is not there yet"));
}

void add_others(CLI::App& command) {
  for (const Idle& i : kIdle) {
    if (i.values == 0) command.add_flag_function(i.name, [](int64_t) {}, "accepted; means nothing here")->group("");
    else command.add_option(i.name, "accepted; means nothing here")->group("")->expected(i.values);
  }
  for (const Later& l : kLater) {
    if (l.values == 0) {
      command.add_flag_function(l.name, [name = l.name](int64_t n) { if (n > 0) not_yet(name, "on"); })->group("");
      continue;
    }
    command
        .add_option_function<std::vector<std::string>>(
            l.name,
            [&l](const std::vector<std::string>& values) {
              for (const std::string& v : values)
                if (!is_neutral(v, l.neutral)) not_yet(l.name, v);
            },
            "not there yet")
        ->group("");
  }
  for (const char* name : kParts) command.add_option(name, "accepted")->group("");
  for (const Refused& r : kRefused) {
    const auto refuse = [&r] { throw CLI::ValidationError(r.name, r.why); };
    if (r.values == 0) command.add_flag_function(r.name, [refuse](int64_t n) { if (n > 0) refuse(); })->group("");
    else
      command
          .add_option_function<std::vector<std::string>>(r.name,
                                                         [refuse](const std::vector<std::string>&) { refuse(); })
          ->group("");
  }
  // A jitter of colours is timm's default: it is said, not refused.
  command.add_option("--color-jitter", "not there yet; colours stay")->group("");
}

void add_schedule_options(CLI::App& command, TrainingOptions& o) {
  train::ScheduleOptions& s = o.schedule;
  s.cycle_decay = 0.5;
  command.add_option("--sched", s.kind, "cosine, tanh, step, multistep, poly, plateau, wsd, rsqrt, constant, none");
  command.add_flag("--sched-on-updates", s.on_updates, "the schedule goes by updates, not by epochs");
  command.add_option("--lr", o.lr, "learning rate; default: from --lr-base and the batch");
  command.add_option("--lr-base", o.lr_base, "the rate of a batch of --lr-base-size");
  command.add_option("--lr-base-size", o.lr_base_size, "see --lr-base")->check(CLI::Range(1, 1 << 30));
  command.add_option("--lr-base-scale", o.lr_base_scale, "linear or sqrt; default: sqrt for ada* and lamb")
      ->check(CLI::IsMember({"linear", "sqrt", ""}));
  command.add_option("--lr-noise", s.noise, "where noise begins, and ends, as shares of the schedule")->expected(1, 2);
  command.add_option("--lr-noise-pct", s.noise_pct, "limit of the noise");
  command.add_option("--lr-noise-std", s.noise_std, "its standard deviation");
  command.add_option("--lr-cycle-mul", s.cycle_mul, "each cycle is so many times as long as the one before");
  command.add_option("--lr-cycle-decay", s.cycle_decay, "each cycle begins with so much of the rate before");
  command.add_option("--lr-cycle-limit", s.cycle_limit, "how many cycles");
  command.add_option("--lr-k-decay", s.k_decay, "k-decay of cosine and poly");
  command.add_option("--lr-decay-fn", s.decay_fn, "how wsd and rsqrt decay: linear, 1-sqrt, cosine, power, exp");
  command.add_option("--lr-stable-timescale", s.stable_timescale, "of rsqrt, in epochs");
  command.add_option("--warmup-lr", s.warmup_lr, "the rate that warm-up begins with");
  command.add_option("--min-lr", s.min_lr, "the rate at the end");
  command.add_option("--epochs", s.epochs, "how many")->check(CLI::Range(1, 1 << 30));
  command.add_option("--start-epoch", o.start_epoch, "count from here");
  command.add_option("--stop-epoch", o.stop_epoch, "end here, with the schedule of all epochs");
  command.add_option("--decay-milestones", s.decay_milestones, "epochs, for multistep")->expected(1, -1);
  command.add_option("--decay-epochs", s.decay_epochs, "interval of step, length of the decay of wsd and rsqrt");
  s.warmup_epochs = 5;
  command.add_option("--warmup-epochs", s.warmup_epochs, "how long the rate grows");
  command.add_flag("--warmup-prefix", s.warmup_prefix, "warm-up comes on top of --epochs");
  command.add_option("--cooldown-epochs", s.cooldown_epochs, "epochs at --min-lr afterwards");
  command.add_option("--patience-epochs", s.patience_epochs, "for plateau");
  command.add_option("--decay-rate,--dr", s.decay_rate, "of step, multistep and plateau; the power of poly");
}

void add_rule_options(CLI::App& command, TrainingOptions& o) {
  command.add_option("--opt", o.opt, cat("optimizer: ", join(train::rule_names(), ", "), "; lookahead_ before any"));
  command.add_option("--opt-eps", o.opt_eps, "epsilon");
  command.add_option("--opt-betas", o.opt_betas, "betas")->expected(1, 3);
  command.add_option("--momentum", o.momentum, "momentum");
  command.add_option("--weight-decay", o.weight_decay, "weight decay");
  command.add_option("--clip-grad", o.clip_grad, "bound on gradients");
  command.add_option("--clip-mode", o.clip_mode, "norm, value or agc")->check(CLI::IsMember({"norm", "value", "agc"}));
  command.add_option("--layer-decay", o.layer_decay, "each layer's rate is so much of that of the layer behind it");
  command.add_option("--layer-decay-min-scale", o.layer_decay_min_scale, "but at least this");
  command.add_option("--layer-decay-no-opt-scale", o.layer_decay_no_opt_scale, "layers below this are frozen");
  command.add_option("--opt-kwargs", o.opt_kwargs, "further settings of the optimizer, name=number")->expected(1, -1);
  command.add_option("--opt-fallback-list", o.fallback_list, "names for Muon's fall-back, with * and ?")
      ->expected(1, -1);
  command.add_flag("--opt-fallback-no-wd", o.fallback_no_weight_decay, "names without weight decay go there, too");
  command.add_option("--freeze", o.freeze, "parameters that are not trained, with * and ?")->expected(1, -1);
}

}  // namespace

void add_input_options(CLI::App& command, InputOptions& o) {
  command.add_option("--num-classes", o.num_classes, "default: as many as there are folders")
      ->check(CLI::Range(1, 1 << 24));
  command.add_option("--gp", o.global_pool, "the kind of global pooling");
  command.add_option("--img-size", o.img_size, "height and width")->check(CLI::Range(1, 1 << 16));
  command.add_option("--in-chans", o.in_chans, "channels")->check(CLI::IsMember({1, 3}));
  command.add_option("--input-size", o.input_size, "channels, height, width")->expected(3);
  command.add_option("--crop-pct", o.crop_pct, "of evaluation: size of the crop over the size that is resized to");
  command.add_option("--crop-mode", o.crop_mode, "center, squash or border");
  command.add_option("--mean", o.mean, "of the channels, from 0 to 1")->expected(1, 3);
  command.add_option("--std", o.std, "likewise")->expected(1, 3);
  command.add_option("--interpolation", o.interpolation, "bicubic, bilinear, ...");
  command.add_option("--class-map", o.class_map, "a file of classes, in the model's order");
  command.add_option("--model-kwargs", o.model_kwargs, "fields of the model's configuration, name=value")
      ->expected(1, -1);
}

void add_training_options(CLI::App& command, TrainingOptions& o) {
  command.add_option("data", o.data, "a folder of train and validation, each with a folder a class");
  command.add_option("--data-dir", o.data_dir, "the same");
  command.add_option("--dataset", o.dataset, "folder, which is what there is")->check(CLI::IsMember({"", "folder"}));
  command.add_option("--train-split", o.train_split, "the folder to train on");
  command.add_option("--val-split", o.val_split, "the folder to evaluate on");
  command.add_option("--model", o.model, "a name of `fovea models`");
  command.add_flag("--pretrained", o.pretrained, "begin with the published weights");
  command.add_option("--pretrained-path", o.pretrained_path,
                     "begin with these weights; another classifier starts anew");
  command.add_option("--initial-checkpoint", o.initial_checkpoint, "begin with these weights, which must fit");
  command.add_option("--resume", o.resume, "go on from this checkpoint; auto: from the newest of the experiment");
  command.add_flag("--no-resume-opt", o.no_resume_opt, "with its weights alone");
  add_input_options(command, o.input);
  command.add_option("-b,--batch-size", o.batch, "images a step, or a part of one")->check(CLI::Range(1, 1 << 20));
  command.add_option("--validation-batch-size", o.validation_batch, "of evaluation")->check(CLI::Range(1, 1 << 20));
  command.add_option("--grad-accum-steps", o.accumulate, "so many batches are one step")->check(CLI::Range(1, 1 << 16));
  command.add_flag("--grad-checkpointing", o.grad_checkpointing, "recompute stages instead of keeping their values");
  command.add_option("-j,--workers", o.workers, "threads that read images")->check(CLI::Range(1, 256));
  add_rule_options(command, o);
  add_schedule_options(command, o);
  command.add_flag("--no-aug", o.no_aug, "no random crops and no mirroring");
  command.add_option("--scale", o.scale, "area of random crops")->expected(2);
  command.add_option("--ratio", o.ratio, "shape of random crops")->expected(2);
  command.add_option("--hflip", o.hflip, "how probable mirroring is");
  command.add_option("--vflip", o.vflip, "likewise, upside down");
  command.add_option("--train-interpolation", o.train_interpolation, "random, bilinear, bicubic");
  command.add_option("--smoothing", o.smoothing, "label smoothing");
  command.add_option("--loss", o.loss, "ce, bce, asl, poly");
  command.add_flag("--bce-loss", o.bce_loss, "as --loss bce");
  command.add_flag("--bce-sum", o.bce_sum, "over classes");
  command.add_option("--bce-target-thresh", o.bce_target_thresh, "targets above it count as 1");
  command.add_option("--bce-pos-weight", o.bce_pos_weight, "of positive targets");
  command.add_option("--drop", o.drop, "dropout in front of the classifier");
  command.add_option("--drop-path", o.drop_path, "stochastic depth");
  command.add_option("--drop-block", o.drop_block, "dropped regions");
  command.add_flag("--model-ema", o.ema, "evaluate the average of the weights, too");
  command.add_option("--model-ema-decay", o.ema_decay, "its decay");
  command.add_flag("--model-ema-warmup", o.ema_warmup, "the decay grows");
  command.add_option("--seed", o.seed, "of all that is drawn");
  command.add_option("--log-interval", o.log_interval, "steps between lines of the log")->check(CLI::Range(1, 1 << 30));
  command.add_option("--val-interval", o.val_interval, "epochs between evaluations")->check(CLI::Range(1, 1 << 30));
  command.add_option("--recovery-interval", o.recovery_interval, "steps between recovery checkpoints; 0: none");
  command.add_option("--checkpoint-hist", o.history, "checkpoints that are kept")->check(CLI::Range(1, 1 << 30));
  command.add_option("--output", o.output, "folder of experiments (default: output/train)");
  command.add_option("--experiment", o.experiment, "its name (default: time, model and size)");
  command.add_option("--eval-metric", o.metric, "top1, top5 or loss: what the best checkpoint is best at")
      ->check(CLI::IsMember({"top1", "top5", "loss"}));
  command.add_option("--device", "cpu, which is what there is")->check(CLI::IsMember({"cpu"}));
  command.add_option("--threads", o.threads, "how many threads may compute")->check(CLI::Range(1, 4096));
  command.add_flag("--eager", o.eager, "run steps op by op instead of compiling them");
  add_others(command);
}

double learning_rate(const TrainingOptions& o) {
  if (o.lr) return *o.lr;
  const std::string name = o.opt.substr(o.opt.rfind('_') + 1);
  std::string scale = o.lr_base_scale;
  if (scale.empty()) scale = name.find("ada") != name.npos || name.find("lamb") != name.npos ? "sqrt" : "linear";
  const double ratio = static_cast<double>(o.batch * o.accumulate) / static_cast<double>(o.lr_base_size);
  return o.lr_base * (scale == "sqrt" ? std::sqrt(ratio) : ratio);
}

train::RuleSettings rule_settings(const TrainingOptions& o) {
  train::RuleSettings common{{"momentum", o.momentum}};
  if (o.opt_eps) common["eps"] = *o.opt_eps;
  for (size_t i = 0; i < o.opt_betas.size(); ++i) common[cat("beta", i + 1)] = o.opt_betas[i];
  train::RuleSettings out = train::settings_of(o.opt, common);
  for (const std::string& entry : o.opt_kwargs) {
    const size_t equals = entry.find('=');
    const std::string text = equals == entry.npos ? "" : entry.substr(equals + 1);
    double v = text == "True" || text == "true" ? 1 : 0;
    const bool word = text == "True" || text == "true" || text == "False" || text == "false";
    if (!word && (text.empty() || std::from_chars(text.data(), text.data() + text.size(), v).ptr !=
                                      text.data() + text.size()))
      throw Error(Error::Kind::argument, cat("--opt-kwargs ", entry), "each is name=number");
    out[entry.substr(0, equals)] = v;
  }
  return out;
}

}  // namespace fovea::cli
