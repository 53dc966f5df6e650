// SPDX-License-Identifier: Apache-2.0
#include "data/mix.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/chance.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

struct Rectangle {
  int64_t top = 0, bottom = 0, left = 0, right = 0;
};

// How one image is mixed: by a share of its own, or by a rectangle of the other one.
struct Share {
  double own = 1;
  std::optional<Rectangle> cut{};
};

int64_t from_to(int64_t lo, int64_t hi, Chance& chance) {      // hi excluded, as NumPy has it
  return lo + chance.upto(static_cast<int>(std::max<int64_t>(0, hi - lo - 1)));
}

Rectangle cut_of_sides(const std::array<double, 2>& sides, int64_t height, int64_t width, Chance& chance) {
  const auto side = [&](int64_t n) {
    const auto part = [&](double share) { return static_cast<int64_t>(static_cast<double>(n) * share); };
    return from_to(part(sides[0]), part(sides[1]), chance);
  };
  const int64_t h = side(height), w = side(width), top = from_to(0, height - h + 1, chance),
                left = from_to(0, width - w + 1, chance);
  return {top, top + h, left, left + w};
}

// `Real`: what timm computes with; f32 where each image has its own share.
template <class Real>
Rectangle cut_of_share(Real own, int64_t height, int64_t width, Chance& chance) {
  const Real ratio = std::sqrt(1 - own);
  const auto side = [&](int64_t n) { return static_cast<int64_t>(static_cast<Real>(n) * ratio); };
  const int64_t h = side(height), w = side(width), y = from_to(0, height, chance), x = from_to(0, width, chance);
  return {std::clamp<int64_t>(y - h / 2, 0, height), std::clamp<int64_t>(y + (h + 1) / 2, 0, height),
          std::clamp<int64_t>(x - w / 2, 0, width), std::clamp<int64_t>(x + (w + 1) / 2, 0, width)};
}

template <class Real>
void cut(Share& s, const MixConfig& c, int64_t height, int64_t width, Chance& chance) {
  const Rectangle r = s.cut.emplace(c.cutmix_minmax ? cut_of_sides(*c.cutmix_minmax, height, width, chance)
                                                    : cut_of_share(static_cast<Real>(s.own), height, width, chance));
  s.own = 1 - static_cast<double>((r.bottom - r.top) * (r.right - r.left)) / static_cast<double>(height * width);
}

double cutmix_alpha(const MixConfig& c) { return c.cutmix_minmax ? 1 : c.cutmix; }

Share of_batch(const MixConfig& c, int64_t height, int64_t width, Chance& chance) {
  Share s;
  if (!chance.below(c.prob)) return s;
  const double alpha = cutmix_alpha(c);
  const bool cuts = alpha > 0 && (c.mixup <= 0 || chance.below(c.switch_prob));
  s.own = cuts ? chance.beta(alpha, alpha) : chance.beta(c.mixup, c.mixup);
  if (cuts && s.own != 1) cut<double>(s, c, height, width, chance);
  return s;
}

// Of the first `count` images, all of one kind before the next kind is drawn.
std::vector<Share> of_each(int64_t count, const MixConfig& c, int64_t height, int64_t width, Chance& chance) {
  const auto n = static_cast<size_t>(count);
  const double alpha = cutmix_alpha(c);
  std::vector<bool> cuts(n, alpha > 0);
  std::vector<double> cut_shares(n), mix_shares(n);
  if (alpha > 0 && c.mixup > 0)
    for (size_t i = 0; i < n; ++i) cuts[i] = chance.below(c.switch_prob);
  if (alpha > 0)
    for (double& v : cut_shares) v = chance.beta(alpha, alpha);
  if (c.mixup > 0)
    for (double& v : mix_shares) v = chance.beta(c.mixup, c.mixup);
  std::vector<Share> shares(n);
  for (size_t i = 0; i < n; ++i)
    if (chance.below(c.prob)) shares[i].own = static_cast<float>(cuts[i] ? cut_shares[i] : mix_shares[i]);
  for (size_t i = 0; i < n; ++i)
    if (cuts[i] && shares[i].own != 1) cut<float>(shares[i], c, height, width, chance);
  for (Share& s : shares) s.own = static_cast<float>(s.own);
  return shares;
}

std::vector<Share> draw(int64_t images, const MixConfig& c, int64_t height, int64_t width, Chance& chance) {
  if (c.mode == MixConfig::Mode::batch)
    return std::vector<Share>(static_cast<size_t>(images), of_batch(c, height, width, chance));
  if (c.mode == MixConfig::Mode::elem) return of_each(images, c, height, width, chance);
  std::vector<Share> shares = of_each(images / 2, c, height, width, chance);
  shares.resize(static_cast<size_t>(images));
  if (c.mode == MixConfig::Mode::pair) std::copy_n(shares.begin(), images / 2, shares.rbegin());
  return shares;
}

// What is left of the own one: the difference is in the precision that timm takes it in.
float other_share(const Share& s, const MixConfig& c) {
  return c.mode == MixConfig::Mode::batch ? static_cast<float>(1 - s.own) : 1 - static_cast<float>(s.own);
}

