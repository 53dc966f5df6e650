// SPDX-License-Identifier: Apache-2.0
#include "cli/training_options.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "cli/common.h"
#include "cli/options.h"
#include "data/augment.h"
#include "data/mix.h"
#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::cli {
namespace {

// Flags that mean nothing here: recipes that have them are taken as they are. Some are of GPUs, some of how PyTorch's
// processes are started, some of data that streams in, and --drop-connect is one that timm takes and does not look at.
struct Idle {
  const char* name;
  int values;
};
constexpr Idle kIdle[] = {
    {"--pin-mem", 0},          {"--no-prefetcher", 0},       {"--use-multi-epochs-loader", 0},
    {"--channels-last", 0},    {"--fast-norm", 0},           {"--local-rank", 1},
    {"--local_rank", 1},       {"--worker-seeding", 1},      {"--synchronize-step", 0},
    {"--drop-connect", 1},     {"--model-ema-force-cpu", 0}, {"--dataset-trust-remote-code", 0},
    {"--dataset-download", 0}, {"--input-img-mode", 1},      {"--amp-impl", 1},
    {"--train-num-samples", 1}, {"--val-num-samples", 1},    {"--epoch-repeats", 1},
};

// Flags whose work is not done yet: the values at which they change nothing are taken, others refused.
struct Later {
  const char* name;
  const char* neutral;
  int values = 1;                                  // -1: as many as follow
};
constexpr Later kLater[] = {
    {"--split-bn", "", 0}, {"--amp", "", 0}, {"--model-dtype", "float32"},
    {"--save-images", "", 0}, {"--task", "classification"}, {"--bn-momentum", "0.1"},
};
// Parts of those: how they would do it. They are taken, since recipes name them even where they are idle.
struct Part {
  const char* name;
  int values = 1;
};
constexpr Part kParts[] = {
    {"--amp-dtype"},
};

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
    {"--device-modules", "modules of Python are not imported", -1},
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

// An option that keeps nothing: `take` sees each value, of a flag "on".
template <class Take>
void add_seen(Command command, const std::string& names, int values, Take take) {
  if (values == 0) {
    command.add_flag_function(names, [take](int64_t n) { if (n > 0) take("on"); }).group("");
  } else if (values == 1) {
    command.add_option_function<std::string>(names, [take](const std::string& v) { take(v); }).group("");
  } else {
    command
        .add_option_function<std::vector<std::string>>(
            names, [take](const std::vector<std::string>& all) { for (const std::string& v : all) take(v); })
        .expected(1, -1)
        .group("");
  }
}

void add_device(Command command) {
  add_seen(command, "--device", 1, [](const std::string& v) {
    if (v != "cpu") tell(str_cat("--device ", v, ": the processor computes, it is what there is"));
  });
}

void add_others(Command command) {
  const auto nothing = [](const std::string&) {};
  for (const Idle& i : kIdle) add_seen(command, i.name, i.values, nothing);
  for (const Part& p : kParts) add_seen(command, p.name, p.values, nothing);
  for (const Later& l : kLater)
    add_seen(command, l.name, l.values, [&l](const std::string& v) {
      if (!is_neutral(v, l.neutral)) bad_value(l.name, str_cat("'", v, "' is not there yet"));
    });
  for (const Refused& r : kRefused)
    add_seen(command, r.name, r.values, [&r](const std::string&) { bad_value(r.name, r.why); });
  add_device(command);
}

void add_schedule_options(Command command, TrainingOptions& o) {
  train::ScheduleOptions& s = o.schedule;
  s.cycle_decay = 0.5;
  command.add_option("--sched", s.kind, "cosine, tanh, step, multistep, poly, plateau, wsd, rsqrt, constant, none");
  command.add_flag("--sched-on-updates", s.on_updates, "the schedule goes by updates, not by epochs");
  command.add_option("--lr", o.lr, "learning rate; default: from --lr-base and the batch");
  command.add_option("--lr-base", o.lr_base, "the rate of a batch of --lr-base-size");
  command.add_option("--lr-base-size", o.lr_base_size, "see --lr-base").check(in_range(1, 1 << 30));
  command.add_option("--lr-base-scale", o.lr_base_scale, "linear or sqrt; default: sqrt for ada* and lamb")
      .check(one_of({"linear", "sqrt", ""}));
  command.add_option("--lr-noise", s.noise, "where noise begins, and ends, as shares of the schedule").expected(1, 2);
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
  command.add_option("--epochs", s.epochs, "how many").check(in_range(1, 1 << 30));
  command.add_option("--start-epoch", o.start_epoch, "count from here");
  command.add_option("--stop-epoch", o.stop_epoch, "end here, with the schedule of all epochs");
  command.add_option("--decay-milestones", s.decay_milestones, "epochs, for multistep").expected(1, -1);
  command.add_option("--decay-epochs", s.decay_epochs, "interval of step, length of the decay of wsd and rsqrt");
  s.warmup_epochs = 5;
  command.add_option("--warmup-epochs", s.warmup_epochs, "how long the rate grows");
  command.add_flag("--warmup-prefix", s.warmup_prefix, "warm-up comes on top of --epochs");
  command.add_option("--cooldown-epochs", s.cooldown_epochs, "epochs at --min-lr afterwards");
  command.add_option("--patience-epochs", s.patience_epochs, "for plateau");
  command.add_option("--decay-rate,--dr", s.decay_rate, "of step, multistep and plateau; the power of poly");
}

void add_rule_options(Command command, TrainingOptions& o) {
  command.add_option("--opt", o.opt,
                     str_cat("optimizer: ", join(train::rule_names(), ", "), "; lookahead_ before any"));
  command.add_option("--opt-eps", o.opt_eps, "epsilon");
  command.add_option("--opt-betas", o.opt_betas, "betas").expected(1, 3);
  command.add_option("--momentum", o.momentum, "momentum");
  command.add_option("--weight-decay", o.weight_decay, "weight decay");
  command.add_option("--clip-grad", o.clip_grad, "bound on gradients");
  command.add_option("--clip-mode", o.clip_mode, "norm, value or agc").check(one_of({"norm", "value", "agc"}));
  command.add_option("--layer-decay", o.layer_decay, "each layer's rate is so much of that of the layer behind it");
  command.add_option("--layer-decay-min-scale", o.layer_decay_min_scale, "but at least this");
  command.add_option("--layer-decay-no-opt-scale", o.layer_decay_no_opt_scale, "layers below this are frozen");
  command.add_option("--opt-kwargs", o.opt_kwargs, "further settings of the optimizer, name=number").expected(1, -1);
  command.add_option("--opt-fallback-list", o.fallback_list, "names for Muon's fall-back, with * and ?")
      .expected(1, -1);
  command.add_flag("--opt-fallback-no-wd", o.fallback_no_weight_decay, "names without weight decay go there, too");
  command.add_option("--freeze", o.freeze, "parameters that are not trained, with * and ?").expected(1, -1);
}

}  // namespace

