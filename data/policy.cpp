// SPDX-License-Identifier: Apache-2.0
#include "data/policy.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

#include "data/color.h"
#include "data/policy_tables.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

// --- the text --------------------------------------------------------------------------------------------------------

struct Section {
  std::string_view key, value;                     // "mstd", "0.5"
};

// What stands between dashes, but for the first. A key ends where digits begin.
std::vector<Section> sections(std::string_view text) {
  std::vector<Section> out;
  for (size_t from = text.find('-'); from != text.npos;) {
    const size_t to = text.find('-', ++from);
    const std::string_view part = text.substr(from, to == text.npos ? to : to - from);
    const size_t digit = part.starts_with('t') ? 1 : std::min(part.find_first_of("0123456789"), part.size());
    if (!part.empty()) out.push_back({part.substr(0, digit), part.substr(digit)});
    from = to;
  }
  return out;
}

[[noreturn]] void refuse(std::string_view text, const Section& s, std::string_view known) {
  throw Error(Error::Kind::argument, str_cat("the policy '", text, "' has a part '", s.key, s.value, "'"),
              str_cat("parts are ", known));
}

template <class Number>
Number number_of(std::string_view text, const Section& s, std::string_view known) {
  Number v{};
  const char* end = s.value.data() + s.value.size();
  const auto [read, error] = std::from_chars(s.value.data(), end, v);
  if (error != std::errc() || read != end || s.value.empty()) refuse(text, s, known);
  return v;
}

constexpr double kUniform = std::numeric_limits<double>::infinity();

// Of two deviations the first counts, of other values the last.
void deviate(AugmentSettings& settings, double deviation) {
  if (settings.magnitude_std == 0) settings.magnitude_std = deviation;
}

AutoAugment auto_augment(std::string_view text, AugmentSettings& settings) {
  for (const Section& s : sections(text)) {
    if (s.key != "mstd") refuse(text, s, "mstd and a number");
    deviate(settings, number_of<double>(text, s, "mstd and a number"));
  }
  return {policy_rows(text.substr(0, text.find('-')))};
}

RandAugment rand_augment(std::string_view text, AugmentSettings& settings) {
  constexpr std::string_view known = "m, n, p, mstd, mmax and inc with a number, and t with a set of operations";
  int magnitude = 10;
  double prob = 0.5;
  bool increasing = false;
  std::optional<std::string_view> set;
  std::optional<int> most;
  RandAugment out;
  for (const Section& s : sections(text)) {
    if (s.key == "t") {
      if (!set) set = s.value;
    } else if (s.key == "mstd") {
      const double deviation = number_of<double>(text, s, known);
      deviate(settings, deviation > 100 ? kUniform : deviation);
    } else if (s.key == "mmax") {
      if (!most) most = number_of<int>(text, s, known);
    } else if (s.key == "inc") {
      increasing = number_of<int>(text, s, known) != 0;
    } else if (s.key == "m") {
      magnitude = number_of<int>(text, s, known);
    } else if (s.key == "n") {
      out.layers = number_of<int>(text, s, known);
    } else if (s.key == "p") {
      prob = number_of<double>(text, s, known);
    } else {
      refuse(text, s, known);
    }
  }
  if (most.value_or(0) > 0) settings.magnitude_max = *most;
  double total = 0;
  for (const Weighted& w : augment_set(set.value_or(""), increasing)) {
    out.ops.emplace_back(w.name, prob, magnitude);
    if (w.weight > 0) out.weights.push_back(w.weight);
    total += w.weight;
  }
  for (double& w : out.weights) w /= total;
  if (!out.weights.empty() && out.layers > static_cast<int>(out.weights.size()))
    throw Error(Error::Kind::argument, str_cat("the policy '", text, "' wants ", out.layers, " different operations"),
                str_cat("this set has ", out.weights.size()));
  return out;
}

AugMix augmix(std::string_view text, AugmentSettings& settings) {
  constexpr std::string_view known = "m, w, d, a, b and mstd with a number";
  int magnitude = 3;
  AugMix out;
  std::optional<double> deviation;
  for (const Section& s : sections(text)) {
    if (s.key == "mstd") {
      if (!deviation) deviation = number_of<double>(text, s, known);
    } else if (s.key == "m") {
      magnitude = number_of<int>(text, s, known);
    } else if (s.key == "w") {
      out.width = number_of<int>(text, s, known);
    } else if (s.key == "d") {
      out.depth = number_of<int>(text, s, known);
    } else if (s.key == "a") {
      out.alpha = number_of<double>(text, s, known);
    } else if (s.key == "b") {
      out.blended = number_of<int>(text, s, known) != 0;
    } else {
      refuse(text, s, known);
    }
  }
  if (out.width < 1 || !(out.alpha > 0))
    throw Error(Error::Kind::argument, str_cat("the policy '", text, "' has ", out.width, " chains, alpha ", out.alpha),
                "one chain at least, and alpha above 0");
  deviate(settings, deviation.value_or(kUniform));
  for (const Weighted& w : augmix_set()) out.ops.emplace_back(w.name, 1, magnitude);
  return out;
}