void mix_images(std::span<float> values, std::span<const Share> shares, int64_t width, size_t plane,
                const MixConfig& c) {
  const std::vector<float> before(values.begin(), values.end());
  const size_t n = shares.size(), each = values.size() / n;
  for (size_t i = 0; i < n; ++i) {
    const Share& s = shares[i];
    if (s.own == 1 && !s.cut) continue;
    float* mine = values.data() + each * i;
    const float *was = before.data() + each * i, *other = before.data() + each * (n - 1 - i);
    const float own = static_cast<float>(s.own), rest = other_share(s, c);
    if (!s.cut) {
      for (size_t k = 0; k < each; ++k) mine[k] = was[k] * own + other[k] * rest;
      continue;
    }
    for (size_t from = 0; from < each; from += plane)
      for (int64_t y = s.cut->top; y < s.cut->bottom; ++y) {
        const size_t row = from + static_cast<size_t>(y * width);
        std::copy(other + row + s.cut->left, other + row + s.cut->right, mine + row + s.cut->left);
      }
  }
}

std::vector<float> smoothed(const Tensor& targets, const MixConfig& c) {
  const auto n = static_cast<size_t>(targets.dim(0)), classes = static_cast<size_t>(c.classes);
  if (targets.dtype() == DType::f32) {
    if (targets.shape() != Shape{targets.dim(0), c.classes})
      throw Error(Error::Kind::shape,
                  str_cat("targets ", to_string(targets.shape()), " of ", c.classes, " classes are mixed"),
                  "of several labels an image they are f32[N, classes]");
    std::vector<float> out;
    for (const float v : targets.data<float>())
      out.push_back(v * static_cast<float>(1 - c.smoothing) + static_cast<float>(0.5 * c.smoothing));
    return out;
  }
  const double off = c.smoothing / static_cast<double>(c.classes);
  std::vector<float> out(n * classes, static_cast<float>(off));
  for (size_t i = 0; i < n; ++i) {
    const int64_t label = targets.data<int64_t>()[i];
    if (label < 0 || label >= c.classes)
      throw Error(Error::Kind::argument, str_cat("a target of class ", label, " of ", c.classes));
    out[i * classes + static_cast<size_t>(label)] = static_cast<float>(1 - c.smoothing + off);
  }
  return out;
}

void check(const Tensor& images, const Tensor& targets, const MixConfig& c) {
  if (c.mixup <= 0 && c.cutmix <= 0 && !c.cutmix_minmax)
    throw Error(Error::Kind::argument, "mixing by neither Mixup nor CutMix");
  if (images.dim(0) % 2 != 0 || targets.dim(0) != images.dim(0))
    throw Error(Error::Kind::shape,
                str_cat("a batch of ", images.dim(0), " images and ", targets.dim(0), " targets is mixed"),
                "their number is even, and the same");
  if (c.cutmix_minmax && !((*c.cutmix_minmax)[0] >= 0 && (*c.cutmix_minmax)[0] <= (*c.cutmix_minmax)[1] &&
                           (*c.cutmix_minmax)[1] <= 1))
    throw Error(Error::Kind::argument, "bounds of CutMix's sides are not from 0 to 1");
}

}  // namespace

Tensor smoothed_targets(const Tensor& targets, const MixConfig& c) {
  return from<float>(smoothed(targets, c), {targets.dim(0), c.classes});
}

MixConfig::Mode parse_mix_mode(std::string_view name) {
  if (name == "batch") return MixConfig::Mode::batch;
  if (name == "pair") return MixConfig::Mode::pair;
  if (name == "elem") return MixConfig::Mode::elem;
  if (name == "half") return MixConfig::Mode::half;
  throw Error(Error::Kind::argument, str_cat("no way of mixing '", name, "'"), "there are: batch, pair, elem, half");
}

Tensor mix(Tensor& images, const Tensor& targets, const MixConfig& c, Chance& chance, bool on) {
  check(images, targets, c);
  const int64_t height = images.dim(2), width = images.dim(3);
  std::vector<Share> shares(static_cast<size_t>(images.dim(0)));
  if (on) shares = draw(images.dim(0), c, height, width, chance);
  mix_images(images.mutable_data<float>(), shares, width, static_cast<size_t>(height * width), c);

  const int64_t kept = c.mode == MixConfig::Mode::half ? images.dim(0) / 2 : images.dim(0);
  const std::vector<float> plain = smoothed(targets, c);
  Tensor mixed = empty({kept, c.classes});
  const std::span<float> out = mixed.mutable_data<float>();
  const auto classes = static_cast<size_t>(c.classes), n = shares.size();
  for (size_t i = 0; i < static_cast<size_t>(kept); ++i) {
    const float own = static_cast<float>(shares[i].own), rest = other_share(shares[i], c);
    for (size_t k = 0; k < classes; ++k)
      out[i * classes + k] = plain[i * classes + k] * own + plain[(n - 1 - i) * classes + k] * rest;
  }
  if (kept < images.dim(0)) {
    const std::span<const float> all = images.data<float>();
    images = from<float>(all.subspan(0, all.size() / 2), {kept, images.dim(1), height, width});
  }
  return mixed;
}

}  // namespace fovea::data