void add_input_options(Command command, InputOptions& o) {
  command.add_option("--num-classes", o.num_classes, "default: as many as there are folders")
      .check(in_range(1, 1 << 24));
  command.add_option("--gp", o.global_pool, "the kind of global pooling");
  command.add_option("--img-size", o.img_size, "height and width").check(in_range(1, 1 << 16));
  command.add_option("--in-chans", o.in_chans, "channels").check(one_of({1, 3}));
  command.add_option("--input-size", o.input_size, "channels, height, width").expected(3);
  command.add_option("--crop-pct", o.crop_pct, "of evaluation: size of the crop over the size that is resized to");
  command.add_option("--crop-mode", o.crop_mode, "center, squash or border");
  command.add_option("--mean", o.mean, "of the channels, from 0 to 1").expected(1, 3);
  command.add_option("--std", o.std, "likewise").expected(1, 3);
  command.add_option("--interpolation", o.interpolation, "bicubic, bilinear, ...");
  command.add_option("--dataset", o.dataset, "folder, tar, csv, wds, torch/mnist, torch/cifar10, ...");
  command.add_option("--class-map", o.class_map, "a file of classes, in the model's order, or a pickled dict");
  command.add_option("--input-key", o.input_key, "how names of images end, jpg;png (default: as any that are read)");
  command.add_option("--target-key", o.target_key, "the field of the class, or a,b,c: one of each class");
  command.add_option("--target-format", o.target_format, "lists of classes: indices, or multihot")
      .check(one_of({"", "indices", "multihot"}));
  command.add_flag("--fast-decode", o.fast_decode, "JPEGs at a fraction of their size where crops are large enough");
  command.add_option("--model-kwargs", o.model_kwargs, "fields of the model's configuration, name=value")
      .expected(1, -1);
}

