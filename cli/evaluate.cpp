// SPDX-License-Identifier: Apache-2.0
#include "cli/evaluate.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "cli/common.h"
#include "cli/json.h"
#include "data/decode.h"
#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/core/cancel.h"
#include "engine/core/error.h"
#include "engine/core/out_of_memory.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"

namespace fovea::cli {
namespace {

double share(double part, double all) { return all > 0 ? part / all : 0; }

}  // namespace

void Scores::add_labels(const Tensor& logits, const Tensor& targets) {
  if (!labels_) labels_.emplace();
  labels_->add(logits, targets);
  const std::span<const float> values = logits.data<float>(), is = targets.data<float>();
  const auto classes = static_cast<double>(logits.dim(1));
  for (size_t i = 0; i < values.size(); ++i) {
    const auto v = static_cast<double>(values[i]), t = static_cast<double>(is[i]);
    loss_ += (std::max(v, 0.0) - v * t + std::log1p(std::exp(-std::abs(v)))) / classes;
  }
  images_ += logits.dim(0);
}

void Scores::add(const Tensor& logits, const Tensor& targets) {
  if (targets.rank() == 2) return add_labels(logits, targets);
  const std::span<const float> values = logits.data<float>();
  const std::span<const int64_t> labels = targets.data<int64_t>();
  const auto n = static_cast<size_t>(logits.dim(1));
  classes_.resize(std::max(classes_.size(), n));
  for (size_t i = 0; i < labels.size(); ++i) {
    const std::span<const float> row = values.subspan(i * n, n);
    const int64_t label = labels[i];
    if (label < 0 || label >= static_cast<int64_t>(n))
      throw Error(Error::Kind::argument, str_cat("an image of class ", label, ", the model has ", n, " classes"),
                  "--class-map numbers the folders as the model does");
    const float mine = row[static_cast<size_t>(label)];
    const float most = *std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const float v : row) sum += std::exp(static_cast<double>(v - most));
    loss_ += std::log(sum) + static_cast<double>(most - mine);
    // equal values keep their order, so an earlier one counts as higher
    int64_t higher = 0;
    for (size_t c = 0; c < n; ++c) higher += row[c] > mine || (row[c] == mine && static_cast<int64_t>(c) < label);
    const auto answer = static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
    ++images_;
    top1_ += higher < 1;
    top5_ += higher < 5;
    ++classes_[static_cast<size_t>(label)].is;
    ++classes_[answer].answered;
    classes_[answer].both += answer == static_cast<size_t>(label);
  }
}

train::Evaluation Scores::evaluation() const {
  const auto n = static_cast<double>(std::max<int64_t>(1, images_));
  if (labels_) return {.loss = loss_ / n, .labels = labels_->scores()};
  return {loss_ / n, 100 * static_cast<double>(top1_) / n, 100 * static_cast<double>(top5_) / n, {}};
}

Scores::Averages Scores::averages(const std::string& kind) const {
  if (kind != "micro" && kind != "macro" && kind != "weighted")
    throw Error(Error::Kind::argument, str_cat("no average '", kind, "'"), "there are: micro, macro, weighted");
  Averages out;
  double weights = 0;
  Class all;
  for (const Class& c : classes_) {
    if (c.is == 0 && c.answered == 0) continue;
    const auto is = static_cast<double>(c.is), answered = static_cast<double>(c.answered),
               both = static_cast<double>(c.both);
    const double weight = kind == "weighted" ? is : 1;
    out.precision += weight * share(both, answered);
    out.recall += weight * share(both, is);
    out.f1 += weight * share(2 * both, is + answered);
    weights += weight;
    all.is += c.is, all.answered += c.answered, all.both += c.both;
  }
  if (kind == "micro") {
    const double v = 100 * share(static_cast<double>(all.both), static_cast<double>(all.is));
    return {v, v, v};
  }
  for (double* v : {&out.precision, &out.recall, &out.f1}) *v = 100 * share(*v, weights);
  return out;
}

void Scores::add_up(Peers& all) {
  // a process without images has not seen how many classes there are
  std::string counted(classes_.size(), '1');
  uint64_t most = 0;
  for (const std::string& c : all.gather(counted)) most = std::max<uint64_t>(most, c.size());
  all.broadcast(std::as_writable_bytes(std::span(&most, 1)));
  classes_.resize(most);
  std::vector<double> n{static_cast<double>(images_), static_cast<double>(top1_), static_cast<double>(top5_), loss_};
  for (const Class& c : classes_)
    for (const int64_t v : {c.is, c.answered, c.both}) n.push_back(static_cast<double>(v));
  all.sum(n);
  const auto whole = [&](size_t i) { return static_cast<int64_t>(n[i]); };
  images_ = whole(0), top1_ = whole(1), top5_ = whole(2), loss_ = n[3];
  for (size_t i = 0; i < classes_.size(); ++i)
    classes_[i] = {whole(4 + 3 * i), whole(5 + 3 * i), whole(6 + 3 * i)};
}

