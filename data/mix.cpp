// SPDX-License-Identifier: Apache-2.0
#include "data/mix.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "data/augment.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

// Marsaglia and Tsang's, https://doi.org/10.1145/358407.358414; below 1 by the power of a uniform number.
double gamma(double shape, Chance& chance) {
  if (shape < 1) {
    const double u = 1 - chance.uniform();
    return gamma(shape + 1, chance) * std::pow(u, 1 / shape);
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = chance.normal(), v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(1 - chance.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

double beta(double alpha, Chance& chance) {
  const double a = gamma(alpha, chance), b = gamma(alpha, chance);
  return a + b > 0 ? a / (a + b) : 0.5;
}

struct Rectangle {
  int64_t top = 0, bottom = 0, left = 0, right = 0;
};

// How one image is mixed: by a share of its own, or by a rectangle of the other one.
struct Share {
  double own = 1;
  std::optional<Rectangle> cut{};
};

Rectangle cut_of(double own, int64_t height, int64_t width, const MixConfig& c, Chance& chance) {
  const auto between = [&](int64_t lo, int64_t hi) {         // hi excluded, as NumPy has it
    return lo + chance.upto(static_cast<int>(std::max<int64_t>(0, hi - lo - 1)));
  };
  if (c.cutmix_minmax) {
    const auto side = [&](int64_t n) {
      const auto part = [&](double share) { return static_cast<int64_t>(static_cast<double>(n) * share); };
      return between(part((*c.cutmix_minmax)[0]), part((*c.cutmix_minmax)[1]));
    };
    const int64_t h = side(height), w = side(width), top = between(0, height - h + 1), left = between(0, width - w + 1);
    return {top, top + h, left, left + w};
  }
  const double ratio = std::sqrt(1 - own);
  const auto span = [&](int64_t n) {
    const auto side = static_cast<int64_t>(static_cast<double>(n) * ratio), centre = between(0, n);
    return std::pair{std::clamp<int64_t>(centre - side / 2, 0, n), std::clamp<int64_t>(centre + (side + 1) / 2, 0, n)};
  };
  const auto [top, bottom] = span(height);
  const auto [left, right] = span(width);
  return {top, bottom, left, right};
}

Share draw(const MixConfig& c, int64_t height, int64_t width, Chance& chance) {
  Share s;
  if (chance.uniform() >= c.prob) return s;
  const double cutmix = c.cutmix_minmax ? 1 : c.cutmix;
  const bool cuts = cutmix > 0 && (c.mixup <= 0 || chance.uniform() < c.switch_prob);
  s.own = beta(cuts ? cutmix : c.mixup, chance);
  if (!cuts) return s;
  const Rectangle r = s.cut.emplace(cut_of(s.own, height, width, c, chance));
  s.own = 1 - static_cast<double>((r.bottom - r.top) * (r.right - r.left)) / static_cast<double>(height * width);
  return s;
}

void check(const Tensor& images, const MixConfig& c) {
  if (c.mixup <= 0 && c.cutmix <= 0 && !c.cutmix_minmax)
    throw Error(Error::Kind::argument, "mixing by neither Mixup nor CutMix");
  if (images.dim(0) % 2 != 0)
    throw Error(Error::Kind::shape, str_cat("a batch of ", images.dim(0), " images is mixed"), "their number is even");
  if (c.cutmix_minmax && !((*c.cutmix_minmax)[0] >= 0 && (*c.cutmix_minmax)[0] <= (*c.cutmix_minmax)[1] &&
                           (*c.cutmix_minmax)[1] <= 1))
    throw Error(Error::Kind::argument, "bounds of CutMix's sides are not from 0 to 1");
}

}  // namespace

MixConfig::Mode parse_mix_mode(std::string_view name) {
  if (name == "batch") return MixConfig::Mode::batch;
  if (name == "pair") return MixConfig::Mode::pair;
  if (name == "elem") return MixConfig::Mode::elem;
  throw Error(Error::Kind::argument, str_cat("no way of mixing '", name, "'"), "there are: batch, pair, elem");
}

Tensor mix(const Tensor& images, const Tensor& targets, const MixConfig& c, Chance& chance, bool on) {
  check(images, c);
  const int64_t n = images.dim(0), height = images.dim(2), width = images.dim(3);
  std::vector<Share> shares(static_cast<size_t>(n));
  if (on) {
    for (int64_t i = 0; i < n; ++i) {
      const bool draws = c.mode == MixConfig::Mode::elem || i == 0 || (c.mode == MixConfig::Mode::pair && i < n / 2);
      const int64_t same = c.mode == MixConfig::Mode::batch ? 0 : n - 1 - i;
      shares[static_cast<size_t>(i)] = draws ? draw(c, height, width, chance) : shares[static_cast<size_t>(same)];
    }
  }
  Tensor given = images;
  const std::span<float> values = given.mutable_data<float>();
  const std::vector<float> before(values.begin(), values.end());
  const auto each = values.size() / static_cast<size_t>(n), plane = static_cast<size_t>(height * width);
  for (int64_t i = 0; i < n; ++i) {
    const Share& s = shares[static_cast<size_t>(i)];
    if (s.own == 1 && !s.cut) continue;
    float* mine = values.data() + each * static_cast<size_t>(i);
    const float *was = before.data() + each * static_cast<size_t>(i),
                *other = before.data() + each * static_cast<size_t>(n - 1 - i);
    const auto own = static_cast<float>(s.own);
    if (!s.cut) {
      for (size_t k = 0; k < each; ++k) mine[k] = was[k] * own + other[k] * (1 - own);
      continue;
    }
    for (size_t from = 0; from < each; from += plane)
      for (int64_t y = s.cut->top; y < s.cut->bottom; ++y) {
        const size_t row = from + static_cast<size_t>(y * width);
        std::copy(other + row + s.cut->left, other + row + s.cut->right, mine + row + s.cut->left);
      }
  }
  const double off = c.smoothing / static_cast<double>(c.classes), full = 1 - c.smoothing + off;
  Tensor mixed = empty({n, c.classes});
  const std::span<float> out = mixed.mutable_data<float>();
  const std::span<const int64_t> labels = targets.data<int64_t>();
  std::fill(out.begin(), out.end(), static_cast<float>(off));
  for (int64_t i = 0; i < n; ++i) {
    const double own = shares[static_cast<size_t>(i)].own;
    float* row = out.data() + i * c.classes;
    row[labels[static_cast<size_t>(i)]] += static_cast<float>(own * (full - off));
    row[labels[static_cast<size_t>(n - 1 - i)]] += static_cast<float>((1 - own) * (full - off));
  }
  return mixed;
}

}  // namespace fovea::data
