// SPDX-License-Identifier: Apache-2.0
// train/fit.h — Fit: epochs of steps, with evaluation, schedule and checkpoints between them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/loader.h"
#include "engine/core/peers.h"
#include "train/checkpoint.h"
#include "train/multi_label.h"
#include "train/schedule.h"
#include "train/step.h"

namespace fovea::train {

struct Evaluation {
  double loss = 0, top1 = 0, top5 = 0;             // the latter in per cent
  std::optional<MultiLabelScores> labels{};        // of several labels an image; top1 and top5 do not count then
  /// Names and values of what was measured, as --eval-metric has them: loss, top1, top5, or loss, map, micro_f1,
  /// macro_f1, sample_f1.
  std::vector<std::pair<std::string, double>> figures() const;
};
/// How good the model is now; the caller's business. May throw Cancelled: the run then ends as one that was
/// interrupted, and evaluates when it is resumed.
struct Evaluator {
  virtual ~Evaluator() = default;
  virtual Evaluation operator()() = 0;
};

struct EpochReport {
  int64_t epoch = 0, updates = 0;
  double loss = 0, lr = 0;                         // mean over the epoch's images; the rate at its end
  std::optional<Evaluation> evaluation;
  double metric = 0;
  bool best = false;                               // better than any epoch before
  std::map<size_t, std::string> bad_images;       // of the epoch, by number, and why they could not be read
};
struct StepReport {
  int64_t epoch = 0, batch = 0, batches = 0, updates = 0;
  StepResult result;
  double lr = 0, mean_loss = 0;                    // the latter of the epoch so far
  int64_t images = 0;                              // in the batch
};
struct Listener {
  virtual ~Listener() = default;
  virtual void step(const StepReport&) {}
  virtual void epoch(const EpochReport&) {}
  virtual bool stop() { return false; }            // asked after each step
};

struct FitOptions {
  int64_t epochs = 0;                              // 0: as many as the schedule says
  int64_t stop_epoch = 0;                          // not 0: ends early, the schedule unchanged
  int64_t val_interval = 1, recovery_interval = 0; // in epochs; in steps, 0: none
  int64_t history = 10;                            // checkpoints that are kept, the best
  std::string metric = "top1";                     // what "best" looks at: of Evaluation::figures()
  std::vector<int64_t> milestones{};               // epochs whose checkpoints stay, as "milestone-N"
  int64_t patience = 0;                            // epochs without a better metric, then it ends; 0: never
  int64_t most_not_finite = 5;                     // steps in a row that change nothing, then it ends
  /// Borrowed: processes that run the same epochs, each with its part of the images. They begin with what rank 0 has.
  /// Checkpoints are of rank 0 alone; others need none.
  Peers* peers = nullptr;
  /// What becomes of the statistics of batch norms at the end of an epoch: their mean over processes, rank 0's, or
  /// nothing.
  enum class Statistics : uint8_t { mean, first, kept } statistics = Statistics::mean;
};

enum class Ended : uint8_t { done, interrupted, diverged };
std::string_view name_of(Ended e);

/// All parts are borrowed; checkpoints, evaluator and listener may be null.
class Fit {
 public:
  Fit(Module& model, Optimizer& optimizer, Step& step, Schedule& schedule, data::Loader& loader,
      const FitOptions& options, Checkpoints* checkpoints = nullptr, Evaluator* evaluator = nullptr,
      Listener* listener = nullptr);
  /// Goes on where that checkpoint was saved.
  void resume(const std::string& checkpoint);
  /// Counts epochs from this one on, wherever the weights come from.
  void start_at(int64_t epoch);
  /// Ends with a checkpoint in each case: "recovery" where it was interrupted or diverged.
  Ended run();
  int64_t epoch() const { return epoch_; }
  int64_t updates() const { return updates_; }
  std::optional<double> best() const { return best_; }
  int64_t best_epoch() const { return best_epoch_; }
  /// Are there as many epochs without a better metric as FitOptions::patience allows?
  bool out_of_patience() const;

 private:
  std::optional<Ended> run_epoch();
  std::optional<Ended> end_epoch();
  bool writes() const { return !options_.peers || options_.peers->writes(); }
  bool stopped();
  void save(const std::string& name, double metric);
  void keep(int64_t number, bool best, double metric);
  Notes read(const std::string& checkpoint);
  Notes notes(double metric) const;
  bool better(double a, double b) const { return options_.metric == "loss" ? a < b : a > b; }
  double metric_of(const Evaluation& e) const;    // throws Error(argument) where it was not measured
  void prune(int64_t newest);

  Module& model_;
  Optimizer& optimizer_;
  Step& step_;
  Schedule& schedule_;
  data::Loader& loader_;
  FitOptions options_;
  Checkpoints* checkpoints_;
  Evaluator* evaluator_;
  Listener* listener_;
  int64_t epoch_ = 0, batch_ = 0, updates_ = 0, not_finite_ = 0;
  double loss_sum_ = 0, images_ = 0;               // of the epoch under way
  std::vector<size_t> bad_;                        // images of it that could not be read before it was resumed
  std::optional<double> best_;
  int64_t best_epoch_ = -1;
};

}  // namespace fovea::train
