// SPDX-License-Identifier: Apache-2.0
#include "data/sequence_training.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "data/transform.h"
#include "engine/core/error.h"

namespace fovea::data {
namespace {

RandomSequenceCrop crop_of(const TrainConfig& c) {
  return {.scale = c.scale.value_or(std::array{0.08, 1.0}), .ratio = c.ratio.value_or(std::array{3.0 / 4, 4.0 / 3})};
}

}  // namespace

Part sequence_part(int width, int height, const TrainConfig& c, const SequenceLimits& limits, uint64_t key) {
  if (!c.augment) return {0, 0, width, height};
  Chance chance(key);
  return draw_sequence_crop(height, width, limits, crop_of(c), chance).part;
}

Tensor sequence_view(const Image& given, const TrainConfig& c, const SequenceLimits& limits, uint64_t key) {
  check(given);
  const Image converted = with_channels(given, c.input_size[0]);
  const Image& image = converted.pixels.empty() ? given : converted;
  if (!c.augment)
    return to_tensor(resize_to_sequence(image, limits, c.interpolation.value_or(Filter::bilinear)), c.mean, c.std);
  Chance chance(key);
  const SequenceCrop part = draw_sequence_crop(image.height, image.width, limits, crop_of(c), chance);
  const Filter filter = drawn_filter(c, chance);
  Image out = resize(crop(image, part.part.left, part.part.top, part.part.width, part.part.height), part.width,
                     part.height, filter);
  const bool across = chance.uniform() < c.hflip, upside_down = chance.uniform() < c.vflip;
  return to_tensor(recoloured(mirrored(std::move(out), across, upside_down), c, chance), c.mean, c.std);
}

namespace {

// Images whose shapes are near, by twos; of fours of these, which are with whom is drawn.
std::vector<size_t> partners(std::span<const Tensor> images, Chance& chance) {
  constexpr size_t kNear = 4;
  std::vector<size_t> order(images.size()), out(images.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto shape = [&](size_t i) {
    return static_cast<double>(images[i].dim(3)) / static_cast<double>(images[i].dim(2));
  };
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return shape(a) < shape(b); });
  for (size_t from = 0; from < order.size(); from += kNear)
    for (size_t i = std::min(kNear, order.size() - from) - 1; i > 0; --i)
      std::swap(order[from + i], order[from + static_cast<size_t>(chance.upto(static_cast<int>(i)))]);
  std::iota(out.begin(), out.end(), size_t{0});    // who has no partner has itself
  for (size_t i = 0; i + 1 < order.size(); i += 2) out[order[i]] = order[i + 1], out[order[i + 1]] = order[i];
  return out;
}

struct Middle {
  int64_t height, width, top, left, other_top, other_left;
};
Middle middle_of(const Tensor& own, const Tensor& other) {
  const int64_t h = std::min(own.dim(2), other.dim(2)), w = std::min(own.dim(3), other.dim(3));
  return {h, w, (own.dim(2) - h) / 2, (own.dim(3) - w) / 2, (other.dim(2) - h) / 2, (other.dim(3) - w) / 2};
}

// Rows of the window of both images, channel by channel.
template <class Row>
void over_rows(Tensor& own, const Tensor& other, const Middle& m, const Row& row) {
  const std::span<float> mine = own.mutable_data<float>();
  const std::span<const float> theirs = other.data<float>();
  for (int64_t c = 0; c < own.dim(1); ++c)
    for (int64_t y = 0; y < m.height; ++y)
      row(mine.subspan(static_cast<size_t>((c * own.dim(2) + m.top + y) * own.dim(3) + m.left),
                       static_cast<size_t>(m.width)),
          theirs.subspan(static_cast<size_t>((c * other.dim(2) + m.other_top + y) * other.dim(3) + m.other_left),
                         static_cast<size_t>(m.width)));
}

// Into `own`; what is left of it.
double cut_in(Tensor& own, const Tensor& other, double share, Chance& chance) {
  Middle m = middle_of(own, other);
  const double ratio = std::sqrt(1 - share);
  const auto side = [&](int64_t n) { return static_cast<int64_t>(static_cast<double>(n) * ratio); };
  const int64_t h = side(m.height), w = side(m.width), down = chance.upto(static_cast<int>(m.height - h)),
                right = chance.upto(static_cast<int>(m.width - w));
  m = {h, w, m.top + down, m.left + right, m.other_top + down, m.other_left + right};
  over_rows(own, other, m, [](std::span<float> mine, std::span<const float> theirs) {
    std::copy(theirs.begin(), theirs.end(), mine.begin());
  });
  return 1 - static_cast<double>(h * w) / static_cast<double>(own.dim(2) * own.dim(3));
}

double blend(Tensor& own, const Tensor& other, double share) {
  const Middle m = middle_of(own, other);
  const auto mine_part = static_cast<float>(share), their_part = static_cast<float>(1 - share);
  over_rows(own, other, m, [&](std::span<float> mine, std::span<const float> theirs) {
    for (size_t x = 0; x < mine.size(); ++x) mine[x] = mine[x] * mine_part + theirs[x] * their_part;
  });
  const auto area = static_cast<double>(own.dim(2) * own.dim(3)), both = static_cast<double>(m.height * m.width);
  return (area - both) / area + share * both / area;
}

Tensor copy_of(const Tensor& t) { return from<float>(t.data<float>(), t.shape()); }

}  // namespace

