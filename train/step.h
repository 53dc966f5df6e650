// SPDX-License-Identifier: Apache-2.0
// train/step.h — Step: forward, backward and update of one batch; one function, run eagerly or as a compiled graph.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/peers.h"
#include "engine/graph/session.h"
#include "nn/module.h"
#include "train/clip.h"
#include "train/ema.h"
#include "train/loss.h"
#include "train/optim/optimizer.h"

namespace fovea::train {

/// What is minimised: a scalar of the model and a batch.
struct Objective {
  virtual ~Objective() = default;
  virtual Tensor operator()(Module& model, std::span<const Tensor> batch) const = 0;
  /// What gradients of such a batch are multiplied by; it may depend on shapes. Losses are told without it.
  virtual double weight(std::span<const Tensor>) const { return 1; }
};
/// The loss of batch[0]'s logits and batch[1]; cross entropy, if it is null.
std::shared_ptr<const Objective> classification(std::shared_ptr<const Loss> loss = {});

struct StepOptions {
  std::shared_ptr<const Objective> objective = classification();
  int64_t accumulate = 1;                          // the batch goes through in so many parts, one after the other
  uint64_t seed = 0;                               // of what layers draw, as Module::seed()
  Clip clip = Clip::none;
  double clip_bound = 0;
  std::vector<std::string> clip_spared{};          // parameters that Clip::agc passes over
  Ema* ema = nullptr;                              // borrowed; follows each update
  /// Where loss or gradients are not finite, nothing changes. Costs reading all state once more.
  bool skip_not_finite = false;
  /// Borrowed: processes that each take a step with a part of the batch, all of them equally much. Loss and gradients
  /// are those of the whole; sums of gradients set out while backward goes on, in buckets of so many bytes. Whoever
  /// makes the step sees to it that all begin with the same model.
  Peers* peers = nullptr;
  bool sync_batch_norm = false;                    // statistics of batch norms are over the images of all processes
  /// Else each process follows those of its own images, and begins every step with what rank 0 has followed.
  bool share_statistics = true;
  int64_t bucket_bytes = int64_t{4} << 20;
};

struct StepResult {
  double loss = 0;                                 // before the update; of all processes
  double norm = 0;                                 // of all gradients before they were clipped; 0 where nobody asked
  bool skipped = false;
};

/// Learning rates, decays and the random step are operands, so the same graph serves all steps: eagerly and compiled
/// the same numbers are drawn, others at each step.
class Step {
 public:
  /// Both are borrowed and must stay where they are.
  Step(Module& model, Optimizer& optimizer, StepOptions options = {});
  ~Step();
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  /// From now on one graph for each shape of batch. The slots of parameters, buffers and the optimizer's state then
  /// hold the running session's own memory: they show what the last step left, and what is put into them is taken over.
  void compile(const Target& target = {});
  /// Images, targets, or whatever the objective takes, the same number in each.
  StepResult take(std::span<const Tensor> batch);
  double operator()(std::span<const Tensor> batch) { return take(batch).loss; }
  double operator()(std::initializer_list<Tensor> batch) { return (*this)(std::span(batch.begin(), batch.size())); }
  /// Whatever a step changes, by name: parameters, buffers, "optimizer.step", "ema.fc.weight".
  std::vector<Slot> slots();

  int64_t drawn() const { return drawn_; }         // the random step: how many forward passes there were
  void set_drawn(int64_t n) { drawn_ = n; }
  Session& session(std::span<const Tensor> batch);         // the compiled step for this shape
  std::vector<double> profile(std::span<const Tensor> batch);  // a step with the time of each part: Session::profile()

 private:
  struct Compiled;
  bool alone() const { return !options_.peers || options_.peers->size() == 1; }
  Tensors run(std::span<const Tensor> batch, const Tensor& hyper, const Tensor& random);
  Gradients learn(std::span<const Tensor> batch, const Tensor& random, Gradients& curvature, Tensor& loss);
  Tensors operands(std::span<const Tensor> batch);
  void take_back(const Tensors& before, const Tensor& ok);
  Compiled& compiled(std::span<const Tensor> batch);
  void take_over(Compiled& c);

  Module& model_;
  Optimizer& optimizer_;
  StepOptions options_;
  int64_t drawn_ = 0;
  std::unique_ptr<Target> target_;                 // null: eager
  std::vector<std::unique_ptr<Compiled>> compiled_;
};

}  // namespace fovea::train