void RealLabels::add_up(Peers& all) {
  double n[] = {static_cast<double>(images_), static_cast<double>(top1_), static_cast<double>(top5_)};
  all.sum(n);
  images_ = static_cast<int64_t>(n[0]), top1_ = static_cast<int64_t>(n[1]), top5_ = static_cast<int64_t>(n[2]);
}

namespace {

Tensor pooled_answers(zoo::ImageModel& model, const Tensor& image, const std::array<int, 2>& window) {
  const Tensor map = model.forward_features(image);
  const Module* classifier = model.find(model.classifier_name());
  if (map.rank() != 4 || !classifier || classifier->own_parameters().empty())
    throw Error(Error::Kind::unsupported,
                str_cat(model.architecture(), " is not pooled at test time: it has no map, or no single classifier"));
  const Tensor parts = avg_pool(map, {.kernel = {window[0], window[1]}, .stride = {1}});
  Tensor weight, bias;
  for (const Param& p : classifier->own_parameters()) (p.slot().name == "bias" ? bias : weight) = *p;
  const Tensor said = conv(parts, reshape(weight, {weight.dim(0), weight.dim(1), 1, 1}), bias);
  return (mean(said, {2, 3}) + amax(said, {2, 3})) * 0.5;
}

}  // namespace

Tensor Answerer::operator()(const Tensor& images) {
  Shape one = images.shape();
  one[0] = 1;
  if (one != image_) {
    const EvalMode eval(model_);
    const NoGrad no_grad;
    const Target target{.threads = 1};
    if (pool_) {
      const auto run = [&](const Tensor& x) { return pooled_answers(model_, x, *pool_); };
      session_ = BatchSession(compile(trace(run, {make_meta(DType::f32, one)}), target));
    } else {
      session_ = BatchSession(zoo::compile(model_, {.batch = 1,
                                                    .height = static_cast<int>(one[2]),
                                                    .width = static_cast<int>(one[3]),
                                                    .target = target}));
    }
    image_ = one;
  }
  return session_.run_borrowed(images)[0];
}

RealLabels::RealLabels(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Error(Error::Kind::not_found, str_cat("cannot read the real labels ", path));
  try {
    labels_ = parse_number_lists({std::istreambuf_iterator(file), {}});
  } catch (const std::invalid_argument& e) {
    throw Error(Error::Kind::format, str_cat(path, " is no list of labels: ", e.what()));
  }
}

void RealLabels::add(const Tensor& logits, std::span<const std::string> paths) {
  constexpr std::string_view kBefore = "ILSVRC2012_val_";
  const Tensor best = topk(logits, std::min<int64_t>(5, logits.dim(1)), 1).second;
  const std::span<const int64_t> answers = best.data<int64_t>();
  const auto k = static_cast<size_t>(best.dim(1));
  for (size_t i = 0; i < paths.size(); ++i) {
    const std::string name = std::filesystem::path(paths[i]).filename().string();
    size_t number = 0;
    const char* digits = name.data() + std::min(name.size(), kBefore.size());
    std::from_chars(digits, name.data() + name.size(), number);
    if (!name.starts_with(kBefore) || number < 1 || number > labels_.size())
      throw Error(Error::Kind::argument, str_cat(name, " has no real labels"),
                  "they are of images called ILSVRC2012_val_00000001.JPEG and so on");
    const std::vector<int64_t>& real = labels_[number - 1];
    if (real.empty()) continue;
    const auto right = [&](size_t most) {
      return std::any_of(answers.begin() + static_cast<ptrdiff_t>(i * k),
                         answers.begin() + static_cast<ptrdiff_t>(i * k + std::min(most, k)),
                         [&](int64_t c) { return std::ranges::find(real, c) != real.end(); });
    };
    ++images_;
    top1_ += right(1);
    top5_ += right(5);
  }
}

