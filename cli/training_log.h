// SPDX-License-Identifier: Apache-2.0
// cli/training_log.h — TrainingLog: what a run says, on stderr and in files beside the checkpoints.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "bench/progress.h"
#include "cli/json.h"
#include "cli/training_options.h"
#include "cli/training_page.h"
#include "train/fit.h"
#include "train/summary.h"

namespace fovea::cli {

class TrainingLog final : public train::Listener {
 public:
  /// `images`: of a step, of all processes together. `page` is borrowed; null: there is none.
  TrainingLog(const TrainingOptions& o, const std::string& folder, int64_t first_epoch, int64_t images,
              TrainingPage* page);
  void step(const train::StepReport& r) override;
  void epoch(const train::EpochReport& r) override;
  bool stop() override;
  /// The ten best epochs, the best first, as timm's script ends.
  Json best() const;

  /// A line on stderr.
  void note(const std::string& text);

 private:
  void append_line(const std::string& text);

  const TrainingOptions& o_;
  TrainingPage* page_;
  train::SummaryCsv summary_;
  train::EventFile events_;
  std::string steps_;
  int64_t images_, seen_ = 0;                      // of a step; since began_
  double began_ = 0, epoch_began_ = bench::now();
  bench::Progress line_;
  std::vector<Json> results_;
};

/// Of a process that leaves all that to another one.
struct QuietLog final : train::Listener {
  bool stop() override;
};

}  // namespace fovea::cli
