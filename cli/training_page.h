// SPDX-License-Identifier: Apache-2.0
// cli/training_page.h — `fovea train --html FILE`: one page about a run, written again and again while it lasts.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/curves.h"
#include "cli/evaluate.h"
#include "data/reader.h"
#include "engine/core/tensor.h"
#include "train/fit.h"
#include "train/mistakes.h"

namespace fovea::cli {

struct PageFacts {
  std::string title;                               // the model's name
  std::vector<std::pair<std::string, std::string>> about;    // how it is trained: "learning rate", "0.001: why"
  std::vector<std::string> classes;
  std::vector<int64_t> images;                     // to train on, of each class
  int64_t epochs = 0;                              // 0: a head is learnt at once
  const data::Reader* asked = nullptr;        // the images of evaluation, for their pictures; null: there are none
};

class TrainingPage final : public AnswerListener {
 public:
  /// Writes the page, so that a path which cannot be written is found out early.
  TrainingPage(std::string path, PageFacts facts);
  void step(const train::StepReport& r, double images_per_second);
  void epoch(const train::EpochReport& r);
  /// Of an evaluation under way; the next epoch() shows them.
  void answers(const Tensor& logits, std::span<const int64_t> labels, std::span<const size_t> samples) override;
  /// The last page, which does not load itself again. How it ended: "done", "interrupted", ...
  void end(const std::string& how);

 private:
  void write_if_due();
  void write(const std::string& state, bool running);
  void show_answers();
  std::string head(const std::string& state) const;
  std::string plots() const;
  std::string picture(const train::Mistakes::One& m) const;
  std::string classes_card() const;

  std::string path_;
  PageFacts facts_;
  double began_, written_ = 0, images_per_second_ = 0;
  int64_t epoch_ = 0;
  Curve step_loss_{"a step's", "conv", {}, true}, train_loss_{"an epoch's, in training", "conv"},
      test_loss_{"evaluation's", "depthwise"}, top1_{"the first answer", "conv"}, top5_{"one of five", "norm"},
      rate_{"learning rate", "conv"}, speed_{"images a second", "conv"};
  std::optional<std::pair<double, double>> best_;  // of top1_ and top5_
  bool of_labels_ = false;                         // several an image
  std::optional<train::Mistakes> coming_, shown_;
  std::string worst_;                              // the card of shown_'s, with its pictures
};

}  // namespace fovea::cli
