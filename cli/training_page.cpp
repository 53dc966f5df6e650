// SPDX-License-Identifier: Apache-2.0
#include "cli/training_page.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "bench/page_parts.h"
#include "bench/progress.h"
#include "bench/svg.h"
#include "data/decode.h"
#include "data/encode_png.h"
#include "data/resize.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "weights_tools/atomic_file.h"

namespace fovea::cli {
namespace {

constexpr double kEvery = 2;                       // seconds between two pages
constexpr size_t kStepsKept = 20000;               // more are thinned out

constexpr std::string_view kStyle = R"css(
.worst { display:grid; grid-template-columns:repeat(auto-fill,minmax(136px,1fr)); gap:10px }
.worst figure { margin:0; border:1px solid var(--line); border-radius:8px; padding:8px; min-width:0 }
.worst img { display:block; width:100%; height:112px; object-fit:contain; image-rendering:auto }
.worst figcaption { font-size:12px; line-height:1.35; margin-top:6px; overflow-wrap:anywhere }
.worst figcaption span { color:var(--soft) } .state { font-size:13px } .scroll { overflow-x:auto }
)css";

std::string base64(std::string_view bytes) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k)
      out += i + k <= bytes.size() ? kLetters[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

// Small enough for a page of many; small images are not made smaller.
data::Image thumbnail(const data::Image& image) {
  constexpr int kMost = 160;
  const int longer = std::max(image.width, image.height);
  if (longer <= kMost) return image;
  const double by = static_cast<double>(kMost) / longer;
  return data::resize(image, std::max(1, static_cast<int>(image.width * by)),
                      std::max(1, static_cast<int>(image.height * by)));
}

std::string share(double part) { return bench::digits(100 * part); }

void add_point(Curve& c, double x, double y) {
  c.points.emplace_back(x, y);
  if (c.points.size() < kStepsKept) return;
  std::vector<std::pair<double, double>> half;
  for (size_t i = 0; i + 1 < c.points.size(); i += 2)
    half.emplace_back((c.points[i].first + c.points[i + 1].first) / 2,
                      (c.points[i].second + c.points[i + 1].second) / 2);
  c.points = std::move(half);
}

}  // namespace

TrainingPage::TrainingPage(std::string path, PageFacts facts)
    : path_(std::move(path)), facts_(std::move(facts)), began_(bench::now()) {
  write("beginning", true);
}

void TrainingPage::step(const train::StepReport& r, double images_per_second) {
  const double at = static_cast<double>(r.epoch) + static_cast<double>(r.batch) / static_cast<double>(r.batches);
  epoch_ = r.epoch;
  add_point(step_loss_, at, r.result.loss);
  add_point(rate_, at, r.lr);
  if (images_per_second > 0) add_point(speed_, at, images_per_second), images_per_second_ = images_per_second;
  write_if_due();
}

void TrainingPage::epoch(const train::EpochReport& r) {
  const auto at = static_cast<double>(r.epoch + 1);
  train_loss_.points.emplace_back(at, r.loss);
  if (r.evaluation) {
    test_loss_.points.emplace_back(at, r.evaluation->loss);
    const std::optional<train::MultiLabelScores>& labels = r.evaluation->labels;
    top1_.points.emplace_back(at, labels ? labels->map : r.evaluation->top1);
    top5_.points.emplace_back(at, labels ? labels->micro_f1 : r.evaluation->top5);
    of_labels_ = labels.has_value();
    if (of_labels_) top1_.name = "mean average precision", top5_.name = "F1 over all answers";
    const double first = top1_.points.back().second, second = top5_.points.back().second;
    if (!best_ || first > best_->first) best_ = {first, second};
    show_answers();
  }
  write_if_due();
}

void TrainingPage::answers(const Tensor& logits, std::span<const int64_t> labels, std::span<const size_t> samples) {
  if (!coming_) coming_.emplace(facts_.classes.size());
  coming_->add(logits, labels, samples);
}

void TrainingPage::show_answers() {
  if (!coming_) return;
  shown_ = std::move(coming_);
  coming_.reset();
  std::string all;
  for (const train::Mistakes::One& m : shown_->worst()) all += picture(m);
  constexpr std::string_view kAbout =
      "Images of the evaluation whose own class was the least probable; in per cent what was said instead.";
  worst_ = all.empty() ? "" : bench::card("The worst mistakes", kAbout, "<div class='worst'>" + all + "</div>\n");
}

std::string TrainingPage::picture(const train::Mistakes::One& m) const {
  std::string image, name;
  if (facts_.asked) {
    name = std::filesystem::path(facts_.asked->name(m.sample)).filename().string();
    try {
      const data::Stored s = facts_.asked->read(m.sample);
      const data::Image whole = s.bytes.empty() ? s.pixels : data::decode(s.bytes);
      image = str_cat("<img alt='' src='data:image/png;base64,", base64(data::encode_png(thumbnail(whole))), "'>");
    } catch (const Error&) {                       // it could be read a moment ago; the page goes without it
    }
  }
  const auto named = [&](int64_t c) { return bench::escaped(facts_.classes[static_cast<size_t>(c)]); };
  return str_cat("<figure>", image, "<figcaption><b>", named(m.said), "</b> ", share(m.chance), " %<br>is ",
                 named(m.is), "<br><span>", bench::escaped(name), "</span></figcaption></figure>\n");
}