// --- what it does ----------------------------------------------------------------------------------------------------

const AugmentOp& one_of(const std::vector<AugmentOp>& ops, Chance& chance) {
  return ops[static_cast<size_t>(chance.upto(static_cast<int>(ops.size()) - 1))];
}

Image apply(const AutoAugment& a, Image image, const AugmentSettings& settings, Chance& chance) {
  for (const AugmentOp& op : a.rows[static_cast<size_t>(chance.upto(static_cast<int>(a.rows.size()) - 1))])
    image = op(std::move(image), settings, chance);
  return image;
}

// All are chosen before any is done.
Image apply(const RandAugment& r, Image image, const AugmentSettings& settings, Chance& chance) {
  std::vector<const AugmentOp*> chosen;
  if (r.weights.empty())
    for (int i = 0; i < r.layers; ++i) chosen.push_back(&one_of(r.ops, chance));
  else
    for (const int i : chance.distinct(r.weights, r.layers)) chosen.push_back(&r.ops[static_cast<size_t>(i)]);
  for (const AugmentOp* op : chosen) image = (*op)(std::move(image), settings, chance);
  return image;
}

Image chain(const AugMix& a, const Image& image, const AugmentSettings& settings, Chance& chance) {
  const int depth = a.depth > 0 ? a.depth : 1 + chance.upto(2);
  std::vector<const AugmentOp*> chosen;
  for (int i = 0; i < depth; ++i) chosen.push_back(&one_of(a.ops, chance));
  Image out = image;
  for (const AugmentOp* op : chosen) out = (*op)(std::move(out), settings, chance);
  return out;
}

// The shares that blending one chain after the other takes to come near the mixture.
std::vector<float> blending_shares(const std::vector<float>& shares, float mixed) {
  std::vector<float> out(shares.size());
  float left = 1;
  for (size_t i = shares.size(); i-- > 0;) {
    out[i] = shares[i] * mixed / left;
    left *= 1 - out[i];
  }
  return out;
}

Image apply(const AugMix& a, Image image, const AugmentSettings& settings, Chance& chance) {
  const std::vector<double> drawn = chance.shares(a.width, a.alpha);
  const std::vector<float> shares(drawn.begin(), drawn.end());
  const auto mixed = static_cast<float>(chance.beta(a.alpha, a.alpha));
  if (a.blended) {
    const Image original = image;
    for (const float share : blending_shares(shares, mixed))
      image = blended(image, chain(a, original, settings, chance), share);
    return image;
  }
  std::vector<float> sum(image.pixels.size());
  for (const float share : shares) {
    const Image one = chain(a, image, settings, chance);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += share * static_cast<float>(one.pixels[i]);
  }
  Image mixture = image;
  for (size_t i = 0; i < sum.size(); ++i) mixture.pixels[i] = static_cast<uint8_t>(std::clamp(sum[i], 0.0f, 255.0f));
  return blended(image, std::move(mixture), mixed);
}

// --- what people read ------------------------------------------------------------------------------------------------

std::string named(std::span<const AugmentOp> ops) {
  std::string out;
  for (const AugmentOp& op : ops) out += (out.empty() ? "" : ", ") + std::string(op.name());
  return out;
}

std::string text_of(const AutoAugment& a) {
  return str_cat("AutoAugment: one of ", a.rows.size(), " rows of operations");
}
std::string text_of(const RandAugment& r) {
  return str_cat("RandAugment: ", r.layers, " of ", r.weights.empty() ? "" : "weighted ", named(r.ops),
                 "; each with probability ", r.ops[0].prob(), ", magnitude ", r.ops[0].magnitude());
}
std::string text_of(const AugMix& a) {
  return str_cat("AugMix: ", a.width, " chains of ", a.depth > 0 ? str_cat(a.depth) : "1 to 3", " of ", named(a.ops),
                 "; magnitude ", a.ops[0].magnitude(), ", alpha ", a.alpha, a.blended ? ", blended" : "");
}

}  // namespace

Policy::Policy(std::string_view text, AugmentSettings settings) : settings_(std::move(settings)) {
  if (settings_.interpolation) check_transform_filter(*settings_.interpolation);
  if (text == "rand" || text.starts_with("rand-")) way_ = rand_augment(text, settings_);
  else if (text == "augmix" || text.starts_with("augmix-")) way_ = augmix(text, settings_);
  else way_ = auto_augment(text, settings_);
}

Image Policy::operator()(Image image, Chance& chance) const {
  check(image);
  return std::visit([&](const auto& way) { return apply(way, std::move(image), settings_, chance); }, way_);
}

std::string Policy::describe() const {
  const double deviation = settings_.magnitude_std;
  return std::visit([](const auto& way) { return text_of(way); }, way_) +
         (std::isinf(deviation) ? ", drawn from 0 on" : deviation > 0 ? str_cat(" with deviation ", deviation) : "");
}

}  // namespace fovea::data
