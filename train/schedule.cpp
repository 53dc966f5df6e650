// SPDX-License-Identifier: Apache-2.0
#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <utility>

#include "engine/core/error.h"
#include "engine/core/text.h"

namespace fovea::train {
namespace {

const std::vector<std::string> kKinds{"cosine", "tanh", "step",     "multistep", "poly",
                                      "wsd",    "rsqrt", "constant", "plateau",   "none"};
const std::vector<std::string> kDecays{"linear", "1-sqrt", "cosine", "power", "exp"};

void want_one_of(const char* what, const std::string& name, const std::vector<std::string>& all) {
  if (std::ranges::find(all, name) == all.end())
    throw Error(Error::Kind::argument, cat("no ", what, " '", name, "'"), cat("there are: ", join(all, ", ")));
}

double decay_at(const std::string& fn, double share) {
  if (fn == "linear") return 1 - share;
  if (fn == "1-sqrt" || fn == "power") return 1 - std::sqrt(share);
  if (fn == "cosine") return 0.5 * (1 + std::cos(std::numbers::pi * share));
  constexpr double least = 0.1;
  return (std::pow(least, share) - least) / (1 - least);
}

}  // namespace

struct TorchRandom::Engine {
  explicit Engine(uint64_t seed) : numbers(static_cast<std::mt19937::result_type>(seed)) {}
  double uniform() {
    const uint64_t high = numbers(), low = numbers();
    return static_cast<double>((high << 32 | low) & ((uint64_t{1} << 53) - 1)) * 0x1p-53;
  }
  std::mt19937 numbers;
  std::optional<double> other;                     // Box and Muller's second number
};
TorchRandom::TorchRandom(uint64_t seed) : engine_(new Engine(seed)) {}
TorchRandom::~TorchRandom() { delete engine_; }

double TorchRandom::normal() {
  double value;
  if (engine_->other) {
    value = *engine_->other;
    engine_->other.reset();
  } else {
    const double angle = 2 * std::numbers::pi * engine_->uniform();
    const double radius = std::sqrt(-2 * std::log1p(-engine_->uniform()));
    engine_->other = radius * std::sin(angle);
    value = radius * std::cos(angle);
  }
  return static_cast<double>(static_cast<float>(value));
}

Schedule::Schedule(const ScheduleOptions& options, double base_lr) : o_(options), base_(base_lr), lr_(base_lr) {
  want_one_of("schedule", o_.kind, kKinds);
  if (o_.on_updates && o_.updates_per_epoch <= 0)
    throw Error(Error::Kind::argument, "a schedule on updates needs to know how many there are an epoch");
  if (o_.kind == "plateau" && o_.on_updates)
    throw Error(Error::Kind::argument, "the schedule 'plateau' goes by epochs");
  const double unit = o_.on_updates ? static_cast<double>(o_.updates_per_epoch) : 1;
  length_ = static_cast<double>(o_.epochs) * unit;
  warmup_ = o_.warmup_epochs * unit;
  for (const double m : o_.decay_milestones) milestones_.push_back(m * unit);
  for (const double share : o_.noise) noise_range_.push_back(share * length_);
  const bool stable = o_.kind == "wsd" || o_.kind == "rsqrt";
  const double decay = o_.decay_epochs.value_or(stable ? 0.2 : 90);
  decay_ = decay * unit;
  if (stable) {
    if (!o_.warmup_prefix) length_ -= warmup_;
    decay_ = std::nearbyint(decay > 0 && decay < 1 ? decay * length_ : decay_);
    timescale_ = o_.stable_timescale ? *o_.stable_timescale * unit : warmup_;
    if (o_.decay_fn.empty()) o_.decay_fn = o_.kind == "rsqrt" ? "linear" : "1-sqrt";
    want_one_of("decay", o_.decay_fn, kDecays);
    if (!(decay_ > 0 && decay_ <= length_))
      throw Error(Error::Kind::argument, cat("the schedule ", o_.kind, " decays for ", decay_, " of ", length_));
    if (o_.kind == "rsqrt" && timescale_ <= 0)
      throw Error(Error::Kind::argument, "the schedule rsqrt needs a timescale where there is no warm-up");
  }
  if (!(length_ > 0) || (o_.kind == "step" && !(decay_ > 0)))
    throw Error(Error::Kind::argument, cat("a schedule of ", o_.epochs, " epochs that decays after ", decay));
  const bool cycles = o_.kind == "cosine" || o_.kind == "tanh" || o_.kind == "poly";
  if (cycles || stable) {
    const double all = static_cast<double>(cycle_length()) + o_.cooldown_epochs * unit;
    total_ = static_cast<int64_t>(std::floor(all / unit));
  } else {
    total_ = o_.epochs + (o_.warmup_prefix ? static_cast<int64_t>(o_.warmup_epochs) : 0);
  }
  if (warmup_ > 0 && o_.kind != "none") {
    // of tanh, warm-up that is no prefix ends where the curve is by then
    double end = base_;
    if (o_.kind == "tanh" && !o_.warmup_prefix) end = with_cycles(warmup_);
    warmup_step_ = (end - o_.warmup_lr) / warmup_;
    lr_ = o_.warmup_lr;
  }
}

int64_t Schedule::cycle_length() const {
  if (o_.kind == "wsd" || o_.kind == "rsqrt") return static_cast<int64_t>(warmup_ + length_);
  const auto cycles = static_cast<double>(std::max<int64_t>(1, o_.cycle_limit));
  const double t = o_.cycle_mul == 1 ? length_ * cycles
                                     : std::floor(-length_ * (std::pow(o_.cycle_mul, cycles) - 1) / (1 - o_.cycle_mul));
  return static_cast<int64_t>(o_.warmup_prefix ? t + warmup_ : t);
}

double Schedule::with_cycles(double t) const {
  double i, length = length_, now;
  if (o_.cycle_mul != 1) {
    i = std::floor(std::log(1 - t / length_ * (1 - o_.cycle_mul)) / std::log(o_.cycle_mul));
    length = std::pow(o_.cycle_mul, i) * length_;
    now = t - (1 - std::pow(o_.cycle_mul, i)) / (1 - o_.cycle_mul) * length_;
  } else {
    i = std::floor(t / length_);
    now = t - length_ * i;
  }
  if (i >= static_cast<double>(o_.cycle_limit)) return o_.min_lr;
  const double range = base_ * std::pow(o_.cycle_decay, i) - o_.min_lr;
  const double share = std::pow(now, o_.k_decay) / std::pow(length, o_.k_decay);
  if (o_.kind == "cosine") return o_.min_lr + 0.5 * range * (1 + std::cos(std::numbers::pi * share));
  if (o_.kind == "poly") return o_.min_lr + range * std::pow(1 - share, o_.decay_rate);
  const double done = now / length;
  return o_.min_lr + 0.5 * range * (1 - std::tanh(-7 * (1 - done) + 3 * done));
}

double Schedule::stable_then_decay(double t) const {
  const double stable = o_.kind == "rsqrt" ? std::pow(1 + t / timescale_, -0.5) : 1;
  const double lr = std::max(base_ * stable, o_.min_lr), into = t - (length_ - decay_);
  return into <= 0 ? lr : o_.min_lr + (lr - o_.min_lr) * decay_at(o_.decay_fn, std::min(into / decay_, 1.0));
}

double Schedule::at(double t) const {
  if (t < warmup_) return o_.warmup_lr + t * warmup_step_;
  if (o_.kind == "wsd" || o_.kind == "rsqrt") return stable_then_decay(t - warmup_);
  if (o_.warmup_prefix) t -= warmup_;
  if (o_.kind == "constant") return base_;
  if (o_.kind == "step") return base_ * std::pow(o_.decay_rate, std::floor(t / decay_));
  if (o_.kind == "multistep") {                    // a milestone counts one early
    const auto passed = std::ranges::count_if(milestones_, [&](double m) { return m <= t + 1; });
    return base_ * std::pow(o_.decay_rate, static_cast<double>(passed));
  }
  return with_cycles(t);
}

double Schedule::noisy(double lr, int64_t t) const {
  const auto now = static_cast<double>(t);
  if (noise_range_.empty() || now < noise_range_[0] || (noise_range_.size() > 1 && now >= noise_range_[1])) return lr;
  TorchRandom random(static_cast<uint64_t>(o_.noise_seed + t));
  double noise;
  do noise = random.normal() * o_.noise_std;
  while (std::abs(noise) >= o_.noise_pct);
  return lr + lr * noise;
}

void Schedule::follow(double metric) {
  constexpr double threshold = 1e-4;
  Plateau& p = plateau_;
  const bool better =
      !p.any || (o_.plateau_max ? metric > p.best * (1 + threshold) : metric < p.best * (1 - threshold));
  p.bad = better ? 0 : p.bad + 1;
  if (better) p.best = metric, p.any = true;
  if (p.bad <= o_.patience_epochs) return;
  const double slower = std::max(lr_ * o_.decay_rate, o_.min_lr);
  if (lr_ - slower > 1e-8) lr_ = slower;
  p.bad = 0;
}

void Schedule::epoch(int64_t epochs, std::optional<double> metric) {
  if (o_.kind == "none" || o_.on_updates) return;
  const auto t = static_cast<double>(epochs);
  if (o_.kind != "plateau") {
    lr_ = noisy(at(t), epochs);
    return;
  }
  if (t <= warmup_) {
    lr_ = warmup_ > 0 ? o_.warmup_lr + t * warmup_step_ : o_.warmup_lr + t;
    return;
  }
  if (plateau_.without_noise) lr_ = *std::exchange(plateau_.without_noise, {});
  if (metric) follow(*metric);
  const double with_noise = noisy(lr_, epochs);
  if (with_noise != lr_) plateau_.without_noise = std::exchange(lr_, with_noise);
}

void Schedule::update(int64_t updates) {
  if (o_.kind == "none" || !o_.on_updates) return;
  lr_ = noisy(at(static_cast<double>(updates)), updates);
}

std::vector<double> Schedule::state() const {
  if (o_.kind != "plateau") return {};
  return {lr_, plateau_.best, plateau_.bad, plateau_.any ? 1.0 : 0.0, plateau_.without_noise.value_or(-1)};
}

void Schedule::set_state(const std::vector<double>& s) {
  if (o_.kind != "plateau" || s.empty()) return;
  if (s.size() != 5) throw Error(Error::Kind::format, "the state of a schedule has another length");
  lr_ = s[0];
  plateau_ = {.best = s[1], .bad = s[2], .any = s[3] != 0, .without_noise = {}};
  if (s[4] >= 0) plateau_.without_noise = s[4];
}

}  // namespace fovea::train