std::string figures_text(const train::Evaluation& e) {
  std::array<char, 160> text;
  if (e.labels)
    std::snprintf(text.data(), text.size(), "Loss: %.4f  mAP: %.3f  F1 micro: %.3f  macro: %.3f  sample: %.3f", e.loss,
                  e.labels->map, e.labels->micro_f1, e.labels->macro_f1, e.labels->sample_f1);
  else
    std::snprintf(text.data(), text.size(), "Loss: %.4f  Acc@1: %.3f  Acc@5: %.3f", e.loss, e.top1, e.top5);
  return text.data();
}

std::vector<std::string> bad_lines(const std::map<size_t, std::string>& bad) {
  constexpr size_t kShown = 10;
  std::vector<std::string> out;
  for (const auto& [sample, why] : bad)
    if (!why.empty() && out.size() < kShown) out.push_back(str_cat("skipped image ", sample, ": ", why));
  if (!bad.empty()) out.push_back(str_cat(bad.size(), " images could not be read"));
  return out;
}

void tell_bad(const std::map<size_t, std::string>& bad) {
  for (const std::string& line : bad_lines(bad)) std::fprintf(stderr, "%s\n", line.c_str());
}

ImageAnswers::ImageAnswers(zoo::ImageModel& model, data::Loader& loader, TestPool pool)
    : loader_(loader), answer_(model, pool) {
  loader_.begin(0);
}

bool ImageAnswers::next(Batch& batch) {
  data::Batch read;
  if (!loader_.next(read)) return false;
  batch = {.logits = answer_(read.images), .targets = read.targets, .samples = std::move(read.samples)};
  return true;
}

SequenceAnswers::SequenceAnswers(zoo::ImageModel& model, const data::Reader& reader, Options o)
    : reader_(reader), o_(std::move(o)), sessions_(model, {.wants = o_.wants}) {
  const auto [first, behind] = o_.shard.run(static_cast<int64_t>(reader.size()));
  next_ = static_cast<size_t>(first), end_ = static_cast<size_t>(behind);
}

// Of `count` images from `first` on those that can be read, whose numbers come behind `samples`.
std::vector<data::Patches> SequenceAnswers::read(size_t first, size_t count, std::vector<size_t>& samples) {
  std::vector<data::Patches> all(count), out;
  std::vector<std::string> failed(count);
  on_host_threads(static_cast<int64_t>(count), 1, [&](int64_t from, int64_t to) {
    for (auto i = static_cast<size_t>(from); i < static_cast<size_t>(to); ++i) try {
        const data::Stored stored = reader_.read(first + i);
        const data::Image image =
            stored.bytes.empty() ? stored.pixels : data::decode(stored.bytes, {}, reader_.name(first + i));
        all[i] = data::sequence_transform(image, o_.eval, o_.limits);
      } catch (const OutOfMemory&) {
        throw;
      } catch (const Error& e) {
        failed[i] = e.what();
      }
  });
  for (size_t i = 0; i < count; ++i) {
    if (!failed[i].empty()) {
      bad_.emplace(first + i, failed[i]);
      continue;
    }
    samples.push_back(first + i);
    out.push_back(std::move(all[i]));
  }
  if (static_cast<int64_t>(bad_.size()) > o_.most_bad)
    throw Error(Error::Kind::io, str_cat(bad_.size(), " images could not be read, the limit is ", o_.most_bad),
                bad_.rbegin()->second);
  return out;
}

bool SequenceAnswers::next(Batch& batch) {
  batch.samples.clear();
  std::vector<data::Patches> sequences;
  while (sequences.empty()) {
    const size_t n = std::min(static_cast<size_t>(o_.batch), end_ - next_);
    if (n == 0) return false;
    sequences = read(next_, n, batch.samples);
    next_ += n;
  }
  int64_t longest = 1;
  for (const data::Patches& one : sequences) longest = std::max(longest, one.patches.dim(0));
  const data::SequenceBatch s = data::collate(sequences, longest);
  batch.targets = o_.label_classes > 0 ? data::label_targets_of(reader_, batch.samples, o_.label_classes)
                                       : data::targets_of(reader_, batch.samples);
  batch.logits = sessions_.run({.patches = s.patches, .coords = s.coords, .valid = s.valid});
  return true;
}

