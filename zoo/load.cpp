// SPDX-License-Identifier: Apache-2.0
// zoo/load.cpp — weights into a model: foreign names translated, the first convolution and the classifier made to fit.
#include <algorithm>
#include <limits>

#include "nn/adapted.h"
#include "weights_tools/adapt.h"
#include "weights_tools/open_weights.h"
#include "zoo/family.h"
#include "zoo/source.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

// How many of the model's names are among these.
size_t known_names(const ImageModel& model, const StateDict& weights) {
  size_t n = 0;
  for (const NamedParameter& p : model.named_state()) n += weights.contains(p.name) ? 1 : 0;
  return n;
}

StateDict translated(ImageModel& model, StateDict weights) {
  const Family& f = model.family();
  if (!f.renames.empty()) {
    StateDict renamed = rename(weights, f.renames);
    if (known_names(model, renamed) > known_names(model, weights)) weights = std::move(renamed);
  }
  return f.adapt ? f.adapt(model, std::move(weights)) : weights;
}

std::vector<std::string> classifiers_of(const ImageModel& model) {
  const PretrainedCfg& row = model.pretrained_cfg();
  return split_list(row.classifier.empty() ? model.classifier_name() : row.classifier);
}

const Tensor* part_of(const StateDict& weights, const std::string& module) {
  const Tensor* w = weights.find(module + ".weight");
  return w ? w : weights.find(module + ".bias");
}

}  // namespace

std::string classes_taken(int64_t theirs, int64_t before) {
  return cat("the classifier has ", theirs, theirs == 1 ? " class" : " classes", " as the weights have, not ", before);
}

/// Weights on their way into a model, and what became of them.
class FittedWeights {
 public:
  FittedWeights(ImageModel& model, StateDict weights, std::string_view source, const LoadOptions& o)
      : model_(model),
        source_(source),
        options_(o),
        weights_(translated(model, std::move(weights))) {
    fit_first_convs();
  }

  StateDict take() { return std::move(weights_); }

  LoadReport load() {
    fit_classifier();
    keep_own_values();
    LoadReport report = model_.compare(weights_);
    if (options_.strict == Strict::yes) want_fitting(report);
    report = model_.load(weights_, options_.strict, source_, model_.full_name());
    if (!own_.empty()) model_.materialise();  // they start from first values
    report.adapted = lines_.take();
    model_.load_report_ = report;
    return report;
  }

 private:
  // The channels that images had for the file, by the shape of the model's own weight: stems may fold pixels into
  // channels.
  void fit_first_convs() {
    const StateDict own = model_.state_dict();
    const int64_t channels = model_.input_size()[0];
    for (const std::string& conv : split_list(model_.pretrained_cfg().first_conv)) {
      const std::string name = conv + ".weight";
      const Tensor *theirs = weights_.find(name), *ours = own.find(name);
      if (!theirs || !ours || theirs->rank() != 4 || ours->rank() != 4 || theirs->dim(1) == ours->dim(1)) continue;
      const int64_t source = theirs->dim(1) * channels / ours->dim(1);
      Tensor fitted;
      if (source > 0 && source * ours->dim(1) == theirs->dim(1) * channels)
        fitted = adapt_input_conv(*theirs, channels, source);
      if (fitted) {
        say_adapted(cat(name, " adapted from ", source, " to ", channels, " input channels"));
        weights_.set(name, std::move(fitted));
      } else if (options_.fine_tune) {
        say_adapted(cat(name, " is for ", theirs->dim(1), " channels instead of ", ours->dim(1), ": it starts anew"));
        own_.push_back(name);
      }
    }
  }

  // The classes that the file tells apart; nothing when it has no classifier.
  std::optional<int> classes_of_weights() const {
    for (const std::string& name : classifiers_of(model_))
      if (const Tensor* t = part_of(weights_, name); t && t->rank() > 0 && t->dim(0) > 0) {
        if (t->dim(0) <= std::numeric_limits<int>::max()) return static_cast<int>(t->dim(0));
        throw Error(Error::Kind::weights, cat(source_, " has a classifier of ", t->dim(0), " classes"));
      }
    return {};
  }

