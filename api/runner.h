// SPDX-License-Identifier: Apache-2.0
// api/runner.h — Runner: a model compiled for batches of any number, and for several sizes of images, as they come.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "api/loaded_model.h"
#include "engine/graph/batch_session.h"

namespace fovea::capi {

struct RunnerOptions {
  enum class Outputs : uint8_t { logits, features, levels } outputs = Outputs::logits;
  std::vector<int> levels;                         // of the latter; empty: all
  Target target;                                   // threads filled in
  int height = 0, width = 0;                       // 0: the model's
  size_t more_sizes = 0;
  bool allow_nan = false, release = false;
};

/// Images of a batch give the bits that they give alone: they are computed one by one on all threads, or, where there are
/// as many as threads, one a thread. There is one copy of packed weights for all batches of a size and for all forks.
class Runner {
 public:
  Runner(std::shared_ptr<LoadedModel> model, RunnerOptions o);
  Runner fork() const;

  /// f32[n, C, H, W]; the results stay the runner's and are overwritten by the next run. Throws NotFinite.
  std::span<const Tensor> run(const Tensor& images);
  /// Seconds of each step for one image of zeros, as steps() lists them.
  std::vector<double> profile();
  const std::vector<StepInfo>& steps() const { return sizes_[0]->one.steps(); }

  LoadedModel& model() const { return *model_; }
  const RunnerOptions& options() const { return options_; }
  Meta input() const { return sizes_[0]->one.inputs()[0]; }            // of one image, of the first size
  std::vector<Meta> results() const;                                   // of one image
  bool from_cache() const { return sizes_[0]->from_cache; }
  int64_t working_bytes() const;
  int64_t constant_bytes() const;
  double seconds_compiling() const { return seconds_compiling_; }      // since the last time that somebody asked
  void forget_seconds_compiling() { seconds_compiling_ = 0; }

 private:
  struct Size {
    int64_t height = 0, width = 0;
    Session one;
    BatchSession many;                             // forks of it; made when they are needed
    bool forked = false, from_cache = false;
    Tensors rows;                                  // the results of fewer images than threads
    uint64_t used = 0;                             // the largest: last of all
  };
  Runner() = default;
  Size& size_of(const Tensor& images);
  std::unique_ptr<Size> compiled(int64_t height, int64_t width);
  std::span<const Tensor> compute(Size& size, const Tensor& images);

  std::shared_ptr<LoadedModel> model_;
  RunnerOptions options_;
  std::vector<std::unique_ptr<Size>> sizes_;       // the first one stays
  uint64_t runs_ = 0;
  double seconds_compiling_ = 0;
};

}  // namespace fovea::capi