namespace {

void add_reading_options(Command command, int& workers, int64_t& most_bad) {
  command.add_option("-j,--workers", workers, "threads that read images; 0: the one that wants them")
      .check(in_range(0, 256));
  command.add_option("--max-bad-samples", most_bad, "so many images may be unreadable, in training those of an epoch")
      .check(in_range(int64_t{0}, int64_t{1} << 40));
}

void add_idle_evaluation_options(Command command) {
  const auto nothing = [](const std::string&) {};
  for (const Idle& i :
       {Idle{"--channels-last", 0}, Idle{"--fast-norm", 0}, Idle{"--no-prefetcher", 0}, Idle{"--pin-mem", 0},
        Idle{"--log-freq", 1}, Idle{"--num-gpu", 1}, Idle{"--seed", 1}, Idle{"--amp-dtype", 1},
        Idle{"--naflex-loader", 0}})
    add_seen(command, i.name, i.values, nothing);
  for (const Refused& r : {Refused{"--torchscript", "models are compiled as they are", 0},
                           Refused{"--torchcompile", "models are compiled as they are", 1},
                           Refused{"--torchcompile-mode", "models are compiled as they are", 1},
                           Refused{"--aot-autograd", "models are compiled as they are", 0},
                           Refused{"--fuser", "fusers are CUDA's", 1}, Refused{"--amp", "it is not there yet", 0},
                           Refused{"--tf-preprocessing", "TensorFlow is not part of this", 0}})
    add_seen(command, r.name, r.values, [r](const std::string&) { bad_value(r.name, r.why); });
  add_device(command);
}

}  // namespace

void add_evaluation_options(Command command, EvaluationOptions& o, const char* models, const char* weights) {
  command.add_option("data", o.data, "a folder with a folder a class, or one that has it as its split");
  command.add_option("--data-dir", o.data_dir, "the same");
  command.add_option("--split", o.split, "validation, or another folder");
  command.add_option("--model,-m", o.model, models).required();
  command.add_option("--checkpoint", o.checkpoint, weights);
  command.add_flag("--pretrained", o.pretrained, "the published weights, which is the default");
  add_license_option(command, o.licenses);
  add_input_options(command, o.input);
  command.add_option("-b,--batch-size", o.batch, "images at a time").check(in_range(1, 1 << 20));
  add_reading_options(command, o.workers, o.most_bad);
  command.add_option("--threads", o.threads, "how many threads may compute").check(in_range(1, 4096));
  add_sequence_options(command, o.max_seq_len, o.patch_size);
  add_idle_evaluation_options(command);
}

void take_last(Command command) {
  for (Option o : command.options())
    if (!o.is_positional() && !o.is_flag() && !o.takes_any_number()) o.take_last();
}