std::string TrainingPage::head(const std::string& state) const {
  std::vector<std::pair<std::string, std::string>> t;
  if (facts_.epochs > 0) t.emplace_back(str_cat(std::min(epoch_ + 1, facts_.epochs), " / ", facts_.epochs), "epoch");
  if (!step_loss_.points.empty()) t.emplace_back(bench::digits(step_loss_.points.back().second), "loss");
  if (best_) t.emplace_back(bench::digits(best_->first) + " %", of_labels_ ? "best mAP" : "best accuracy");
  if (best_)
    t.emplace_back(bench::digits(best_->second) + " %", of_labels_ ? "F1 over all answers then" : "one of five then");
  if (images_per_second_ > 0) t.emplace_back(bench::digits(images_per_second_), "images a second");
  t.emplace_back(bench::duration_text(bench::now() - began_), "so far");
  std::string s = str_cat("<h1>", bench::escaped(facts_.title), "</h1>\n<p class='state'>", bench::escaped(state),
                          "</p>\n", bench::tiles(t));
  if (facts_.about.empty()) return s;
  std::string list = "<dl>";
  for (const auto& [what, how] : facts_.about)
    list += str_cat("<dt>", bench::escaped(what), "</dt><dd>", bench::escaped(how), "</dd>\n");
  return s + str_cat("<section class='card'><details><summary>How it is trained</summary>", list, "</dl></details>"
                     "</section>\n");
}

std::string TrainingPage::plots() const {
  if (facts_.epochs == 0) return "";
  const auto plot = [](const char* title, const char* about, std::vector<Curve> curves, const Axes& axes) {
    return bench::card(title, about, curve_plot(curves, axes));
  };
  return bench::pair_of_cards(
             plot("Loss", "Less is better.", {step_loss_, train_loss_, test_loss_}, {"epochs", "loss"}),
             plot(of_labels_ ? "Answers" : "Accuracy", "Of the images of evaluation, in per cent.", {top1_, top5_},
                  {"epochs", of_labels_ ? "%" : "% right"})) +
         bench::pair_of_cards(plot("Learning rate", "Of the first group of parameters.", {rate_}, {"epochs", "rate"}),
                              plot("Throughput", "While training.", {speed_}, {"epochs", "images a second"}));
}

std::string TrainingPage::classes_card() const {
  std::string s = "<div class='scroll'><table><thead><tr><th class='l'>class</th><th class='x'>to train on</th>"
                  "<th>images</th><th class='x'>precision %</th><th>recall %</th><th>F1 %</th>"
                  "<th class='l'>most often taken for</th></tr></thead><tbody>\n";
  for (size_t c = 0; c < facts_.classes.size(); ++c) {
    const train::Mistakes::Figures f = shown_->figures(c);
    const size_t other = shown_->taken_for(c);
    const int64_t learnt = c < facts_.images.size() ? facts_.images[c] : 0;
    s += str_cat("<tr>", bench::text_cell(facts_.classes[c]),
                 bench::number_cell(static_cast<double>(learnt), str_cat(learnt), "x"),
                 bench::number_cell(static_cast<double>(f.is), str_cat(f.is)),
                 bench::number_cell(f.precision(), share(f.precision()), "x"),
                 bench::number_cell(f.recall(), share(f.recall())), bench::number_cell(f.f1(), share(f.f1())),
                 bench::text_cell(other == c ? "" : str_cat(facts_.classes[other], ", ", shown_->count(c, other))),
                 "</tr>\n");
  }
  return bench::card("Classes", "A click on a column's name sorts by it.", s + "</tbody></table></div>\n");
}

void TrainingPage::write_if_due() {
  if (bench::now() - written_ < kEvery) return;
  write(str_cat("running, epoch ", epoch_ + 1, " of ", facts_.epochs), true);
}

void TrainingPage::write(const std::string& state, bool running) {
  std::string s = str_cat("<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
                          "<meta name='viewport' content='width=device-width'>",
                          running ? "<meta http-equiv='refresh' content='5'>" : "", "<title>",
                          bench::escaped(facts_.title), "</title>\n<style>", bench::kStyle, kCurveStyle, kStyle,
                          "</style></head>\n<body><main>\n", head(state), plots());
  if (shown_)
    s += bench::card("Who is taken for whom",
                     str_cat("A row a class that images are of, a column what they are taken for; ", shown_->images(),
                             " images."),
                     confusion_plot(*shown_, facts_.classes)) +
         worst_ + classes_card();
  AtomicFile file(path_);
  file.write(str_cat(s, "</main>\n<script>", bench::kScript, "</script></body></html>\n"));
  file.commit();
  written_ = bench::now();
}

void TrainingPage::end(const std::string& how) {
  if (facts_.epochs == 0) show_answers();          // else what came after the last epoch is not all of them
  write(how, false);
}

}  // namespace fovea::cli
