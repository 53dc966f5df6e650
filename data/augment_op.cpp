// SPDX-License-Identifier: Apache-2.0
#include "data/augment_op.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "data/color.h"
#include "data/lookup.h"
#include "data/smooth.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

using Settings = AugmentSettings;

constexpr double kLevels = 10;                     // magnitudes are tenths

// --- what a magnitude means ------------------------------------------------------------------------------------------

double either_way(double v, Chance& chance) { return chance.uniform() > 0.5 ? -v : v; }

double nothing(double, const Image&, const Settings&, Chance&) { return 0; }
double turn(double level, const Image&, const Settings&, Chance& chance) {
  return either_way(level / kLevels * 30, chance);
}
double shear(double level, const Image&, const Settings&, Chance& chance) {
  return either_way(level / kLevels * 0.3, chance);
}
double move_by(double level, const Image& image, const Settings& s, Chance& chance) {
  const double most = s.translate_const.value_or(std::trunc(std::min(image.width, image.height) * 0.45));
  return either_way(level / kLevels * most, chance);
}
double move_share(double level, const Image&, const Settings& s, Chance& chance) {
  return either_way(level / kLevels * s.translate_share, chance);
}
double enhance(double level, const Image&, const Settings&, Chance&) { return level / kLevels * 1.8 + 0.1; }
double enhance_increasing(double level, const Image&, const Settings&, Chance& chance) {
  return std::max(0.1, 1 + either_way(level / kLevels * 0.9, chance));
}
double posterize(double level, const Image&, const Settings&, Chance&) { return std::trunc(level / kLevels * 4); }
double posterize_increasing(double level, const Image& i, const Settings& s, Chance& c) {
  return 4 - posterize(level, i, s, c);
}
double posterize_original(double level, const Image& i, const Settings& s, Chance& c) {
  return posterize(level, i, s, c) + 4;
}
double solarize(double level, const Image&, const Settings&, Chance&) {
  return std::min(256.0, std::trunc(level / kLevels * 256));
}
double solarize_increasing(double level, const Image& i, const Settings& s, Chance& c) {
  return 256 - solarize(level, i, s, c);
}
double solarize_add(double level, const Image&, const Settings&, Chance&) {
  return std::min(128.0, std::trunc(level / kLevels * 110));
}
template <int lo_tenths, int hi_tenths>
double within(double level, const Image&, const Settings&, Chance&) {
  constexpr double lo = lo_tenths / 10.0, hi = hi_tenths / 10.0;
  return std::clamp(lo + (hi - lo) * (level / kLevels), lo, hi);
}

// --- what is done ----------------------------------------------------------------------------------------------------

Filter filter_of(const Settings& s, Chance& chance) {
  if (s.interpolation) return *s.interpolation;
  return chance.upto(1) == 0 ? Filter::bilinear : Filter::bicubic;
}
Image by(const Image& image, const Affine& to_source, const Settings& s, Chance& chance) {
  return transformed(image, to_source, filter_of(s, chance), s.fill);
}