namespace {

void add_augmentation_options(Command command, TrainingOptions& o) {
  command.add_flag("--no-aug", o.no_aug, "no random crops and no mirroring");
  command
      .add_option("--train-crop-mode", o.train_crop_mode, "rrc: random area and shape; rkrc, rkrr: as resized to fit")
      .check(one_of({"rrc", "rkrc", "rkrr"}));
  command.add_option("--scale", o.scale, "area of random crops").expected(2);
  command.add_option("--ratio", o.ratio, "shape of random crops").expected(2);
  command.add_option("--hflip", o.hflip, "how probable mirroring is");
  command.add_option("--vflip", o.vflip, "likewise, upside down");
  command.add_option("--color-jitter", o.color_jitter, "how far brightness, contrast and saturation change");
  command.add_option("--color-jitter-prob", o.color_jitter_prob, "how probable that is");
  command.add_option("--grayscale-prob", o.grayscale_prob, "how probable it is that colours go");
  command.add_option("--gaussian-blur-prob", o.blur_prob, "how probable blur is");
  command.add_option("--train-interpolation", o.train_interpolation, "random, bilinear, bicubic");
  command.add_option("--aa", o.aa, "v0, v0r, original, originalr or 3a, with -mstd0.5; rand-m9-mstd0.5-inc1, "
                                   "augmix-m5-w4-d2, ... as timm writes them");
  command.add_option("--aug-repeats", o.aug_repeats, "each image so many times in an epoch, in other crops; 0: once")
      .check(in_range(0.0, 1000.0));
  command.add_option("--aug-splits", o.aug_splits, "each image so many times, all but the first in other colours");
  command.add_option("--reprob", o.reprob, "how probable it is that rectangles are erased");
  command.add_option("--remode", o.remode, "by const, rand or pixel").check(one_of({"const", "rand", "pixel"}));
  command.add_option("--recount", o.recount, "how many at most").check(in_range(1, 1000));
  command.add_flag("--resplit", o.resplit, "not of the first split, or of the first half of a batch");
  command.add_option("--mixup", o.mixup, "alpha of Mixup; 0: none");
  command.add_option("--cutmix", o.cutmix, "alpha of CutMix; 0: none");
  command.add_option("--cutmix-minmax", o.cutmix_minmax, "sides of the cut, as shares of the image's").expected(2);
  command.add_option("--mixup-prob", o.mixup_prob, "how probable it is that a batch is mixed");
  command.add_option("--mixup-switch-prob", o.mixup_switch_prob, "how probable CutMix is, where there are both");
  command
      .add_option("--mixup-mode", o.mixup_mode,
                  "what is drawn is shared by a batch, a pair, or drawn for each elem; "
                  "half: that, and half of the batch is left")
      .check(one_of({"batch", "pair", "elem", "half"}));
  command.add_option("--mixup-off-epoch", o.mixup_off_epoch, "nothing is mixed from this epoch on; 0: always");
}

void add_size_options(Command command, TrainingOptions& o) {
  command.add_option("--train-img-sizes", o.img_sizes, "heights and widths, one of them a batch").expected(1, -1);
  command.add_option("--train-batch-sizes", o.batch_sizes, "images in a batch of each; default: all alike")
      .expected(1, -1);
  command.add_option("--train-size-probs", o.size_probs, "how probable each is; default: all alike").expected(1, -1);
  command.add_option("--train-size-schedule", o.size_schedule, "constant, or progressive: from the first to the last")
      .check(one_of({"constant", "progressive"}));
  command.add_option("--train-size-schedule-spread", o.size_spread, "how many sizes there are at a time, about");
  command.add_option("--train-size-random-mix", o.size_random_mix, "the share of any size");
  command.add_option("--train-batches-per-epoch,--train-steps-per-epoch", o.batches_an_epoch, "with --train-img-sizes");
  command.add_option("--variable-batch-loss-scale", o.loss_scale, "losses by the size of the batch: none, sqrt, linear")
      .check(one_of({"none", "sqrt", "linear"}));
}

void add_naflex_options(Command command, TrainingOptions& o) {
  command.add_flag("--naflex-loader", o.naflex,
                   "images keep their shapes and become sequences of patches: for models of naflexvit, and ViTs with "
                   "--model-kwargs use_naflex=true");
  command
      .add_option("--naflex-train-seq-lens", o.sequence_lengths,
                  "patches of a sequence, one of these a batch; all batches have as many patches as --batch-size of "
                  "the longest")
      .check(in_range(1, 1 << 16))
      .expected(1, -1);
  command.add_option("--naflex-max-seq-len", o.max_seq_len, "patches of a sequence of evaluation, at most")
      .check(in_range(1, 1 << 16));
  command
      .add_option("--naflex-patch-sizes", o.patch_sizes,
                  "heights and widths of patches, one of these a batch: the model's projection is resampled")
      .check(in_range(1, 1024))
      .expected(1, -1);
  command.add_option("--naflex-patch-size-probs", o.patch_size_probs, "how probable each is; default: all alike")
      .expected(1, -1);
  command
      .add_option("--naflex-loss-scale", o.sequence_loss_scale,
                  "gradients by the images in a batch over --batch-size: none, sqrt, linear")
      .check(one_of({"none", "sqrt", "linear"}));
  command.add_flag("--naflex-patchify-channels-first", o.patches_channels_first,
                   "patches are one channel after the other, which models say themselves");
}

void add_loss_options(Command command, TrainingOptions& o) {
  command.add_option("--smoothing", o.smoothing, "label smoothing");
  command.add_option("--loss", o.loss, "ce, bce, asl, poly");
  command.add_flag("--bce-loss", o.bce_loss, "as --loss bce");
  command.add_flag("--bce-sum", o.bce_sum, "over classes");
  command.add_option("--bce-target-thresh", o.bce_target_thresh, "targets above it count as 1");
  command.add_option("--bce-pos-weight", o.bce_pos_weight, "of positive targets");
  command.add_flag("--jsd-loss", o.jsd_loss, "the splits of an image are to be answered alike");
  command.add_option("--kd-model-name", o.teacher, "learn from this model, too");
  command.add_option("--kd-distill-type", o.distill_type, "its logits, its features, or token: logits of a second head")
      .check(one_of({"logit", "feature", "token"}));
  command.add_option("--kd-token-distill-type", o.token_distill_type, "probabilities, or the most probable class")
      .check(one_of({"soft", "hard"}));
  command.add_option("--distill-loss-weight", o.distill_weight, "of what it says");
  command.add_option("--task-loss-weight", o.task_weight, "of the classes; alone: the other is 1 less this");
  command.add_option("--kd-temperature", o.temperature, "of softmax, for its logits");
  add_seen(command, "--kd-loss-type", 1, [](const std::string& v) {
    if (v != "kl") bad_value("--kd-loss-type", str_cat("'", v, "': timm has kl alone, too"));
  });
  command.add_option("--kd-student-feature-dim", o.student_features, "default: as the model says, which it must be");
  command.add_option("--kd-teacher-feature-dim", o.teacher_features, "likewise");
}

}  // namespace

