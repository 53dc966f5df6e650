// SPDX-License-Identifier: Apache-2.0
// test/data/augment.cpp — what timm's augmentations draw and what Pillow makes of images, byte for byte.
#include "data/augment.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <sstream>

#include "data/affine.h"
#include "data/augment_op.h"
#include "data/color.h"
#include "data/lookup.h"
#include "data/policy.h"
#include "data/smooth.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "test/data/pattern.h"
#include "test/data/replayed.h"
#include "test/support/sha256.h"

using namespace fovea;
using namespace fovea::data;
using namespace fovea::test;

namespace {

Colour colour(const std::string& text) {
  Colour out{};
  const std::vector<std::string> parts = split(text, ',');
  for (size_t i = 0; i < 3; ++i) out[i] = static_cast<uint8_t>(std::stoi(parts[i]));
  return out;
}

std::optional<Filter> interpolation(const std::string& name) {
  if (name == "random") return {};
  return parse_filter(name);
}

}  // namespace

TEST_CASE("every operation of timm's gives Pillow's bytes", "[data][augment]") {
  std::map<std::string, int> cases;
  for (const std::string& row : augment_rows("augment.tsv")) {
    std::istringstream in(row);
    std::string name, magnitude, deviation, most, filter, fill, draws, want;
    double translate;
    in >> name >> magnitude >> deviation >> most >> translate >> filter >> fill;
    const Image image = shaped_pattern(in);
    in >> draws >> want;
    REQUIRE(in);
    INFO(row);
    const AugmentSettings settings{.fill = colour(fill),
                                   .interpolation = interpolation(filter),
                                   .translate_const = translate,
                                   .magnitude_std = std::stod(deviation),
                                   .magnitude_max = std::stod(most)};
    Replayed chance(draws);
    CHECK(hash(AugmentOp(name, 1, std::stod(magnitude))(image, settings, chance)) == want);
    CHECK(chance.all());
    ++cases[name];
  }
  CHECK(cases.size() == augment_rules().size());
  for (const auto& [name, count] : cases) CHECK(count >= 12);
}

TEST_CASE("every policy of timm's chooses what timm's chooses", "[data][augment]") {
  size_t cases = 0;
  for (const std::string& row : augment_rows("policies.tsv")) {
    std::istringstream in(row);
    std::string text, filter, fill, draws, want;
    in >> text >> filter >> fill;
    const Image image = shaped_pattern(in);
    in >> draws >> want;
    REQUIRE(in);
    INFO(row);
    const Policy policy(text, {.fill = colour(fill),
                               .interpolation = interpolation(filter),
                               .translate_share = text.starts_with("augmix") ? 0.3 : 0.45});
    Replayed chance(draws);
    CHECK(hash(policy(image, chance)) == want);
    CHECK(chance.all());
    ++cases;
  }
  CHECK(cases >= 22 * 12);
}

TEST_CASE("texts that are no policy are refused, with what there is", "[data][augment]") {
  for (const char* text : {"", "v1", "rand-m", "rand-x9", "rand-m9.5", "rand-m9x", "rand-tother", "rand-n20-tweights",
                           "augmix-w0", "augmix-a0", "augmix-q1", "v0-m5", "3a-mstdx", "random"}) {
    INFO(text);
    CHECK_THROWS_AS(Policy(text, {}), Error);
  }
  std::string said;
  try {
    Policy("rand-m9-z3", {});
  } catch (const Error& e) { said = e.what(); }
  CHECK(said ==
        "the policy 'rand-m9-z3' has a part 'z3'\n"
        "  parts are m, n, p, mstd, mmax and inc with a number, and t with a set of operations");
  CHECK_THROWS_AS(AugmentOp("Cutout", 1, 5), Error);
  CHECK(
      Policy("rand-m9-mstd0.5-inc1", {}).describe() ==
      "RandAugment: 2 of AutoContrast, Equalize, Invert, Rotate, PosterizeIncreasing, SolarizeIncreasing, SolarizeAdd, "
      "ColorIncreasing, ContrastIncreasing, BrightnessIncreasing, SharpnessIncreasing, ShearX, ShearY, TranslateXRel, "
      "TranslateYRel; each with probability 0.5, magnitude 9 with deviation 0.5");
}

