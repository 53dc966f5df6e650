// SPDX-License-Identifier: Apache-2.0
// test/zoo/maxxvit.cpp — CoAtNet and MaxViT beyond their figures: images and windows of other sizes, weights of layers
// that were linear and of tables of other windows, what is refused. Numbers are timm's, for weights filled by
// test/support/fill.h.
#include "engine/autograd/autograd.h"
#include "engine/core/text.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/zoo/foreign_weights.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;
using Logits = std::array<double, 5>;

constexpr const char *kMax = "test_maxvit", *kCoat = "test_coatnet", *kTf = "maxvit_tiny_tf_224";
const Settings kSmallTf{
    {"embed_dim", "32,64,96,128"}, {"depths", "1,1,1,1"}, {"stem_width", "16,32"}, {"head_hidden_size", "48"}};

std::unique_ptr<ImageModel> filled(const char* name, const Settings& set = {}, std::array<int, 2> image = {64, 64}) {
  auto m = create(name, {.num_classes = 5, .img_size = image, .set = set});
  fill_weights(*m);
  return m;
}

void check_logits(ImageModel& m, const Logits& expected) {
  const NoGrad no_grad;
  const Tensor y = m(golden_input({1, 3, m.input_size()[1], m.input_size()[2]}));
  REQUIRE(y.shape() == Shape{1, 5});
  for (size_t i = 0; i < 5; ++i) CHECK(static_cast<double>(y.data<float>()[i]) == Approx(expected[i]).margin(2e-5));
}

}  // namespace

TEST_CASE("MaxViT for images of other sizes, with windows in proportion", "[zoo]") {
  SECTION("tables of offsets") {
    const auto m = filled(kMax);
    m->set_input_size({128, 96});
    check_logits(*m, {-0.6285818, -1.1432781, -1.6636932, -1.1981786, -1.3304872});
  }
  SECTION("tables as TensorFlow's code lays them out") {
    const auto m = filled(kTf, kSmallTf);
    m->set_input_size({96, 128});
    check_logits(*m, {-0.4928397, -0.0544592, 0.2239062, 0.2580523, 0.3816657});
  }
  SECTION("a network over offsets, of whole maps") {
    const auto m = filled(kCoat, {{"transformer_rel_pos_type", "mlp"}});
    m->set_input_size({96, 64});
    check_logits(*m, {0.9204377, -1.1912115, -0.8240678, -2.5604284, 0.1513424});
  }
}

TEST_CASE("windows and grids of MaxViT may be given", "[zoo]") {
  SECTION("as one size for all kinds of blocks") {
    const auto m = filled(kMax, {{"block_type", "M,T,PM,M"}});
    m->set_input_size({96, 96}, {}, {.sizes = {{3, 3}}});
    check_logits(*m, {-0.8238807, 2.0283148, -0.9100170, 0.1105654, 0.4833905});
  }
  SECTION("as two sizes") {
    const auto m = filled(kMax);
    m->set_input_size({128, 64}, {}, {.sizes = {{4, 2}, {2, 1}}});
    check_logits(*m, {-0.6439920, -1.0836799, -1.6869012, -1.2579471, -1.1371854});
  }
  SECTION("as a part of the image") {
    const auto m = filled(kMax);
    m->set_input_size({128, 128}, {}, {.ratios = {64}});
    check_logits(*m, {-0.4122898, -0.5883502, -1.0339987, -0.6497814, -0.9275615});
  }
  SECTION("back and forth before there are bytes") {
    const auto m = create(kTf, {.num_classes = 5, .img_size = {{64, 64}}, .set = kSmallTf});
    m->set_input_size({96, 128});
    m->set_input_size({64, 64});
    fill_weights(*m);
    const auto same = filled(kTf, kSmallTf);
    CHECK(state_lines(*m) == state_lines(*same));
    const NoGrad no_grad;
    const Tensor x = golden_input({1, 3, 64, 64});
    CHECK(test::values_of((*m)(x)) == test::values_of((*same)(x)));
  }
}

TEST_CASE("MaxViT says what it cannot be", "[zoo]") {
  const auto m = filled(kMax);
  CHECK_THROWS_AS(m->set_input_size({64, 64}, 4), Error);
  CHECK_THROWS_AS(m->set_input_size({16, 64}), Error);
  CHECK_THROWS_AS(m->set_input_size({64, 64}, {}, {.sizes = {{2, 2}, {2, 2}, {2, 2}}}), Error);
  const NoGrad no_grad;
  CHECK_THROWS_AS((*m)(golden_input({1, 3, 96, 96})), Error);  // whose last map of 3 x 3 has no windows of 2 x 2
  const auto refused = [](const Settings& set) { CHECK_THROWS_AS(create(kMax, {.set = set}), Error); };
  refused({{"block_type", "M,M,M"}});
  refused({{"block_type", "M,M,M,Q"}});
  refused({{"weight_init", "ones"}});
  refused({{"transformer_dim_head", "48"}});
  refused({{"stem_width", "16,"}});
  refused({{"conv_block_type", "convnext"}, {"conv_stride_mode", "1x1"}});
  refused({{"block_type", "PM,M,M,M"}, {"transformer_window_size", "5"}, {"transformer_grid_size", "1"}});
}

TEST_CASE("MaxViT takes layers that were linear or convolutions, and tables of other windows", "[zoo]") {
  SECTION("layers of each pixel") {
    const auto m = filled(kMax, {}), other = filled(kMax, {{"transformer_use_nchw_attn", "true"}});
    const StateDict own = m->state_dict();
    check_loads(*m, other->state_dict(), own);
  }
  SECTION("tables") {
    for (const char* name : {kMax, kTf}) {
      const Settings set = name == kTf ? kSmallTf : Settings{};
      const auto small = filled(name, set),
                 large = create(name, {.num_classes = 5, .img_size = {{96, 128}}, .set = set});
      CHECK(load_weights(*large, small->state_dict(), "another size").clean());
      small->set_input_size({96, 128});
      const NoGrad no_grad;
      const Tensor x = golden_input({1, 3, 96, 128});
      CHECK(test::values_of((*large)(x)) == test::values_of((*small)(x)));
    }
  }
}

TEST_CASE("weight decay spares what MaxViT knows of positions", "[zoo]") {
  const auto spared = [](const ImageModel& m) {
    size_t count = 0;
    for (const NamedParameter& p : m.named_parameters())
      for (const std::string& pattern : m.no_weight_decay()) count += glob_match(pattern, p.name) ? 1 : 0;
    return count;
  };
  CHECK(spared(*filled(kMax)) == 8);                                           // two tables a block
  CHECK(spared(*filled(kCoat, {{"transformer_rel_pos_type", "mlp"}})) == 12);  // of three blocks
}

}  // namespace fovea::zoo