void add_small_data_options(Command command, TrainingOptions& o) {
  command.add_flag("--head-only", o.head_only, "learn the classifier alone, of features that are computed once");
  command.add_option("--head-l2", o.head_l2, "L2 penalty of --head-only, scikit-learn's 1/C; auto: cross-validated");
  command.add_option("--folds", o.folds, "of the cross-validation of --head-only").check(in_range(2, 1000));
  command
      .add_option("--recipe", o.recipe,
                  "data: sizes, rates and augmentation that no flag gives come from the images; timm: its defaults; "
                  "auto: data, where no flag says how to train")
      .check(one_of({"auto", "data", "timm"}));
  command
      .add_option("--class-weights", o.class_weights,
                  "balanced: all classes count alike in the loss; none; auto: balanced where they differ much, with "
                  "--head-only or a recipe")
      .check(one_of({"auto", "balanced", "none"}));
  command.add_option("--patience", o.patience, "end after so many epochs without a better metric; 0: never")
      .check(not_negative());
  command.add_option("--html", o.html, "a page with plots and mistakes, written again while it runs");
}

void add_training_options(Command command, TrainingOptions& o) {
  command.add_option("data", o.data, "a folder of train and validation, each with a folder a class");
  command.add_option("--data-dir", o.data_dir, "the same");
  command.add_option("--train-split", o.train_split, "the folder to train on");
  command.add_option("--val-split", o.val_split, "the folder to evaluate on");
  command.add_option("--model", o.model, "a name of `fovea models`");
  command.add_flag("--pretrained", o.pretrained, "begin with the published weights");
  add_license_option(command, o.licenses);
  command.add_option("--pretrained-path", o.pretrained_path,
                     "begin with these weights; another classifier starts anew");
  command.add_option("--initial-checkpoint", o.initial_checkpoint, "begin with these weights, which must fit");
  command.add_option("--resume", o.resume, "go on from this checkpoint; auto: from the newest of the experiment");
  command.add_flag("--no-resume-opt", o.no_resume_opt, "with its weights alone");
  add_input_options(command, o.input);
  command.add_option("-b,--batch-size", o.batch, "images a step, or a part of one").check(in_range(1, 1 << 20));
  command.add_option("--validation-batch-size", o.validation_batch, "of evaluation").check(in_range(1, 1 << 20));
  command.add_option("--grad-accum-steps", o.accumulate, "so many batches are one step").check(in_range(1, 1 << 16));
  command.add_option("--head-init-scale", o.head_init_scale, "the classifier's first values are multiplied by this");
  command.add_option("--head-init-bias", o.head_init_bias, "the classifier's first biases");
  command.add_option("--bn-eps", o.bn_eps, "epsilon of batch norm, where the family has it as a setting");
  command.add_flag("--grad-checkpointing", o.grad_checkpointing, "recompute stages instead of keeping their values");
  add_reading_options(command, o.workers, o.most_bad);
  add_rule_options(command, o);
  add_schedule_options(command, o);
  add_augmentation_options(command, o);
  add_size_options(command, o);
  add_naflex_options(command, o);
  add_loss_options(command, o);
  command.add_option("--drop", o.drop, "dropout in front of the classifier");
  command.add_option("--drop-path", o.drop_path, "stochastic depth");
  command.add_option("--drop-block", o.drop_block, "dropped regions");
  command.add_flag("--model-ema", o.ema, "evaluate the average of the weights, too");
  command.add_option("--model-ema-decay", o.ema_decay, "its decay");
  command.add_flag("--model-ema-warmup", o.ema_warmup, "the decay grows");
  command.add_option("--seed", o.seed, "of all that is drawn");
  command.add_option("--log-interval", o.log_interval, "steps between lines of the log").check(in_range(1, 1 << 30));
  command.add_option("--val-interval", o.val_interval, "epochs between evaluations").check(in_range(1, 1 << 30));
  command.add_option("--recovery-interval", o.recovery_interval, "steps between recovery checkpoints; 0: none");
  command.add_option("--checkpoint-hist", o.history, "checkpoints that are kept").check(in_range(1, 1 << 30));
  command.add_option("--save-epochs", o.save_epochs, "epochs whose checkpoints are kept as milestone-N")
      .expected(1, -1);
  command.add_option("--output", o.output, "folder of experiments (default: output/train)");
  command.add_option("--experiment", o.experiment, "its name (default: time, model and size)");
  command.add_flag("--dry-run", o.dry_run, "say what would be done, draw a picture of augmented images, and end");
  command.add_option("--contact-sheet", o.contact_sheet, "where --dry-run draws it, a PNG file");
  command.add_option("--tta", o.tta, "so many images one after the other are one, and their answers' mean counts");
  command
      .add_option("--eval-metric", o.metric,
                  "what the best checkpoint is best at: top1 (default), top5 or loss; of several labels an image map "
                  "(default), micro_f1, macro_f1, sample_f1 or loss")
      .check(one_of({"", "top1", "top5", "loss", "map", "micro_f1", "macro_f1", "sample_f1"}));
  command.add_option("--threads", o.threads, "how many threads may compute").check(in_range(1, 4096));
  command.add_flag("--eager", o.eager, "run steps op by op instead of compiling them");
  command.add_flag("--sync-bn", o.sync_bn, "batch norm over the images of all processes");
  command.add_option("--dist-bn", o.dist_bn, "else its running statistics after an epoch: reduce to the mean of all "
                                             "processes, broadcast those of the first, or '': leave them")
      .check(one_of({"reduce", "broadcast", ""}));
  command.add_option("--bucket-mib", o.bucket_mib, "gradients set out to the other processes in so many MiB")
      .check(in_range(0.001, 65536.0));
  command.add_flag("--no-ddp-bb", o.no_ddp_bb, "they do not become those of the first process before each step");
  add_small_data_options(command, o);
  add_others(command);
  take_last(command);
}

