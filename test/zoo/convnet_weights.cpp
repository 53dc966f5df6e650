// SPDX-License-Identifier: Apache-2.0
// test/zoo/convnet_weights.cpp — weights of convolutional networks as others wrote them: names, shapes, signs.
#include <cstdio>

#include "engine/ops/ops.h"
#include "test/zoo/foreign_weights.h"
#include "weights_tools/rename.h"

namespace fovea::zoo {

TEST_CASE("VGG takes torchvision's weights, whose wide layers are linear", "[zoo]") {
  const ModelOptions narrow{.num_classes = 5, .set = {{"mlp_ratio", "0.01"}}};
  const auto m = create("vgg11", narrow), other = create("vgg11", narrow);
  const StateDict own = filled_weights(*m);
  constexpr Rename rows[] = {
      {"^pre_logits.fc1", "classifier.0"}, {"^pre_logits.fc2", "classifier.3"}, {"^head.fc", "classifier.6"}};
  StateDict theirs = rename(own, rows);
  for (const char* name : {"classifier.0.weight", "classifier.3.weight"}) theirs.set(name, flatten(theirs.at(name), 1));
  REQUIRE(theirs.at("classifier.0.weight").shape() == Shape{40, 25088});
  check_loads(*other, theirs, own);
}

TEST_CASE("DLA leaves out projections that nothing reads", "[zoo]") {
  const auto m = create("dla46x_c"), other = create("dla46x_c");
  const StateDict own = filled_weights(*m);
  StateDict theirs = own;
  theirs.set("level3.project.0.weight", zeros({64, 64, 1, 1}));
  theirs.set("level3.project.1.running_mean", zeros({64}));
  REQUIRE_FALSE(own.contains("level3.project.0.weight"));
  REQUIRE(own.contains("level2.project.0.weight"));
  check_loads(*other, theirs, own);
}

TEST_CASE("TResNet takes its original weights, whose norms' signs do not count", "[zoo]") {
  const ModelOptions small{.num_classes = 5, .set = {{"layers", "1,1,1,1"}, {"width_factor", "0.25"}}};
  const auto m = create("tresnet_m", small), other = create("tresnet_m", small);
  const StateDict own = filled_weights(*m);
  constexpr Rename rows[] = {{"conv#.conv", "conv$1.0.0"},
                             {"conv#.bn", "conv$1.0.1"},
                             {"downsample.#.conv", "downsample.$1.0"},
                             {"downsample.#.bn", "downsample.$1.1"}};
  StateDict theirs = rename(own, rows), want = own;
  for (const std::string& name : own.names()) {
    if (!name.ends_with("bn.weight")) continue;
    theirs.set(rename(name, rows), -own.at(name));
    want.set(name, abs(own.at(name)) + 1e-5);
  }
  REQUIRE(theirs.contains("body.layer2.0.downsample.1.0.weight"));
  check_loads(*other, theirs, want);
}

TEST_CASE("BiT's archives become a ResNetV2", "[zoo]") {
  const ModelOptions small{.num_classes = 5, .set = {{"channels", "128,128,256,256"}}};
  const auto m = create("resnetv2_50x1_bit", small), other = create("resnetv2_50x1_bit", small);
  const StateDict own = filled_weights(*m);
  constexpr Rename rows[] = {{"^stem.conv.weight", "resnet/root_block/standardized_conv2d/kernel"},
                             {"^norm.weight", "resnet/group_norm/gamma"},
                             {"^norm.bias", "resnet/group_norm/beta"},
                             {"^head.fc.weight", "resnet/head/conv2d/kernel"},
                             {"^head.fc.bias", "resnet/head/conv2d/bias"}};
  StateDict theirs;
  for (const auto& [name, t] : own) {
    std::string of = rename(name, rows);
    int stage = 0, block = 0;
    char part[32] = {};
    if (std::sscanf(name.c_str(), "stages.%d.blocks.%d.%31s", &stage, &block, part) == 3) {
      const std::string unit = cat("resnet/block", stage + 1, "/unit0", block + 1, '/'), tail = part;
      const char letter = static_cast<char>('a' + tail[4] - '1');
      if (tail.starts_with("downsample")) of = unit + "a/proj/standardized_conv2d/kernel";
      else if (tail.starts_with("conv")) of = unit + letter + "/standardized_conv2d/kernel";
      else of = unit + letter + (tail.ends_with("weight") ? "/group_norm/gamma" : "/group_norm/beta");
    }
    theirs.set(of, t.rank() == 4 ? contiguous(permute(t, {2, 3, 1, 0})) : t);
  }
  REQUIRE(theirs.contains("resnet/block3/unit06/c/standardized_conv2d/kernel"));
  check_loads(*other, theirs, own);
}

TEST_CASE("Inception-v3 leaves out the auxiliary classifier of torchvision's weights", "[zoo]") {
  const auto m = create("inception_v3.tv_in1k"), other = create("inception_v3.tv_in1k");
  const StateDict own = filled_weights(*m);
  StateDict theirs = own;
  theirs.set("AuxLogits.conv0.conv.weight", zeros({128, 768, 1, 1}));
  theirs.set("AuxLogits.fc.bias", zeros({1000}));
  check_loads(*other, theirs, own);
}

TEST_CASE("HRNet ends at its stem or as a whole, for its branches end together", "[zoo]") {
  const auto m = create("hrnet_w18_small");
  REQUIRE_THROWS_AS(m->prune({.indices = {2}}), Error);
  REQUIRE_THROWS_AS(m->prune({.last = 1}), Error);
  CHECK(m->find("stage4.0.branches") != nullptr);  // nothing went
  CHECK(m->prune({.last = 1, .head = false}) == std::vector<int>{4});
  CHECK(m->prune({.indices = {0}}) == std::vector<int>{0});
  CHECK(m->state_dict().names().size() == 6);
}

}  // namespace fovea::zoo
