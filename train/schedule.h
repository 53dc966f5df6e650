// SPDX-License-Identifier: Apache-2.0
// train/schedule.h — Schedule: the learning rate as a function of epochs or updates, timm's.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fovea::train {

struct ScheduleOptions {
  // or tanh, step, multistep, poly, plateau, wsd, rsqrt, constant, none
  std::string kind = "cosine";
  int64_t epochs = 300;                            // without warm-up, if that is a prefix, and without cool-down
  std::optional<double> decay_epochs{};            // step: 90; wsd, rsqrt: 0.2, below 1 a share of the schedule
  std::vector<double> decay_milestones{90, 180, 270};
  double cooldown_epochs = 0, patience_epochs = 10;
  double decay_rate = 0.1;                         // of poly the power
  double min_lr = 0, warmup_lr = 1e-5, warmup_epochs = 0;
  bool warmup_prefix = false;
  std::vector<double> noise{};                     // where noise begins, and ends, as shares of the schedule
  double noise_pct = 0.67, noise_std = 1;
  int64_t noise_seed = 42;
  double cycle_mul = 1, cycle_decay = 0.1, k_decay = 1;
  int64_t cycle_limit = 1;
  std::string decay_fn{};                          // wsd, rsqrt: linear, 1-sqrt, cosine, power, exp
  std::optional<double> stable_timescale{};        // rsqrt, in epochs
  bool plateau_max = true;                         // larger metrics are better
  bool on_updates = false;
  int64_t updates_per_epoch = 0;                   // for on_updates
};

class Schedule {
 public:
  /// Throws Error(argument) for what makes no schedule. Before anything happened, lr() is what warm-up begins with.
  Schedule(const ScheduleOptions& options, double base_lr);
  double lr() const { return lr_; }
  /// At the end of an epoch, of which there were so many now.
  void epoch(int64_t epochs, std::optional<double> metric = {});
  /// After an update, of which there were so many now.
  void update(int64_t updates);
  int64_t epochs() const { return total_; }        // to train for, with all cycles, warm-up and cool-down

  /// What plateau remembers; empty for the others.
  std::vector<double> state() const;
  void set_state(const std::vector<double>& state);

 private:
  struct Plateau {
    double best = 0, bad = 0;
    bool any = false;
    std::optional<double> without_noise;
  };
  double at(double t) const;
  double with_cycles(double t) const;
  double stable_then_decay(double t) const;
  double noisy(double lr, int64_t t) const;
  int64_t cycle_length() const;
  void follow(double metric);

  ScheduleOptions o_;
  double base_, lr_;
  double length_, warmup_, decay_ = 0, timescale_ = 0;     // in epochs or updates
  double warmup_step_ = 0;
  std::vector<double> milestones_, noise_range_;
  int64_t total_ = 0;
  Plateau plateau_;
};

/// Random numbers as PyTorch's generator on the CPU draws single ones.
class TorchRandom {
 public:
  explicit TorchRandom(uint64_t seed);
  ~TorchRandom();
  TorchRandom(const TorchRandom&) = delete;
  TorchRandom& operator=(const TorchRandom&) = delete;
  double normal();                                 // torch.randn(1), rounded to f32

 private:
  struct Engine;
  Engine* engine_;
};

}  // namespace fovea::train