namespace {

// What sequences of patches exclude, as timm's loader of them does not do it.
void check_sequences(const TrainingOptions& o) {
  const auto beside = [](bool given, const char* what, const char* help) {
    if (given) throw Error(Error::Kind::argument, str_cat(what, " beside --naflex-loader"), help);
  };
  if (!o.sequences()) return;
  beside(!o.img_sizes.empty(), "--train-img-sizes", "--naflex-train-seq-lens has lengths of sequences");
  beside(o.accumulate > 1, "--grad-accum-steps", "batches of sequences have several sizes");
  beside(o.aug_splits > 0, "--aug-splits", "one of them");
  beside(o.aug_repeats > 0, "--aug-repeats", "one of them");
  beside(!o.teacher.empty(), "--kd-model-name", "teachers look at images of one size");
  beside(o.head_only, "--head-only", "features are those of images of one size");
  beside(o.train_crop_mode != "rrc", "--train-crop-mode", "sequences have crops of their own");
  beside(o.mixup_mode != "batch", "--mixup-mode", "images are mixed by pairs of like shapes, with one share a batch");
  beside(!o.cutmix_minmax.empty(), "--cutmix-minmax", "--cutmix has an alpha");
  beside(o.input.fast_decode, "--fast-decode", "crops have no size that is known before");
  if (!o.patch_size_probs.empty() && o.patch_size_probs.size() != o.patch_sizes.size())
    throw Error(Error::Kind::argument, str_cat(o.patch_sizes.size(), " --naflex-patch-sizes and ",
                                               o.patch_size_probs.size(), " --naflex-patch-size-probs"));
}

}  // namespace

