// SPDX-License-Identifier: Apache-2.0
#include "cli/training_log.h"

#include <algorithm>
#include <cstdio>

#include "cli/evaluate.h"
#include "cli/training.h"
#include "engine/core/text.h"

namespace fovea::cli {

TrainingLog::TrainingLog(const TrainingOptions& o, const std::string& folder, int64_t first_epoch, int64_t images,
                         TrainingPage* page)
    : o_(o), page_(page), summary_(folder + "/summary.csv", first_epoch), events_(folder),
      steps_(folder + "/steps.jsonl"), images_(images) {}

void TrainingLog::step(const train::StepReport& r) {
  const bool last = r.batch == r.batches, due = r.batch % o_.log_interval == 0 || last || r.batch == 1;
  if (r.result.skipped)
    note(str_cat("step ", r.updates, ": loss ", r.result.loss, ", gradients ", r.result.norm,
                 ": nothing was changed"));
  const double now = bench::now();
  seen_ += o_.sequences() || !o_.img_sizes.empty() ? r.images * images_ / (o_.batch * o_.accumulate) : images_;
  const double rate = began_ > 0 ? static_cast<double>(seen_) / (now - began_) : 0;
  if (page_) page_->step(r, rate);
  if (due) {
    char text[200];
    std::snprintf(text, sizeof text, "Train: %lld [%4lld/%lld (%3.0f%%)]  Loss: %#.4g (%#.3g)  LR: %.3e  %.1f/s",
                  static_cast<long long>(r.epoch), static_cast<long long>(r.batch), static_cast<long long>(r.batches),
                  100.0 * static_cast<double>(r.batch) / static_cast<double>(r.batches), r.result.loss, r.mean_loss,
                  r.lr, rate);
    note(text);
    const train::Numbers numbers{{"epoch", static_cast<double>(r.epoch)}, {"step", static_cast<double>(r.updates)},
                                 {"loss", r.result.loss}, {"norm", r.result.norm}, {"lr", r.lr},
                                 {"images_per_second", rate}};
    append_line(train::json_line(numbers));
    events_.add(r.updates, {{"train/loss", r.result.loss}, {"train/lr", r.lr}, {"train/norm", r.result.norm}});
  } else if (line_.due()) {
    line_.show(str_cat("epoch ", r.epoch, ": ", bench::how_far(r.batch, r.batches, "steps", now - epoch_began_)));
  }
  if (began_ == 0 || due) began_ = now, seen_ = 0;
}

void TrainingLog::epoch(const train::EpochReport& r) {
  train::Numbers row{{"train_loss", r.loss}};
  Json entry{{"epoch", r.epoch}, {"train", {{"loss", r.loss}}}};
  if (r.evaluation) {
    const train::Evaluation& e = *r.evaluation;
    note(str_cat("Test: ", r.epoch, "  ", figures_text(e), r.best ? "  *" : ""));
    train::Numbers numbers;
    for (const auto& [name, value] : e.figures()) {
      row.emplace_back("eval_" + name, value);
      entry["validation"][name] = value;
      numbers.emplace_back("eval/" + name, value);
    }
    events_.add(r.updates, numbers);
  }
  for (const std::string& line : bad_lines(r.bad_images)) note(line);
  if (page_) page_->epoch(r);
  row.emplace_back("lr", r.lr);
  summary_.add(r.epoch, row);
  results_.push_back(std::move(entry));
  began_ = 0;
  epoch_began_ = bench::now();
}

bool TrainingLog::stop() { return FirstInterrupt::came(); }
bool QuietLog::stop() { return FirstInterrupt::came(); }

void TrainingLog::note(const std::string& text) {
  line_.clear();
  std::fprintf(stderr, "%s\n", text.c_str());
}

Json TrainingLog::best() const {
  std::vector<Json> sorted = results_;
  const auto metric = [&](const Json& e) {
    const Json& part = e.contains("validation") ? e["validation"] : e["train"];
    return part.contains(o_.metric) ? part[o_.metric].number() : 0.0;
  };
  std::ranges::stable_sort(sorted, [&](const auto& a, const auto& b) {
    return o_.metric == "loss" ? metric(a) < metric(b) : metric(a) > metric(b);
  });
  if (sorted.size() > 10) sorted.resize(10);
  return sorted;
}

void TrainingLog::append_line(const std::string& text) {
  std::FILE* f = std::fopen(steps_.c_str(), "a");
  if (!f) return;                                // training does not end for the sake of its log
  std::fprintf(f, "%s\n", text.c_str());
  std::fclose(f);
}

}  // namespace fovea::cli
