// SPDX-License-Identifier: Apache-2.0
// test/zoo/prune.cpp — models of all families that end at one of their levels: what is left is what timm leaves.
#include <algorithm>

#include "engine/autograd/autograd.h"
#include "engine/graph/graph.h"
#include "engine/ops/ops.h"
#include "test/golden/runner/figures.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/support/recorded.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

using nlohmann::json;

std::unique_ptr<ImageModel> filled(const std::string& name, const ModelOptions& o = {}) {
  auto m = create(name, o);
  fill_weights(*m);
  return m;
}

// Of what comes out for images of that size.
Shape traced_shape(ImageModel& m, const Shape& image) {
  const Graph g = trace(
      m,
      {.batch = static_cast<int>(image[0]), .height = static_cast<int>(image[2]), .width = static_cast<int>(image[3])});
  return g.meta(g.outputs.at(0)).shape;
}

PruneOptions recorded_request(const json& arguments) {
  PruneOptions o;
  for (const auto& [key, v] : arguments.items()) {
    if (key == "indices" && v.is_array()) o.indices = v.get<std::vector<int>>();
    else if (key == "indices") o.last = v.get<int>();
    else if (key == "prune_norm") o.norm = v.get<bool>();
    else if (key == "prune_head") o.head = v.get<bool>();
    else FAIL("no option stands for " << key);
  }
  return o;
}

std::vector<std::string> without(std::vector<std::string> names, const std::vector<std::string>& modules) {
  for (const std::string& module : modules)
    REQUIRE(std::erase_if(names, [&](const std::string& n) { return n == module || n.starts_with(module + "."); }) > 0);
  return names;
}

// What `m` has and `before` lacks, with its shape.
json added_to(const StateDict& before, const ImageModel& m) {
  json added = json::object();
  for (const auto& [name, t] : m.state_dict())
    if (const Tensor* old = before.find(name); !old || old->shape() != t.shape())
      added[name] = std::vector<int64_t>(t.shape().begin(), t.shape().end());
  return added;
}

void check_row(const json& c, const json& row) {
  const auto m = filled(c.at("name").get<std::string>(), recorded_options(c));
  const auto size = c.at("input").get<std::array<int64_t, 4>>();
  const Tensor image = golden_input({size[0], size[1], size[2], size[3]});
  const std::vector<std::string> before = m->state_dict().names();
  CHECK(m->prune(recorded_request(row.at("arguments"))) == row.at("take").get<std::vector<int>>());
  const StateDict after = m->state_dict();
  CHECK(after.names() == without(before, row.at("lost").get<std::vector<std::string>>()));
  CHECK(m->num_features() == row.at("num_features").get<int>());
  CHECK(m->head_hidden_size() == row.at("head_hidden_size").get<int>());
  CHECK(golden::compare("output", row.at("output"), (*m)(image), row.at("tol").get<double>()) == "");
  m->reset_classifier(5, c.at("pool").get<std::string>());
  CHECK(added_to(after, *m) == row.at("back"));
  CHECK(traced_shape(*m, image.shape()) == Shape{size[0], 5});
}

}  // namespace

TEST_CASE("pruned models are timm's", "[zoo]") {
  const NoGrad no_grad;
  for (const json& c : recorded_cases("levels")) {
    const auto name = c.at("name").get<std::string>();
    for (const json& row : c.at("prune")) {
      INFO(name << " " << row.at("arguments").dump());
      check_row(c, row);
    }
  }
}

TEST_CASE("a pruned model has the levels that it kept, and can be cut again", "[zoo]") {
  const NoGrad no_grad;
  const auto whole = filled("test_efficientnet"), cut = create("test_efficientnet");
  const std::vector<FeatureInfo> levels = whole->feature_info();
  CHECK(cut->prune({.indices = {-2}}) == std::vector<int>{3});
  CHECK(cut->feature_info().size() == 4);
  CHECK(cut->feature_info(TapKind::expansion).size() == 4);
  CHECK(cut->prune({.indices = {1, 0}}) == std::vector<int>{1, 0});
  fill_weights(*cut);
  const Tensor image = golden_input({1, 3, 64, 64});
  const Intermediates all = whole->forward_intermediates(image), left = cut->forward_intermediates(image);
  REQUIRE(left.features.size() == 2);
  for (size_t i = 0; i < 2; ++i) CHECK(reduce(abs(all.features[i] - left.features[i]), Reduce::max).item() == 0);
  CHECK(left.final.shape() == left.features[1].shape());
  CHECK(cut->feature_info()[1].module == levels[1].module);
  CHECK(cut->prune({.last = 0, .head = false}) == std::vector<int>{0, 1});
  REQUIRE_THROWS_AS(cut->prune({.indices = {2}}), Error);
  REQUIRE_THROWS_AS(cut->prune({.last = 3}), Error);
}

TEST_CASE("what a pruned model lost takes no memory", "[zoo]") {
  const auto m = filled("test_resnet");
  const Param lost = m->find("layer4.0.conv1")->own_parameters().at(0),
              kept = m->find("layer1.0.conv1")->own_parameters().at(0);
  m->prune({.indices = {1}});
  CHECK_FALSE(lost->has_bytes());
  CHECK(kept->has_bytes());
  CHECK(m->find("layer4.0") == nullptr);
}

TEST_CASE("pruned models take other image sizes as whole ones do", "[zoo]") {
  const NoGrad no_grad;
  const char* swin = "swin_tiny_patch4_window7_224";
  const auto cut = create(swin, {.img_size = std::array{64, 64}});
  cut->prune({.indices = {1}});
  cut->set_input_size({96, 128});
  CHECK(traced_shape(*cut, {1, 3, 96, 128}) == Shape{1, 12, 16, 192});
  CHECK(cut->feature_info().size() == 2);
}

}  // namespace fovea::zoo