void check(const TrainingOptions& o) {
  const auto refuse = [](const char* what, const char* help) { throw Error(Error::Kind::argument, what, help); };
  check_sequences(o);
  if (o.aug_splits == 1) refuse("--aug-splits 1", "0, or at least 2");
  if (o.jsd_loss && o.aug_splits < 2) refuse("--jsd-loss without --aug-splits", "it compares the splits, 2 at least");
  if (o.mixes() && o.aug_splits > 0) refuse("--aug-splits beside --mixup or --cutmix", "one of them");
  if (o.accumulate > 1 && o.aug_splits > 0) refuse("--aug-splits beside --grad-accum-steps", "one of them");
  if (!o.img_sizes.empty() && o.accumulate > 1) refuse("--train-img-sizes beside --grad-accum-steps", "one of them");
  if (o.img_sizes.empty() && o.batches_an_epoch)
    refuse("--train-batches-per-epoch without --train-img-sizes", "else an epoch is all images");
  if (o.class_weights == "balanced" && !o.loss.empty() && o.loss != "ce" && o.loss != "bce")
    refuse("--class-weights beside a loss that takes none", "--loss ce or bce");
  if (o.class_weights == "balanced" && o.jsd_loss) refuse("--class-weights beside --jsd-loss", "one of them");
  if (o.mixes() && !o.sequences() && o.batch * o.accumulate % 2 != 0)
    refuse("an odd --batch-size is to be mixed", "pairs are");
  if (o.mixes() && o.mixup_mode == "half" && o.batch % 2 != 0) refuse("half of an odd --batch-size", "an even one");
  if (o.aug_repeats > 0 && o.aug_repeats < 1) refuse("--aug-repeats below 1", "0, or from 1 on");
  if (o.aug_repeats > 0 && !o.img_sizes.empty()) refuse("--aug-repeats beside --train-img-sizes", "one of them");
}

double learning_rate(const TrainingOptions& o, double batch) {
  if (o.lr) return *o.lr;
  const std::string name = o.opt.substr(o.opt.rfind('_') + 1);
  std::string scale = o.lr_base_scale;
  if (scale.empty()) scale = name.find("ada") != name.npos || name.find("lamb") != name.npos ? "sqrt" : "linear";
  const double ratio = batch * static_cast<double>(o.accumulate) / static_cast<double>(o.lr_base_size);
  return o.lr_base * (scale == "sqrt" ? std::sqrt(ratio) : ratio);
}

train::RuleSettings rule_settings(const TrainingOptions& o) {
  train::RuleSettings common{{"momentum", o.momentum}};
  if (o.opt_eps) common["eps"] = *o.opt_eps;
  for (size_t i = 0; i < o.opt_betas.size(); ++i) common[str_cat("beta", i + 1)] = o.opt_betas[i];
  train::RuleSettings out = train::settings_of(o.opt, common);
  for (const std::string& entry : o.opt_kwargs) {
    const size_t equals = entry.find('=');
    const std::string text = equals == entry.npos ? "" : entry.substr(equals + 1);
    double v = text == "True" || text == "true" ? 1 : 0;
    const bool word = text == "True" || text == "true" || text == "False" || text == "false";
    if (!word && (text.empty() || std::from_chars(text.data(), text.data() + text.size(), v).ptr !=
                                      text.data() + text.size()))
      throw Error(Error::Kind::argument, str_cat("--opt-kwargs ", entry), "each is name=number");
    out[entry.substr(0, equals)] = v;
  }
  return out;
}

}  // namespace fovea::cli