TEST_CASE("policies draw without Python, too: equal keys give equal images", "[data][augment]") {
  const Image image = pattern(3, 40, 30, 3);
  for (const char* text : {"v0", "original-mstd0.5", "3a", "rand-m9-mstd0.5-inc1", "rand-m9-n3-p1-t3aw",
                           "augmix-m5-w4-d2", "augmix-m5-b1-a0.5"}) {
    INFO(text);
    const Policy policy(text, {});
    int changed = 0;
    for (uint64_t key = 0; key < 40; ++key) {
      Chance one(key), other(key);
      const Image out = policy(image, one);
      CHECK(out == policy(image, other));
      changed += out != image;
    }
    CHECK(changed > 15);
  }
}

TEST_CASE("shares add up to 1, and the heavier is drawn the oftener", "[data][augment]") {
  Chance chance(5);
  std::vector<int> first(3);
  double mean = 0, normal = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::vector<double> shares = chance.shares(4, 0.7);
    CHECK(shares[0] + shares[1] + shares[2] + shares[3] == Approx(1));
    mean += shares[1] / 3000;
    const std::vector<int> two = chance.distinct({0.5, 0.3, 0.2}, 2);
    REQUIRE(two.size() == 2);
    CHECK(two[0] != two[1]);
    ++first[static_cast<size_t>(two[0])];
    normal += chance.beta(2, 2) / 3000;
  }
  CHECK(mean == Approx(0.25).margin(0.02));
  CHECK(normal == Approx(0.5).margin(0.02));
  CHECK(first[0] == Approx(1500).margin(120));
  CHECK(first[2] == Approx(600).margin(100));
  std::vector<float> many(10'001);
  chance.normals(many);
  double sum = 0, squares = 0;
  for (const float v : many) sum += v, squares += static_cast<double>(v) * v;
  CHECK(sum / 10'001 == Approx(0).margin(0.05));
  CHECK(squares / 10'001 == Approx(1).margin(0.05));
}

TEST_CASE("transforms that cannot be are refused", "[data][augment]") {
  const Image image = pattern(1, 9, 7, 3);
  CHECK_THROWS_AS(transformed(image, {}, Filter::lanczos, {}), Error);
  CHECK_THROWS_AS(transformed(image, {.c = 1e300}, Filter::bicubic, {}), Error);
  CHECK_THROWS_AS(transformed(image, {.b = NAN}, Filter::bilinear, {}), Error);
  CHECK_THROWS_AS(transformed(image, {.f = 40'000}, Filter::nearest, {}), Error);
  CHECK_THROWS_AS(rotated(image, INFINITY, Filter::bilinear, {}), Error);
  CHECK_THROWS_AS(box_blurred(image, -1), Error);
  CHECK_THROWS_AS(blended(image, pattern(1, 9, 8, 3), 0.5), Error);
  CHECK_THROWS_AS(with_sharpness(image, NAN), Error);
  CHECK_THROWS_AS(looked_up(image, std::vector<Table>(2)), Error);
  CHECK(transformed(image, {}, Filter::bicubic, {}) == image);
  CHECK(transformed(image, {.c = 500}, Filter::bicubic, {1, 2, 3}).pixels[4] == 2);
}

TEST_CASE("rectangles are erased where timm erases them", "[data][augment]") {
  size_t cases = 0;
  for (const std::string& row : augment_rows("erasing.tsv")) {
    std::istringstream in(row);
    Erasing how{.fill = Erasing::Fill::zero};
    int64_t images, splits, channels, height, width;
    std::string draws, want;
    in >> how.prob >> how.most >> images >> splits >> channels >> height >> width >> draws >> want;
    REQUIRE(in);
    INFO(row);
    Tensor batch = full({images, channels, height, width}, 1);
    Replayed chance(draws);
    erase(batch, how, chance, splits > 1 ? images / splits : 0);
    CHECK(chance.all());
    std::vector<uint8_t> kept;
    for (const float v : batch.data<float>()) kept.push_back(static_cast<uint8_t>(v));
    CHECK(hex(fnv1a(kept)) == want);
    ++cases;
  }
  CHECK(cases >= 60);
}

TEST_CASE("a policy is part of training's transform", "[data][augment]") {
  const Image image = pattern(3, 64, 48, 3);
  TrainConfig c{.input_size = {3, 24, 24}, .hflip = 0};
  const Tensor plain = train_transform(image, c, 7);
  c.policy = std::make_shared<Policy>("rand-m9-p1", AugmentSettings{});
  const Tensor changed = train_transform(image, c, 7), again = train_transform(image, c, 7);
  CHECK(hash(changed) != hash(plain));
  CHECK(hash(changed) == hash(again));
  c.augment = false;
  CHECK(hash(train_transform(image, c, 7)) == hash(train_transform(image, c, 8)));
}