  void fit_classifier() {
    const std::optional<int> theirs = classes_of_weights();
    const int ours = model_.num_classes();
    if (theirs.value_or(0) == ours) return;
    if (theirs && model_.classes_left_open()) {
      say_adapted(classes_taken(*theirs, ours));
      take_classes(*theirs);
    } else if (theirs && ours == 0) {
      say_adapted(cat("the classifier of ", *theirs, " classes is left out"));
      drop_classifier();
    } else if (options_.fine_tune && !model_.classes_left_open()) {
      say_adapted(theirs ? cat("the classifier of ", *theirs, " classes is dropped: one of ", ours, " starts anew")
                         : cat("the file has no classifier: one of ", ours, " classes starts anew"));
      drop_classifier();
      for (const std::string& name : classifiers_of(model_))
        for (const char* part : {".weight", ".bias"}) own_.push_back(name + part);
    } else if (!theirs && options_.headless && model_.classes_left_open()) {
      say_adapted("the file has no classifier");
      take_classes(0);
    } else if (theirs && options_.strict == Strict::yes) {
      throw Error(
          Error::Kind::weights,
          cat(source_, " is for ", *theirs, " classes, but ", ours, " of ", model_.architecture(), " were asked for"),
          "num_classes left open takes the file's; .fine_tune (create: .pretrained) starts a new classifier");
    }
  }

  void take_classes(int classes) {
    const DType dtype = dtype_of_floats();
    const bool wants = wants_gradients();
    model_.reset_classifier(classes);
    model_.leave_classes_open();
    for (const std::string& name : classifiers_of(model_))
      if (Module* m = model_.find(name)) {
        m->to(dtype);
        m->set_requires_grad(wants);
      }
  }
  DType dtype_of_floats() const {
    for (const NamedParameter& p : model_.named_parameters())
      if (is_floating(p.tensor().dtype())) return p.tensor().dtype();
    return DType::f32;
  }
  bool wants_gradients() const {
    const std::vector<NamedParameter> all = model_.named_parameters();
    return !all.empty() && all.front().tensor().requires_grad();
  }

  void drop_classifier() {
    for (const std::string& name : classifiers_of(model_))
      for (const char* part : {".weight", ".bias"}) weights_.erase(name + part);
  }

  void keep_own_values() {
    const StateDict own = model_.state_dict();
    for (const std::string& name : own_)
      if (const Tensor* t = own.find(name)) weights_.set(name, *t);
  }

  // A file that lacks the classifier alone is more often meant for features than damaged.
  void want_fitting(const LoadReport& report) const {
    if (report.clean() || !report.unexpected.empty() || !report.wrong_shape.empty()) return;
    const std::vector<std::string> classifiers = classifiers_of(model_);
    const auto of_classifier = [&](const auto& row) {
      return std::ranges::any_of(classifiers, [&](const std::string& c) { return row.first.starts_with(c + "."); });
    };
    if (classes_of_weights() || !std::ranges::all_of(report.missing, of_classifier)) return;
    throw Error(Error::Kind::weights,
                cat(source_, " fits ", model_.full_name(), ", but has no classifier (", report.missing[0].first, ")"),
                "with .num_classes = 0 it gives features, and so does `fovea features`");
  }

  ImageModel& model_;
  std::string source_;
  LoadOptions options_;
  AdaptedLines lines_;  // hears the translation, too
  StateDict weights_;
  std::vector<std::string> own_;  // names of which the model keeps its own values
};

StateDict adapt_weights(ImageModel& model, StateDict weights) {
  return FittedWeights(model, std::move(weights), "the weights", {}).take();
}

LoadReport load_weights(ImageModel& model, StateDict weights, std::string_view source, const LoadOptions& o) {
  return FittedWeights(model, std::move(weights), source, o).load();
}

LoadReport load_weights(ImageModel& model, const std::string& name, const LoadOptions& o) {
  return load_weights(model, open_weights(name), name, o);
}

StateDict open_weights(const std::string& name, const OpenOptions& o) {
  return fovea::open_weights(weights_path(name), o);
}

}  // namespace fovea::zoo
