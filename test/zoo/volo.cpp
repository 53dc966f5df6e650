// SPDX-License-Identifier: Apache-2.0
// test/zoo/volo.cpp — VOLO beyond its figures: what training by token labelling is given.
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/golden/runner/figures.h"
#include "test/zoo/foreign_weights.h"
#include "zoo/blocks/token_labels.h"

namespace fovea::zoo {
namespace {

std::unique_ptr<ImageModel> small(std::vector<std::pair<std::string, std::string>> set = {}) {
  for (const auto& [name, value] : {std::pair{"layers", "1,1,1,1"},
                                    {"embed_dims", "16,32,32,32"},
                                    {"num_heads", "1,2,2,2"},
                                    {"stem_hidden_dim", "8"}})
    set.emplace_back(name, value);
  auto m = create("volo_d1_224", {.num_classes = 5, .img_size = {{64, 96}}, .set = std::move(set)});
  fill_weights(*m);
  return m;
}

TokenLabels labels_of(ImageModel& m, const Tensor& image) {
  return dynamic_cast<TokenLabelledModel&>(m).forward_train(image);
}

}  // namespace

TEST_CASE("VOLO's tokens have classes of their own while it trains", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({2, 3, 64, 96});
  const auto m = small();
  m->train();
  const TokenLabels plain = labels_of(*m, image);
  CHECK(plain.pooled.shape() == Shape{2, 32});
  CHECK(plain.aux.shape() == Shape{2, 4 * 6, 5});
  CHECK(test::values_of(plain.box) == std::vector<double>{0, 0, 0, 0});
  CHECK_FALSE(static_cast<bool>(labels_of(*small({{"use_aux_head", "false"}}), image).aux));
}

TEST_CASE("VOLO mixes a rectangle of another image in, and takes its answers back out", "[zoo]") {
  const NoGrad no_grad;
  const Tensor one = golden_input({1, 3, 64, 96}), twice = cat({one, one}, 0), mirrored = cat({one, flip(one, {3})}, 0);
  const auto m = small({{"use_mix_token", "true"}});
  bool mixed = false;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const auto labels = [&](const Tensor& image) {
      m->train();
      m->seed(seed);
      return labels_of(*m, image);
    };
    const TokenLabels same = labels(twice), other = labels(mirrored);
    const std::vector<double> box = test::values_of(same.box);
    INFO(box[0] << ' ' << box[1] << ' ' << box[2] << ' ' << box[3]);
    CHECK(box == test::values_of(other.box));
    CHECK((0 <= box[0] && box[0] <= box[2] && box[2] <= 4 && 0 <= box[1] && box[1] <= box[3] && box[3] <= 6));
    // Of two equal images nothing changes by mixing, whatever the rectangle.
    CHECK(golden::largest_difference(select(same.aux, 0, 0), select(same.aux, 0, 1)) < 1e-5);
    mixed = mixed || (box[2] > box[0] && box[3] > box[1]);
  }
  CHECK(mixed);
}

}  // namespace fovea::zoo