Image auto_contrast(Image image, double, const Settings&, Chance&) { return auto_contrasted(std::move(image)); }
Image equalize(Image image, double, const Settings&, Chance&) { return equalized(std::move(image)); }
Image invert(Image image, double, const Settings&, Chance&) { return inverted(std::move(image)); }
Image rotate(Image image, double degrees, const Settings& s, Chance& chance) {
  return rotated(image, degrees, filter_of(s, chance), s.fill);
}
Image keep_bits(Image image, double bits, const Settings&, Chance&) {
  return posterized(std::move(image), static_cast<int>(bits));
}
Image solarize_from(Image image, double threshold, const Settings&, Chance&) {
  return solarized(std::move(image), static_cast<int>(threshold));
}
Image add_below(Image image, double add, const Settings&, Chance&) {
  return solarize_added(std::move(image), static_cast<int>(add));
}
Image saturate(Image image, double factor, const Settings&, Chance&) {
  return with_saturation(std::move(image), factor);
}
Image contrast(Image image, double factor, const Settings&, Chance&) { return with_contrast(std::move(image), factor); }
Image brighten(Image image, double factor, const Settings&, Chance&) {
  return with_brightness(std::move(image), factor);
}
Image sharpen(Image image, double factor, const Settings&, Chance&) { return with_sharpness(std::move(image), factor); }
Image shear_x(Image image, double factor, const Settings& s, Chance& chance) {
  return by(image, {.b = factor}, s, chance);
}
Image shear_y(Image image, double factor, const Settings& s, Chance& chance) {
  return by(image, {.d = factor}, s, chance);
}
Image move_x(Image image, double pixels, const Settings& s, Chance& chance) {
  return by(image, {.c = pixels}, s, chance);
}
Image move_y(Image image, double pixels, const Settings& s, Chance& chance) {
  return by(image, {.f = pixels}, s, chance);
}
Image move_x_share(Image image, double share, const Settings& s, Chance& chance) {
  return by(image, {.c = share * image.width}, s, chance);
}
Image move_y_share(Image image, double share, const Settings& s, Chance& chance) {
  return by(image, {.f = share * image.height}, s, chance);
}
Image desaturate(Image image, double share, const Settings&, Chance&) {
  return with_saturation(std::move(image), std::clamp(1 - share, 0.0, 1.0));
}
Image blur(Image image, double radius, const Settings&, Chance&) { return box_blurred(image, radius); }
Image blur_somewhat(Image image, double share, const Settings&, Chance& chance) {
  return box_blurred(image, chance.between(0.1, 2.0 * share));
}

constexpr AugmentRule kRules[] = {
    {"AutoContrast", nothing, auto_contrast},
    {"Equalize", nothing, equalize},
    {"Invert", nothing, invert},
    {"Rotate", turn, rotate},
    {"Posterize", posterize, keep_bits},
    {"PosterizeIncreasing", posterize_increasing, keep_bits},
    {"PosterizeOriginal", posterize_original, keep_bits},
    {"Solarize", solarize, solarize_from},
    {"SolarizeIncreasing", solarize_increasing, solarize_from},
    {"SolarizeAdd", solarize_add, add_below},
    {"Color", enhance, saturate},
    {"ColorIncreasing", enhance_increasing, saturate},
    {"Contrast", enhance, contrast},
    {"ContrastIncreasing", enhance_increasing, contrast},
    {"Brightness", enhance, brighten},
    {"BrightnessIncreasing", enhance_increasing, brighten},
    {"Sharpness", enhance, sharpen},
    {"SharpnessIncreasing", enhance_increasing, sharpen},
    {"ShearX", shear, shear_x},
    {"ShearY", shear, shear_y},
    {"TranslateX", move_by, move_x},
    {"TranslateY", move_by, move_y},
    {"TranslateXRel", move_share, move_x_share},
    {"TranslateYRel", move_share, move_y_share},
    {"Desaturate", within<5, 10>, desaturate},
    {"GaussianBlur", within<1, 20>, blur},
    {"GaussianBlurRand", within<0, 10>, blur_somewhat},
};

}  // namespace

std::span<const AugmentRule> augment_rules() { return kRules; }

AugmentOp::AugmentOp(std::string_view name, double prob, double magnitude) : prob_(prob), magnitude_(magnitude) {
  rule_ = std::find_if(std::begin(kRules), std::end(kRules), [&](const AugmentRule& r) { return r.name == name; });
  if (rule_ != std::end(kRules)) return;
  std::string known;
  for (const AugmentRule& r : kRules) known += (known.empty() ? "" : ", ") + std::string(r.name);
  throw Error(Error::Kind::argument, str_cat("no augmentation is called '", name, "'"), str_cat("there are: ", known));
}

Image AugmentOp::operator()(Image image, const AugmentSettings& s, Chance& chance) const {
  if (prob_ < 1 && chance.uniform() > prob_) return image;
  double magnitude = magnitude_;
  if (std::isinf(s.magnitude_std)) magnitude = chance.between(0, magnitude_);
  else if (s.magnitude_std > 0) magnitude = magnitude_ + chance.normal() * s.magnitude_std;
  magnitude = std::clamp(magnitude, 0.0, s.magnitude_max);
  const double argument = rule_->argument(magnitude, image, s, chance);
  return rule_->apply(std::move(image), argument, s, chance);
}

}  // namespace fovea::data
