// SPDX-License-Identifier: Apache-2.0
#include "train/fit.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <limits>

#include "engine/core/cancel.h"
#include "engine/core/error.h"
#include "train/together.h"

namespace fovea::train {
namespace {

constexpr std::string_view kCheckpoint = "checkpoint-";

double real(const Notes& notes, const std::string& key, double otherwise) {
  const auto found = notes.find(key);
  double v = otherwise;
  if (found != notes.end()) std::from_chars(found->second.data(), found->second.data() + found->second.size(), v);
  return v;
}
int64_t integer(const Notes& notes, const std::string& key) { return static_cast<int64_t>(real(notes, key, 0)); }

std::string listed(const std::vector<double>& values) {
  std::string s;
  for (const double v : values) s += str_cat(s.empty() ? "" : " ", v);
  return s;
}
std::vector<double> values_in(std::string_view s) {
  std::vector<double> out;
  while (!s.empty()) {
    double v = 0;
    const auto end = std::from_chars(s.data(), s.data() + s.size(), v).ptr;
    if (end == s.data()) break;
    out.push_back(v);
    s.remove_prefix(std::min(s.size(), static_cast<size_t>(end - s.data()) + 1));
  }
  return out;
}

}  // namespace

std::string_view name_of(Ended e) {
  constexpr std::array<std::string_view, 3> names{"done", "interrupted", "diverged"};
  return names[static_cast<size_t>(e)];
}

std::vector<std::pair<std::string, double>> Evaluation::figures() const {
  if (!labels) return {{"loss", loss}, {"top1", top1}, {"top5", top5}};
  return {{"loss", loss},
          {"map", labels->map},
          {"micro_f1", labels->micro_f1},
          {"macro_f1", labels->macro_f1},
          {"sample_f1", labels->sample_f1}};
}

Fit::Fit(Module& model, Optimizer& optimizer, Step& step, Schedule& schedule, data::Loader& loader,
         const FitOptions& options, Checkpoints* checkpoints, Evaluator* evaluator, Listener* listener)
    : model_(model), optimizer_(optimizer), step_(step), schedule_(schedule), loader_(loader), options_(options),
      checkpoints_(checkpoints), evaluator_(evaluator), listener_(listener) {
  if (options_.epochs <= 0) options_.epochs = schedule_.epochs();
  constexpr std::array<std::string_view, 7> known{"top1", "top5", "loss", "map", "micro_f1", "macro_f1", "sample_f1"};
  if (std::ranges::find(known, options_.metric) == known.end())
    throw Error(Error::Kind::argument, str_cat("no metric '", options_.metric, "'"),
                "there are: top1, top5, loss; of several labels map, micro_f1, macro_f1, sample_f1, loss");
  optimizer_.set_lr(schedule_.lr());
}

// Rank 0 reads it, and run() shares what is in the slots.
Notes Fit::read(const std::string& checkpoint) {
  if (!options_.peers) return load_checkpoint(checkpoint, model_, step_.slots());
  std::string text;
  if (writes())
    for (const auto& [key, value] : load_checkpoint(checkpoint, model_, step_.slots()))
      text += str_cat(key, '\n', value, '\n');
  text = options_.peers->agreed(text);
  Notes out;
  for (size_t at = 0; at < text.size();) {
    const size_t key = text.find('\n', at), value = text.find('\n', key + 1);
    out[text.substr(at, key - at)] = text.substr(key + 1, value - key - 1);
    at = value + 1;
  }
  return out;
}

void Fit::resume(const std::string& checkpoint) {
  const Notes n = read(checkpoint);
  epoch_ = integer(n, "epoch");
  batch_ = integer(n, "batch");
  updates_ = integer(n, "updates");
  const int64_t now = loader_.images_at_a_time(), then = static_cast<int64_t>(real(n, "at_a_time", 0));
  if (then > 0 && then != now) {                   // steps of another size: the same place in the epoch
    batch_ = batch_ * then / now;
    updates_ = epoch_ * loader_.batches() + batch_;
  }
  step_.set_drawn(integer(n, "drawn"));
  loss_sum_ = real(n, "loss_sum", 0);
  images_ = real(n, "images", 0);
  bad_.clear();
  if (const auto bad = n.find("bad"); bad != n.end())
    for (const double sample : values_in(bad->second)) bad_.push_back(static_cast<size_t>(sample));
  best_epoch_ = static_cast<int64_t>(real(n, "best_epoch", -1));
  if (best_epoch_ >= 0) best_ = real(n, "best", 0);
  if (epoch_ > 0) schedule_.epoch(epoch_);
  if (updates_ > 0) schedule_.update(updates_);
  if (const auto state = n.find("schedule"); state != n.end()) schedule_.set_state(values_in(state->second));
  optimizer_.set_lr(schedule_.lr());
}

void Fit::start_at(int64_t epoch) {
  epoch_ = epoch;
  batch_ = 0;
  bad_.clear();
  loss_sum_ = images_ = 0;
  updates_ = epoch * loader_.batches();
  schedule_.epoch(epoch_);
  schedule_.update(updates_);
  optimizer_.set_lr(schedule_.lr());
}

Notes Fit::notes(double metric) const {
  std::vector<double> bad;
  if (batch_ > 0)
    for (const auto& [sample, why] : loader_.bad()) bad.push_back(static_cast<double>(sample));
  return {{"epoch", str_cat(epoch_)},
          {"batch", str_cat(batch_)},
          {"updates", str_cat(updates_)},
          {"at_a_time", str_cat(loader_.images_at_a_time())},
          {"drawn", str_cat(step_.drawn())},
          {"loss_sum", str_cat(loss_sum_)},
          {"images", str_cat(images_)},
          {"bad", listed(bad)},
          {"best", str_cat(best_.value_or(0))},
          {"best_epoch", str_cat(best_epoch_)},
          {"metric", str_cat(metric)},
          {"schedule", listed(schedule_.state())}};
}

void Fit::save(const std::string& name, double metric) {
  if (checkpoints_ && writes()) checkpoints_->save(name, model_, step_.slots(), notes(metric));
}

double Fit::metric_of(const Evaluation& e) const {
  std::string there;
  for (const auto& [name, value] : e.figures()) {
    if (name == options_.metric) return value;
    there += str_cat(there.empty() ? "" : ", ", name);
  }
  throw Error(Error::Kind::argument, str_cat("evaluation has no ", options_.metric), str_cat("it has: ", there));
}

// Where one is asked to stop, all do, after the same step.
bool Fit::stopped() {
  const bool mine = listener_ && listener_->stop();
  return options_.peers ? options_.peers->any(mine) : mine;
}

// Nothing: the epoch is at its end.
std::optional<Ended> Fit::run_epoch() {
  loader_.begin(epoch_, batch_, bad_);
  bad_.clear();
  data::Batch batch;
  while (loader_.next(batch)) {
    const StepResult result = step_.take(batch.operands());
    ++updates_;
    ++batch_;
    not_finite_ = result.skipped || result.loss != result.loss ? not_finite_ + 1 : 0;
    if (not_finite_ == 0) {
      const auto n = static_cast<double>(batch.targets.dim(0) * (options_.peers ? options_.peers->size() : 1));
      loss_sum_ += result.loss * n;
      images_ += n;
    }
    if (listener_)
      listener_->step({epoch_, batch_, loader_.batches(), updates_, result, optimizer_.lr(),
                       images_ > 0 ? loss_sum_ / images_ : result.loss,
                       static_cast<int64_t>(batch.samples.size())});
    schedule_.update(updates_);
    optimizer_.set_lr(schedule_.lr());
    if (not_finite_ >= options_.most_not_finite) return Ended::diverged;
    if (stopped()) return Ended::interrupted;
    if (options_.recovery_interval > 0 && updates_ % options_.recovery_interval == 0) save("recovery", 0);
  }
  return {};
}

// Something: it could not be evaluated, and is still under way.
std::optional<Ended> Fit::end_epoch() {
  EpochReport report{.epoch = epoch_, .updates = updates_, .loss = images_ > 0 ? loss_sum_ / images_ : 0};
  report.lr = optimizer_.lr();
  report.bad_images = options_.peers ? gathered(*options_.peers, loader_.bad()) : loader_.bad();
  if (options_.peers && options_.statistics == FitOptions::Statistics::mean)
    average_statistics(*options_.peers, step_.slots());
  if (options_.peers && options_.statistics == FitOptions::Statistics::first)
    share(*options_.peers, statistics(step_.slots()));
  const bool last = epoch_ + 1 >= options_.epochs;
  std::optional<double> metric;
  if (evaluator_ && (last || (epoch_ + 1) % std::max<int64_t>(1, options_.val_interval) == 0)) {
    try {
      report.evaluation = (*evaluator_)();
    } catch (const Cancelled&) {
      return Ended::interrupted;
    }
    metric = metric_of(*report.evaluation);
  } else if (!evaluator_) {                        // then the training's own loss must do
    metric = options_.metric == "loss" ? report.loss : -report.loss;
  }
  report.metric = metric.value_or(0);
  if (metric && (!best_ || better(*metric, *best_))) {
    best_ = metric;
    best_epoch_ = epoch_;
    report.best = true;
  }
  const int64_t number = epoch_++;
  batch_ = 0;
  loss_sum_ = images_ = 0;
  schedule_.epoch(epoch_, metric);
  optimizer_.set_lr(schedule_.lr());
  const double worst = options_.metric == "loss" ? std::numeric_limits<double>::max()
                                                 : std::numeric_limits<double>::lowest();
  if (checkpoints_ && writes()) keep(number, report.best, metric.value_or(worst));
  if (listener_) listener_->epoch(report);
  return {};
}

// The checkpoint of an epoch, and its other names.
void Fit::keep(int64_t number, bool best, double metric) {
  const std::string name = str_cat(kCheckpoint, number);
  save(name, metric);
  checkpoints_->link(name, "last");
  if (best) checkpoints_->link(name, "model_best");
  if (std::ranges::find(options_.milestones, number) != options_.milestones.end())
    checkpoints_->link(name, str_cat("milestone-", number));
  prune(number);
}

// The best stay, and the newest.
void Fit::prune(int64_t newest) {
  std::vector<std::pair<double, std::string>> found;
  std::error_code failed;
  for (std::filesystem::directory_iterator at(checkpoints_->folder(), failed), end; !failed && at != end;
       at.increment(failed)) {
    std::string name = at->path().stem().string();
    if (!name.starts_with(kCheckpoint) || name.ends_with(".train") || name == str_cat(kCheckpoint, newest)) continue;
    if (at->path().extension() != ".safetensors") continue;
    double metric = 0;
    try {
      metric = real(read_notes(at->path().string()), "metric", 0);
    } catch (const Error&) {
      continue;                                    // not ours to throw away
    }
    found.emplace_back(metric, std::move(name));
  }
  std::ranges::sort(found, [&](const auto& a, const auto& b) { return better(a.first, b.first); });
  for (size_t i = static_cast<size_t>(std::max<int64_t>(1, options_.history)) - 1; i < found.size(); ++i)
    checkpoints_->remove(found[i].second);
  checkpoints_->sweep();
}

bool Fit::out_of_patience() const {
  return options_.patience > 0 && best_epoch_ >= 0 && epoch_ - 1 - best_epoch_ >= options_.patience;
}

Ended Fit::run() {
  if (options_.peers) share(*options_.peers, step_.slots());
  const int64_t end = options_.stop_epoch > 0 ? std::min(options_.stop_epoch, options_.epochs) : options_.epochs;
  while (epoch_ < end && !out_of_patience()) {
    std::optional<Ended> early = run_epoch();
    if (!early) early = end_epoch();
    if (!early) continue;
    save("recovery", 0);
    return *early;
  }
  if (checkpoints_ && writes()) checkpoints_->remove("recovery");
  return Ended::done;
}

}  // namespace fovea::train