std::unique_ptr<Answers> answers_of(const EvaluationOptions& a, zoo::ImageModel& model, const data::Reader& reader,
                                    data::Loader& loader, const data::EvalConfig& config, const data::Shard& shard,
                                    TestPool pool) {
  if (a.max_seq_len == 0) return std::make_unique<ImageAnswers>(model, loader, pool);
  if (pool) throw Error(Error::Kind::argument, "sequences of patches are not pooled at test time");
  return std::make_unique<SequenceAnswers>(
      model, reader,
      SequenceAnswers::Options{.batch = a.batch,
                               .eval = config,
                               .limits = sequence_limits(model, a.max_seq_len, a.patch_size),
                               .wants = {.patch = other_patch(a.patch_size)},
                               .most_bad = a.most_bad,
                               .label_classes = reader.multi_label() ? model.num_classes() : 0,
                               .shard = shard});
}

Scores score(zoo::ImageModel& model, data::Loader& loader, const ScoreOptions& o) {
  ImageAnswers answers(model, loader, o.pool);
  return score(answers, o);
}

namespace {

// Answers to a listener that another process has: the numbers of images and classes, and then of each image its class,
// its number and its logits.
class Letter final : public AnswerListener {
 public:
  void answers(const Tensor& logits, std::span<const int64_t> labels, std::span<const size_t> samples) override {
    const int64_t shape[] = {logits.dim(0), logits.dim(1)};
    append(std::as_bytes(std::span(shape)));
    append(std::as_bytes(labels));
    append(std::as_bytes(samples));
    append(std::as_bytes(logits.data<float>()));
  }
  const std::string& text() const { return text_; }

  static void read(std::string_view text, AnswerListener& to) {
    while (!text.empty()) {
      int64_t shape[2];
      take(text, std::as_writable_bytes(std::span(shape)));
      std::vector<int64_t> labels(static_cast<size_t>(shape[0]));
      std::vector<size_t> samples(labels.size());
      Tensor logits = empty(Shape{shape[0], shape[1]});
      take(text, std::as_writable_bytes(std::span(labels)));
      take(text, std::as_writable_bytes(std::span(samples)));
      take(text, std::as_writable_bytes(logits.mutable_data<float>()));
      to.answers(logits, labels, samples);
    }
  }

 private:
  void append(std::span<const std::byte> b) { text_.append(reinterpret_cast<const char*>(b.data()), b.size()); }
  static void take(std::string_view& text, std::span<std::byte> to) {
    std::copy_n(text.data(), to.size(), reinterpret_cast<char*>(to.data()));
    text.remove_prefix(to.size());
  }
  std::string text_;
};

void add_answers(Scores& scores, Answers& answers, const ScoreOptions& o, AnswerListener* listener) {
  Tensor valid;
  if (!o.valid.empty()) valid = from<int64_t>(o.valid, {static_cast<int64_t>(o.valid.size())});
  Answers::Batch batch;
  while (answers.next(batch)) {
    Tensor logits = batch.logits;
    if (valid) logits = index_select(logits, 1, valid);
    Tensor targets = batch.targets;
    if (o.group > 1) {                             // the mean of the views' answers; what fills no group is left out
      const int64_t n = logits.dim(0) / o.group;
      logits = mean(reshape(narrow(logits, 0, 0, n * o.group), {n, o.group, logits.dim(1)}), {1});
      targets = contiguous(slice(narrow(targets, 0, 0, n * o.group), 0, 0, n * o.group, o.group));
    }
    logits = contiguous(logits);
    scores.add(logits, targets);
    if (listener && o.group <= 1 && targets.rank() == 1)
      listener->answers(logits, targets.data<int64_t>(), batch.samples);
    if (o.real) {
      std::vector<std::string> paths;
      for (const size_t sample : batch.samples) paths.push_back(o.reader->name(sample));
      o.real->add(logits, paths);
    }
    if (o.counter) o.counter->reach(scores.images());
  }
}

// All end together, also where one was interrupted.
Scores score_together(Answers& answers, const ScoreOptions& o) {
  Scores scores;
  Letter letter;
  bool cancelled = false;
  try {
    add_answers(scores, answers, o, o.listens ? &letter : nullptr);
  } catch (const Cancelled&) {
    cancelled = true;
  }
  if (o.peers->any(cancelled)) throw Cancelled();
  scores.add_up(*o.peers);
  if (o.real) o.real->add_up(*o.peers);
  if (!o.listens) return scores;
  for (const std::string& theirs : o.peers->gather(letter.text()))
    if (o.listener) Letter::read(theirs, *o.listener);
  return scores;
}

}  // namespace

Scores score(Answers& answers, const ScoreOptions& o) {
  if (o.peers) return score_together(answers, o);
  Scores scores;
  add_answers(scores, answers, o, o.listener);
  return scores;
}

}  // namespace fovea::cli