Tensor mix_sequences(std::span<Tensor> images, const Tensor& targets, const MixConfig& c, Chance& chance, bool on) {
  if (c.mixup <= 0 && c.cutmix <= 0) throw Error(Error::Kind::argument, "mixing by neither Mixup nor CutMix");
  if (targets.dim(0) != static_cast<int64_t>(images.size()))
    throw Error(Error::Kind::shape, str_cat(images.size(), " images and ", targets.dim(0), " targets are mixed"));
  Tensor out = smoothed_targets(targets, c);
  if (images.size() < 2 || !on || chance.uniform() > c.prob) return out;
  const bool cuts = c.cutmix > 0 && (c.mixup <= 0 || chance.uniform() < c.switch_prob);
  const double alpha = cuts ? c.cutmix : c.mixup, share = std::clamp(chance.beta(alpha, alpha), 0.0, 1.0);
  const std::vector<size_t> with = partners(images, chance);
  std::vector<Tensor> before;
  for (const Tensor& t : images) before.push_back(copy_of(t));
  const Tensor plain = copy_of(out);
  const auto classes = static_cast<size_t>(c.classes);
  for (size_t i = 0; i < images.size(); ++i) {
    if (with[i] == i) continue;
    const Tensor& other = before[with[i]];
    const double kept = cuts ? cut_in(images[i], other, share, chance) : blend(images[i], other, share);
    const std::span<float> row = out.mutable_data<float>().subspan(i * classes, classes);
    const std::span<const float> their = plain.data<float>().subspan(with[i] * classes, classes);
    for (size_t k = 0; k < classes; ++k)
      row[k] = row[k] * static_cast<float>(kept) + their[k] * static_cast<float>(1 - kept);
  }
  return out;
}

namespace {

// One sequence of a batch.
struct Grid {
  std::span<float> values;
  std::span<const int64_t> coords;
  std::span<const bool> valid;
  size_t width() const { return values.size() / valid.size(); }  // of a patch
};

void fill_patches(const Grid& g, std::span<const size_t> which, Erasing::Fill fill, const PatchLayout& layout,
                  Chance& chance) {
  std::vector<float> colour(static_cast<size_t>(layout.channels));
  if (fill == Erasing::Fill::colour)
    for (float& v : colour) v = static_cast<float>(chance.normal());
  const size_t pixels = g.width() / colour.size();
  for (const size_t i : which) {
    const std::span<float> patch = g.values.subspan(i * g.width(), g.width());
    if (fill == Erasing::Fill::pixel) {
      chance.normals(patch);
      continue;
    }
    for (size_t k = 0; k < patch.size(); ++k) patch[k] = colour[layout.channels_last ? k % colour.size() : k / pixels];
  }
}

// Ten tries a rectangle at an area and a shape that fit and have patches.
void erase_sequence(const Grid& g, const Erasing& how, const PatchLayout& layout, Chance& chance) {
  if (chance.uniform() > how.prob) return;
  int64_t rows = 0, columns = 0;
  for (size_t i = 0; i < g.valid.size(); ++i)
    if (g.valid[i]) rows = std::max(rows, g.coords[2 * i] + 1), columns = std::max(columns, g.coords[2 * i + 1] + 1);
  if (rows == 0) return;
  const auto area = static_cast<double>(rows * columns);
  const int count = 1 + chance.upto(how.most - 1);
  for (int k = 0; k < count; ++k)
    for (int attempt = 0; attempt < 10; ++attempt) {
      const double wanted = chance.between(0.02, 1.0 / 3) * area;
      const double shape = std::exp(chance.between(std::log(0.3), std::log(1 / 0.3)));
      const auto h = static_cast<int64_t>(std::nearbyint(std::sqrt(wanted * shape))),
                 w = static_cast<int64_t>(std::nearbyint(std::sqrt(wanted / shape)));
      if (h > rows || w > columns) continue;
      const int64_t top = chance.upto(static_cast<int>(rows - h)), left = chance.upto(static_cast<int>(columns - w));
      std::vector<size_t> which;
      for (size_t i = 0; i < g.valid.size(); ++i) {
        const int64_t y = g.coords[2 * i] - top, x = g.coords[2 * i + 1] - left;
        if (g.valid[i] && y >= 0 && y < h && x >= 0 && x < w) which.push_back(i);
      }
      if (which.empty()) continue;
      fill_patches(g, which, how.fill, layout, chance);
      break;
    }
}

}  // namespace

void erase_patches(SequenceBatch& batch, const Erasing& how, const PatchLayout& layout, Chance& chance,
                   int64_t spared) {
  if (how.prob <= 0) return;
  if (batch.patches.dim(2) % layout.channels != 0)
    throw Error(Error::Kind::shape,
                str_cat("patches of ", batch.patches.dim(2), " values have no ", layout.channels, " channels"));
  const auto length = static_cast<size_t>(batch.valid.dim(1)), width = static_cast<size_t>(batch.patches.dim(2));
  for (int64_t i = spared; i < batch.valid.dim(0); ++i) {
    const auto at = static_cast<size_t>(i);
    erase_sequence({batch.patches.mutable_data<float>().subspan(at * length * width, length * width),
                    batch.coords.data<int64_t>().subspan(at * length * 2, length * 2),
                    batch.valid.data<bool>().subspan(at * length, length)},
                   how, layout, chance);
  }
}

}  // namespace fovea::data
