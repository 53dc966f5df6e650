// SPDX-License-Identifier: Apache-2.0
// cli/common.h — what several sub-commands share: a model from the command line, and images on their way into it.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/preprocess.h"
#include "data/decode.h"
#include "engine/core/error.h"
#include "engine/graph/batch_session.h"
#include "data/sequence.h"
#include "zoo/plan_cache.h"
#include "zoo/sequence_sessions.h"
#include "weights_tools/open_weights.h"
#include "zoo/zoo.h"

namespace fovea::cli {

class Command;
class Option;

/// --weights, --threads, --dtype, --eager, --calibration and what else decides how a model runs.
struct ModelArguments {
  std::string name, weights, dtype = "f32", calibration;
  int threads = 0;                                 // 0: as FOVEA_THREADS or the machine says
  bool eager = false, no_cache = false, allow_nan = false;
  int max_seq_len = 0;                             // not 0: images become sequences of at most so many patches
  std::vector<int> patch_size;                     // of these, height and width; empty: the model's
  zoo::ModelOptions options;                       // --num-classes, --set, --crop-pct, ...
  std::vector<std::string> licenses;               // --license; none: any
};
void add_model_arguments(Command command, ModelArguments& a);
void add_model_name(Command command, std::string& name);              // of these the first
void add_weights_arguments(Command command, ModelArguments& a);      // of these --weights and --pretrained
/// --num-classes, --set and what else create() takes; --crop-pct and what else decides how images are prepared
void add_create_arguments(Command command, zoo::ModelOptions& o);
void add_sequence_arguments(Command command, ModelArguments& a);     // --max-seq-len and --patch-size of them
/// The same where other arguments hold them.
void add_sequence_options(Command command, int& max_seq_len, std::vector<int>& patch_size);
void add_allow_nan(Command command, ModelArguments& a);              // --allow-nan, which is one of them
Option add_license_option(Command command, std::vector<std::string>& licenses);
/// --allow-truncated, --max-pixels
void add_decode_arguments(Command command, data::DecodeOptions& o);

/// With its weights, in eval mode; sets the number of threads. Without --weights they are the published ones, which are
/// fetched where they are not here yet.
std::unique_ptr<zoo::ImageModel> load_model(const ModelArguments& a);
/// Refuses published weights of other licenses than these (none: any will do), and says it where theirs forbids
/// commercial use.
void check_license(const zoo::PretrainedCfg& row, const std::vector<std::string>& licenses);
/// The same, of a model's name, before anything is made or fetched; nothing, where the catalogue does not know it.
void check_license(const std::string& model, const std::vector<std::string>& licenses);
/// A model with these weights; without a name of any, with the published ones, if their license is one of these.
std::unique_ptr<zoo::ImageModel> create_loaded(const std::string& name, const zoo::ModelOptions& o,
                                               const std::string& weights, const std::vector<std::string>& licenses,
                                               const OpenOptions& how = {});
/// What was left out of the weights or adapted, on standard error.
void tell_adapted(const LoadReport& report, const std::string& weights);
void tell(const std::string& note);                // "note: ..." on standard error
void tell_of_integers(const Session& s);           // the same, where 8-bit integers have no fast kernels
/// Throws `why` with the advice of --allow-nan, or tells it on standard error where that was given.
void refuse_not_finite(const Error& why, bool allow_nan);

/// What a command makes of a model and images.
struct Computation {
  virtual ~Computation() = default;
  virtual Graph trace(zoo::ImageModel& model) const = 0;
  virtual Tensors run(zoo::ImageModel& model, const Tensor& images) const = 0;   // eagerly
  virtual bool needs_classifier() const { return true; }
  // of sequences; else logits or their like
  virtual std::optional<zoo::FeatureOptions> levels() const { return {}; }
};

/// A model in eval mode that computes something: eagerly, or as a session that comes from the plan cache if it is
/// there, and else is compiled from the weights.
class ReadyModel {
 public:
  /// `what` must live as long as this; it traces one image.
  ReadyModel(const ModelArguments& a, const Computation& what);
  /// f32[batch, C, H, W], of any batch; the results are f32 and row-major, and the next call may overwrite them.
  /// Compiled, images of a batch give the bits that they give alone: they are computed one by one, or one a thread.
  /// Throws Error when one of them is not finite, with the tensor of the weights or the layer where that begins, unless
  /// --allow-nan was given.
  Tensors operator()(const Tensor& images);
  /// The same of sequences of patches, where --max-seq-len was given. Compiled ones are not kept in the plan cache.
  Tensors operator()(const zoo::PatchSequence& s);
  /// How images become sequences; nothing where they stay images.
  const std::optional<data::SequenceLimits>& limits() const { return limits_; }
  zoo::ImageModel& model() { return *model_; }
  bool from_cache() const { return from_cache_; }
  const std::string& weights() const { return weights_; }              // the file
  /// Puts a session that was compiled into the plan cache: to be called once the answer is out.
  void keep();

 private:
  Target target() const;
  void compile(const ModelArguments& a);
  template <class Why>
  void want_finite(const Tensors& results, const Why& why);
  Tensors compute(const Tensor& images);
  Error why_not_finite(const Tensor& images);
  void load();
  Tensors run_batch(const Tensor& images);

  const Computation& what_;
  std::string weights_;
  DType dtype_;
  bool eager_, allow_nan_, told_ = false, from_cache_ = false, may_keep_ = true;
  std::unique_ptr<zoo::ImageModel> model_;
  Session session_;
  BatchSession side_by_side_;  // forks of it; made when they are needed
  bool forked_ = false;
  std::optional<zoo::PlanCache> cache_;
  std::optional<data::SequenceLimits> limits_;
  zoo::SequenceWants wants_;
  std::optional<zoo::SequenceSessions> sequences_;
};

/// How images become sequences for a model: of so many patches, of its size or another that it takes.
data::SequenceLimits sequence_limits(zoo::ImageModel& model, int max_seq_len, const std::vector<int>& patch_size);
/// Options of a model that takes them.
zoo::ModelOptions for_patches(zoo::ModelOptions o, const std::vector<int>& patch_size);
/// The size of patches that are not of the model's.
std::optional<Size2> other_patch(const std::vector<int>& patch_size);

/// The sequences of those images that could be read, all as long as the longest, or of `length`.
struct Sample;
data::SequenceBatch collated(const std::vector<Sample>& samples, int64_t length = 1);
/// The results for those images that could be read, in their order; none when none could.
Tensors run_samples(ReadyModel& model, const std::vector<Sample>& samples);

/// "2.35 ms", "1.20 s"
std::string duration(double seconds);

}  // namespace fovea::cli
