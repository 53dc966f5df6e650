// SPDX-License-Identifier: Apache-2.0
// cli/training_options.h — the flags of `fovea train`, timm's train.py's by name and default.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "train/optim/groups.h"
#include "train/optim/rules.h"
#include "train/schedule.h"

namespace fovea::cli {

class Command;

/// What says which images there are and how a model wants them; `validate` and `infer` share it.
struct InputOptions {
  std::optional<int> num_classes, in_chans, img_size;
  std::vector<int> input_size;                     // channels, height, width
  std::optional<double> crop_pct;
  std::string crop_mode, interpolation, class_map, dataset, input_key, target_key, target_format;
  std::vector<double> mean, std;
  std::vector<std::string> model_kwargs;           // name=value
  std::string global_pool;
  bool fast_decode = false;
};
void add_input_options(Command command, InputOptions& o);

/// What `validate` and `infer` are both told: images, a model, weights.
struct EvaluationOptions {
  std::string data, data_dir, split = "validation", model, checkpoint;
  bool pretrained = false;
  std::vector<std::string> licenses;
  InputOptions input;
  int64_t batch = 256;
  int workers = 4, threads = 0;
  int64_t most_bad = 0;                            // images that cannot be read
  // not 0: images are sequences of patches, of this size if it is given
  int max_seq_len = 0;
  std::vector<int> patch_size;
  const std::string& root() const { return data_dir.empty() ? data : data_dir; }
};
/// Besides these, flags of timm's that change nothing here, and --device. `models`, `weights`: what --model and
/// --checkpoint may name.
void add_evaluation_options(Command command, EvaluationOptions& o, const char* models, const char* weights);
/// Of an option that is given twice the last one counts, as with Python's argparse.
void take_last(Command command);

struct TrainingOptions {
  std::string data, data_dir, train_split = "train", val_split = "validation";
  InputOptions input;
  std::string model = "resnet50", pretrained_path, initial_checkpoint, resume;
  std::vector<std::string> licenses;
  bool pretrained = false, no_resume_opt = false, grad_checkpointing = false, head_only = false;
  std::string head_l2 = "1", recipe = "auto", class_weights = "auto", html;
  std::vector<double> class_weight;                // what class_weights comes to
  int folds = 5;
  int64_t patience = 0;
  int64_t batch = 128, accumulate = 1;
  std::optional<int64_t> validation_batch;
  int workers = 4;
  int64_t most_bad = 100;                          // images an epoch that cannot be read
  std::optional<double> head_init_scale, head_init_bias, bn_eps, bn_momentum;

  std::string opt = "sgd", clip_mode = "norm";
  std::optional<double> opt_eps, clip_grad, layer_decay;
  std::vector<double> opt_betas;
  double momentum = 0.9, weight_decay = 2e-5, layer_decay_min_scale = 0, layer_decay_no_opt_scale = 0;
  std::vector<std::string> opt_kwargs, fallback_list;
  bool fallback_no_weight_decay = false;

  train::ScheduleOptions schedule;
  std::optional<double> lr;
  double lr_base = 0.1;
  int64_t lr_base_size = 256;
  std::string lr_base_scale;
  int64_t start_epoch = -1, stop_epoch = 0;

  bool no_aug = false;
  std::string train_crop_mode = "rrc", train_interpolation = "random", remode = "pixel", mixup_mode = "batch", aa;
  std::vector<double> scale, ratio, cutmix_minmax;
  double hflip = 0.5, vflip = 0, color_jitter = 0.4, color_jitter_prob = 1, grayscale_prob = 0, blur_prob = 0;
  double reprob = 0, mixup = 0, cutmix = 0, mixup_prob = 1, mixup_switch_prob = 0.5;
  int recount = 1, aug_splits = 0;
  double aug_repeats = 0;
  int64_t mixup_off_epoch = 0;
  bool resplit = false;
  std::vector<int> img_sizes;
  std::vector<int64_t> batch_sizes;
  std::vector<double> size_probs;
  std::string size_schedule = "constant", loss_scale = "none";
  double size_spread = 0.65, size_random_mix = 0.1;
  std::optional<int64_t> batches_an_epoch;
  bool naflex = false, patches_channels_first = false;
  std::vector<int> sequence_lengths{128, 256, 576, 784, 1024}, patch_sizes;
  std::vector<double> patch_size_probs;
  int max_seq_len = 576;                           // of evaluation
  std::string sequence_loss_scale = "linear";
  int64_t tta = 0;
  bool save_images = false;
  double smoothing = 0.1;
  std::string loss;
  bool bce_loss = false, bce_sum = false, jsd_loss = false;
  std::optional<double> bce_target_thresh, bce_pos_weight;
  double drop = 0;
  std::optional<double> drop_path, drop_block;

  std::string teacher, distill_type = "logit", token_distill_type = "soft";
  std::optional<double> distill_weight, task_weight;
  double temperature = 4;
  std::optional<int64_t> student_features, teacher_features;

  bool ema = false, ema_warmup = false;
  double ema_decay = 0.9998;
  int64_t seed = 42, log_interval = 50, val_interval = 1, recovery_interval = 0, history = 10;
  std::vector<int64_t> save_epochs;
  std::string output, experiment, metric, contact_sheet = "contact-sheet.png";
  bool dry_run = false;
  bool eager = false;
  // of several processes
  bool sync_bn = false, no_ddp_bb = false;
  std::string dist_bn = "reduce";
  double bucket_mib = 4;
  int threads = 0;
  std::vector<std::string> freeze;

  bool sequences() const { return naflex; }          // images keep their shapes and are sequences of patches
  bool mixes() const { return mixup > 0 || cutmix > 0 || !cutmix_minmax.empty(); }
};

/// What timm's train.py does not have: heads alone, recipes, weights of classes, patience, a page.
void add_small_data_options(Command command, TrainingOptions& o);
void add_training_options(Command command, TrainingOptions& o);
/// Throws Error for flags that exclude each other.
void check(const TrainingOptions& o);
/// timm's rate for so many images in a batch, unless --lr gave one.
double learning_rate(const TrainingOptions& o, double batch);
train::RuleSettings rule_settings(const TrainingOptions& o);

}  // namespace fovea::cli
