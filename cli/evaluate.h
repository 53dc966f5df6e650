// SPDX-License-Identifier: Apache-2.0
// cli/evaluate.h — how good a model is on a folder of images: timm's accuracies, precision, recall and F1.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/progress.h"
#include "cli/training_options.h"
#include "data/loader.h"
#include "data/sequence.h"
#include "engine/core/peers.h"
#include "engine/graph/batch_session.h"
#include "train/fit.h"
#include "train/multi_label.h"
#include "zoo/sequence_sessions.h"
#include "zoo/zoo.h"

namespace fovea::cli {

/// Counts what logits say of targets.
class Scores {
 public:
  /// Logits f32[N, C] and classes i64[N], or of several labels an image f32[N, C]: then the loss is binary cross
  /// entropy, as timm's evaluator has it.
  void add(const Tensor& logits, const Tensor& targets);
  int64_t images() const { return images_; }
  train::Evaluation evaluation() const;
  /// In per cent, over the classes that occur or were answered: each alike ("macro"), by how often it occurs
  /// ("weighted"), or all answers together ("micro").
  struct Averages {
    double precision = 0, recall = 0, f1 = 0;
  };
  Averages averages(const std::string& kind) const;
  void add_up(Peers& all);                         // what all processes counted

 private:
  struct Class {
    int64_t is = 0, answered = 0, both = 0;
  };
  void add_labels(const Tensor& logits, const Tensor& targets);
  std::vector<Class> classes_;
  std::optional<train::MultiLabel> labels_;
  int64_t images_ = 0, top1_ = 0, top5_ = 0;
  double loss_ = 0;
};

/// How far pooling at test time goes: over windows of the map of this size, each of which is classified, and then half
/// the mean and half the most of what they say. Of images larger than a model was trained on.
using TestPool = std::optional<std::array<int, 2>>;

/// A model in eval mode, compiled as it is when the first images of a size come, one image a thread.
class Answerer {
 public:
  explicit Answerer(zoo::ImageModel& model, TestPool pool = {}) : model_(model), pool_(pool) {}
  Tensor operator()(const Tensor& images);         // f32[N, C, H, W] -> logits, overwritten by the next call

 private:
  zoo::ImageModel& model_;
  TestPool pool_;
  Shape image_{};
  BatchSession session_;
};

/// What a model says of the images of a folder, a batch at a time, in their order.
class Answers {
 public:
  virtual ~Answers() = default;
  struct Batch {
    // f32[N, C], overwritten by the next one; i64[N], of several labels f32[N, C]
    Tensor logits, targets;
    std::vector<size_t> samples;                   // their numbers in the folder
  };
  virtual bool next(Batch& batch) = 0;             // false behind the last one
  /// Images so far that could not be read, and why.
  virtual const std::map<size_t, std::string>& bad() const = 0;
};

/// Of images of one size.
class ImageAnswers final : public Answers {
 public:
  ImageAnswers(zoo::ImageModel& model, data::Loader& loader, TestPool pool = {});
  bool next(Batch& batch) override;
  const std::map<size_t, std::string>& bad() const override { return loader_.bad(); }

 private:
  data::Loader& loader_;
  Answerer answer_;
};

/// Of images that keep their aspect ratio, as sequences of patches. Those that cannot be read are left out.
class SequenceAnswers final : public Answers {
 public:
  struct Options {
    int64_t batch = 1;
    data::EvalConfig eval{};
    data::SequenceLimits limits{};
    zoo::SequenceWants wants{};
    int64_t most_bad = 0;                          // images that cannot be read: more of them are an error
    int64_t label_classes = 0;                     // not 0: targets are of several labels, of so many classes
    data::Shard shard{};
  };
  /// Throws Error(unsupported) for models that take images only.
  SequenceAnswers(zoo::ImageModel& model, const data::Reader& reader, Options o);
  bool next(Batch& batch) override;
  const std::map<size_t, std::string>& bad() const override { return bad_; }

 private:
  std::vector<data::Patches> read(size_t first, size_t count, std::vector<size_t>& samples);
  const data::Reader& reader_;
  Options o_;
  zoo::SequenceSessions sessions_;
  std::map<size_t, std::string> bad_;
  size_t next_, end_;
};

/// As the options say. Reader and loader are borrowed.
std::unique_ptr<Answers> answers_of(const EvaluationOptions& a, zoo::ImageModel& model, const data::Reader& reader,
                                    data::Loader& loader, const data::EvalConfig& config, const data::Shard& shard,
                                    TestPool pool = {});

/// All classes that may be said of each of ImageNet's 50,000 images: https://arxiv.org/abs/2006.07159.
class RealLabels {
 public:
  explicit RealLabels(const std::string& file);    // JSON, a list an image
  /// Images without any of them do not count.
  void add(const Tensor& logits, std::span<const std::string> paths);
  void add_up(Peers& all);
  double top1() const { return share(top1_); }     // in per cent
  double top5() const { return share(top5_); }

 private:
  double share(int64_t right) const {
    return images_ > 0 ? 100 * static_cast<double>(right) / static_cast<double>(images_) : 0;
  }
  std::vector<std::vector<int64_t>> labels_;
  int64_t images_ = 0, top1_ = 0, top5_ = 0;
};

/// Sees the answers to each batch: logits f32[N, C], classes, and the images' numbers in their folder.
struct AnswerListener {
  virtual ~AnswerListener() = default;
  virtual void answers(const Tensor& logits, std::span<const int64_t> labels, std::span<const size_t> samples) = 0;
};

/// "Loss: 0.6931  Acc@1: 50.000  Acc@5: 100.000", or of several labels an image what is measured of these.
std::string figures_text(const train::Evaluation& e);

struct ScoreOptions {
  bench::Counter* counter = nullptr;               // told how many images there were so far
  TestPool pool{};
  std::vector<int64_t> valid{};                    // the classes that the images are of, in their order; empty: all
  int64_t group = 0;                               // so many images one after the other are views of one
  RealLabels* real = nullptr;
  AnswerListener* listener = nullptr;              // of single images of one label; of others nobody is told
  const data::Reader* reader = nullptr;            // whose images the loader reads, for real labels
  /// Processes that each have a part of the images, and get the scores of all. The listener is rank 0's; whether it
  /// has one is to be said everywhere.
  Peers* peers = nullptr;
  bool listens = false;
};
/// How many images could not be read, and of some why: a line each, none where there are none.
std::vector<std::string> bad_lines(const std::map<size_t, std::string>& bad);
/// On stderr.
void tell_bad(const std::map<size_t, std::string>& bad);
Scores score(Answers& answers, const ScoreOptions& o = {});
/// Over all batches of the loader.
Scores score(zoo::ImageModel& model, data::Loader& loader, const ScoreOptions& o = {});

}  // namespace fovea::cli
