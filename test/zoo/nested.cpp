// SPDX-License-Identifier: Apache-2.0
// test/zoo/nested.cpp — CoaT, NesT and Twins beyond their figures: parameters that several blocks share, weights as
// others wrote them, what is refused.
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/zoo/foreign_weights.h"

namespace fovea::zoo {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

const Settings kCoat{{"embed_dims", "16,24,24,24"}, {"serial_depths", "1,1,1,1"}, {"parallel_depth", "2"}},
    kLite{{"embed_dims", "16,24,32,40"}, {"serial_depths", "2,1,1,1"}},
    kNest{{"embed_dims", "16,32,48"}, {"num_heads", "1,2,4"}, {"depths", "1,1,1"}};

std::unique_ptr<ImageModel> small(const char* name, const Settings& set, int side = 64) {
  return create(name, {.num_classes = 5, .img_size = {{side, side}}, .set = set});
}

}  // namespace

TEST_CASE("blocks of CoaT share what tells where tokens are", "[zoo]") {
  const auto m = small("coat_lite_tiny", kLite);
  fill_weights(*m);
  const StateDict state = m->state_dict();
  const auto shared = [&](const char* name) { return test::values_of(state.at(name)); };
  CHECK(shared("cpe1.proj.weight") == shared("serial_blocks1.1.cpe.proj.weight"));
  CHECK(shared("crpe1.conv_list.2.bias") == shared("serial_blocks1.0.factoratt_crpe.crpe.conv_list.2.bias"));
  size_t named = 0;
  for (const NamedParameter& p : m->named_parameters()) named += p.name.find("cpe") != std::string::npos ? 1 : 0;
  CHECK(named == 4 * 2);  // once each, under the model's own names

  m->set_requires_grad();
  backward(mean((*m)(golden_input({2, 3, 64, 64}))));
  for (const NamedParameter& p : m->named_parameters()) {
    INFO(p.name);
    CHECK(static_cast<bool>(p.tensor().grad()));
  }
}

TEST_CASE("CoaT of its authors has norms that nobody reads", "[zoo]") {
  for (const bool lite : {true, false}) {
    const auto filled = small(lite ? "coat_lite_tiny" : "coat_tiny", lite ? kLite : kCoat),
               other = small(lite ? "coat_lite_tiny" : "coat_tiny", lite ? kLite : kCoat);
    const StateDict own = filled_weights(*filled);
    StateDict theirs = own;
    theirs.set("norm1.weight", zeros({16}));
    theirs.set("norm1.bias", zeros({16}));
    if (lite) theirs.set("aggregate.weight", zeros({1, 3, 1})), theirs.set("norm2.weight", zeros({24}));
    check_loads(*other, theirs, own);
  }
}

TEST_CASE("CoaT says what it cannot be", "[zoo]") {
  const auto refused = [](const Settings& set, std::optional<std::string> pool = {}) {
    CHECK_THROWS_AS(create("coat_tiny", {.global_pool = pool, .set = set}), Error);
  };
  refused({{"embed_dims", "16,24,24,32"}});
  refused({{"mlp_ratios", "4,4,2,4"}});
  refused({{"crpe_window", "3:2,5:3"}});
  refused({{"crpe_window", "3:2,5:3,x:3"}});
  refused({}, "max");
  refused({}, "");
  CHECK(create("coat_tiny", {.set = {{"crpe_window", "3"}}})->find("crpe2.conv_list")->children().size() == 1);
  const auto m = small("coat_tiny", kCoat);
  CHECK_THROWS_AS(m->reset_classifier(3, ""), Error);
  m->prune({.indices = {1}});  // all scales run, but nothing makes one of three
  fill_weights(*m);
  const NoGrad no_grad;
  const Tensor features = m->forward_features(golden_input({1, 3, 64, 64}));
  CHECK(features.shape() == Shape{1, 24 * (65 + 17 + 5)});
  CHECK_THROWS_AS(m->forward_head(features), Error);
}

TEST_CASE("positions of NesT for other images", "[zoo]") {
  const auto filled = small("nest_tiny", kNest, 64), other = small("nest_tiny", kNest, 96);
  const StateDict own = filled_weights(*filled);
  CHECK(load_weights(*other, own, "another size").clean());
  // Positions that are the same everywhere stay so.
  StateDict flat = own;
  flat.set("levels.1.pos_embed", full(own.at("levels.1.pos_embed").shape(), 3));
  CHECK(load_weights(*other, flat, "another size").clean());
  const Tensor positions = other->state_dict().at("levels.1.pos_embed");
  CHECK(positions.shape() == Shape{1, 4, 36, 32});
  CHECK(reduce(abs(positions - 3), Reduce::max).item() < 1e-5);
  // A ramp from the left to the right goes on over the borders of blocks, as nearly as cubic curves keep it.
  Tensor ramp = zeros({1, 4, 16, 32});
  const std::span<float> r = ramp.mutable_data<float>();
  for (size_t i = 0; i < r.size(); ++i) r[i] = static_cast<float>(i / (16 * 32) % 2 * 4 + i / 32 % 4);
  flat.set("levels.1.pos_embed", ramp);
  CHECK(load_weights(*other, flat, "another size").clean());
  const Tensor wide = other->state_dict().at("levels.1.pos_embed");  // 12 columns for 8
  const auto at = [&](int64_t block, int64_t token) {
    return select(select(select(select(wide, 0, 0), 0, block), 0, token), 0, 5).item();
  };
  for (int64_t column = 3; column < 9; ++column)
    CHECK(at(column / 6, 6 * 2 + column % 6) == Approx((static_cast<double>(column) + 0.5) / 1.5 - 0.5).margin(0.05));
}

TEST_CASE("NesT says what it cannot be", "[zoo]") {
  CHECK_THROWS_AS(create("nest_tiny", {.img_size = {{64, 96}}}), Error);
  CHECK_THROWS_AS(create("nest_tiny", {.img_size = {{72, 72}}}), Error);
  CHECK_THROWS_AS(create("nest_tiny", {.set = {{"weight_init", "ones"}}}), Error);
  const auto m = small("nest_tiny", kNest);
  fill_weights(*m);
  const NoGrad no_grad;
  CHECK_THROWS_AS((*m)(golden_input({1, 3, 96, 96})), Error);
}

}  // namespace fovea::zoo
