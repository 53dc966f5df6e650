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

namespace CLI {
class App;
}

namespace fovea::cli {

/// What says which images there are and how a model wants them; `validate` and `infer` share it.
struct InputOptions {
  std::optional<int> num_classes, in_chans, img_size;
  std::vector<int> input_size;                     // channels, height, width
  std::optional<double> crop_pct;
  std::string crop_mode, interpolation, class_map;
  std::vector<double> mean, std;
  std::vector<std::string> model_kwargs;           // name=value
  std::string global_pool;
};
void add_input_options(CLI::App& command, InputOptions& o);

struct TrainingOptions {
  std::string data, data_dir, dataset, train_split = "train", val_split = "validation";
  InputOptions input;
  std::string model = "resnet50", pretrained_path, initial_checkpoint, resume;
  bool pretrained = false, no_resume_opt = false, grad_checkpointing = false;
  int64_t batch = 128, accumulate = 1;
  std::optional<int64_t> validation_batch;
  int workers = 4;

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
  std::vector<double> scale, ratio;
  double hflip = 0.5, vflip = 0, smoothing = 0.1;
  std::string train_interpolation = "random", loss;
  bool bce_loss = false, bce_sum = false;
  std::optional<double> bce_target_thresh, bce_pos_weight;
  double drop = 0;
  std::optional<double> drop_path, drop_block;

  bool ema = false, ema_warmup = false;
  double ema_decay = 0.9998;
  int64_t seed = 42, log_interval = 50, val_interval = 1, recovery_interval = 0, history = 10;
  std::string output, experiment, metric = "top1";
  bool eager = false;
  int threads = 0;
  std::vector<std::string> freeze;
};

void add_training_options(CLI::App& command, TrainingOptions& o);
/// timm's rate for this batch, unless --lr gave one.
double learning_rate(const TrainingOptions& o);
train::RuleSettings rule_settings(const TrainingOptions& o);

}  // namespace fovea::cli
