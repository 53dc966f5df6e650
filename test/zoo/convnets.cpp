// SPDX-License-Identifier: Apache-2.0
// test/zoo/convnets.cpp — ResNet, RegNet and DenseNet beyond their figures: options, names, training, bad input.
#include <cmath>
#include <map>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

std::vector<int> reductions(ImageModel& m) {
  std::vector<int> r;
  for (const FeatureInfo& level : m.feature_info()) r.push_back(level.reduction);
  return r;
}

double deviation(const Tensor& t) {
  const std::span<const float> v = t.data<float>();
  double sum = 0, squares = 0;
  for (const float x : v) sum += static_cast<double>(x), squares += static_cast<double>(x) * static_cast<double>(x);
  const double n = static_cast<double>(v.size());
  return std::sqrt(squares / n - sum / n * (sum / n));
}
const Tensor& parameter(const StateDict& d, std::string_view name) {
  const Tensor* t = d.find(name);
  REQUIRE(t);
  return *t;
}

Shape shape_of_logits(ImageModel& m) {
  const Graph g = trace(m, {.batch = 2, .height = 96, .width = 64});
  return g.meta(g.outputs[0]).shape;
}

Tensor filled_logits(ImageModel& m, const Tensor& image) {
  fill_weights(m);
  const NoGrad no_grad;
  return m(image);
}

}  // namespace

TEST_CASE("output strides of networks that dilate", "[zoo]") {
  for (const char* name : {"resnet18", "resnet50d", "resnetblur50", "resnetaa50", "senet154", "regnetx_002",
                           "regnetv_064", "regnetz_005"}) {
    CAPTURE(name);
    REQUIRE(reductions(*create(name)) == std::vector<int>{2, 4, 8, 16, 32});
    REQUIRE(reductions(*create(name, {.output_stride = 16})) == std::vector<int>{2, 4, 8, 16, 16});
    REQUIRE(reductions(*create(name, {.output_stride = 8})) == std::vector<int>{2, 4, 8, 8, 8});
    REQUIRE(create(name, {.output_stride = 8})->parameter_count() == create(name)->parameter_count());
  }
  REQUIRE_THROWS_AS(create("densenet121", {.output_stride = 16}), Error);
  // timm's modules differ in how far they go
  for (const char* name : {"efficientnet_b0", "mobilenetv3_small_050"}) {
    CAPTURE(name);
    REQUIRE(reductions(*create(name, {.output_stride = 4})) == std::vector<int>{2, 4, 4, 4, 4});
    REQUIRE(reductions(*create(name, {.output_stride = 2})) == std::vector<int>{2, 2, 2, 2, 2});
    REQUIRE_THROWS_AS(create(name, {.output_stride = 1}), Error);
  }
  for (const char* name : {"resnet18", "regnetx_002", "convnext_atto"})
    REQUIRE_THROWS_AS(create(name, {.output_stride = 4}), Error);
}

TEST_CASE("channels, classes and pooling of convolutional networks", "[zoo]") {
  for (const char* name : {"test_resnet", "regnetx_002", "densenet121"}) {
    CAPTURE(name);
    const auto m = create(name, {.num_classes = 7, .in_chans = 1, .global_pool = "catavgmax"});
    REQUIRE(shape_of_logits(*m) == Shape{2, 7});
    REQUIRE(m->head_hidden_size() == 2 * m->num_features());
    m->reset_classifier(0, "");
    REQUIRE(shape_of_logits(*m) == Shape{2, m->num_features(), 3, 2});
    m->reset_classifier(3, "max");
    REQUIRE(m->global_pool() == "max");
    REQUIRE(shape_of_logits(*m) == Shape{2, 3});
    REQUIRE(m->find(m->classifier_name()) != nullptr);
    REQUIRE_THROWS_AS(m->reset_classifier(-1), Error);
  }
}

TEST_CASE("first values of convolutional networks are timm's", "[zoo]") {
  const auto resnet = create("resnet18"), regnet = create("regnetx_002"), dense = create("densenet121");
  for (ImageModel* m : {resnet.get(), regnet.get(), dense.get()}) m->materialise(7);
  const StateDict r = resnet->state_dict(), g = regnet->state_dict(), d = dense->state_dict();
  REQUIRE(deviation(parameter(r, "layer3.0.conv2.weight")) == Approx(std::sqrt(2.0 / (256 * 9))).epsilon(0.01));
  REQUIRE(deviation(parameter(r, "fc.weight")) == Approx(1 / std::sqrt(3.0 * 512)).epsilon(0.01));
  REQUIRE(deviation(parameter(g, "s4.b2.conv2.conv.weight")) == Approx(std::sqrt(2.0 / (8 * 9))).epsilon(0.02));
  REQUIRE(deviation(parameter(g, "head.fc.weight")) == Approx(0.01).epsilon(0.01));
  REQUIRE(deviation(parameter(d, "features.denseblock4.denselayer9.conv2.weight")) ==
          Approx(std::sqrt(2.0 / (128 * 9))).epsilon(0.02));
  for (const Tensor* silent :
       {&parameter(r, "layer4.1.bn2.weight"), &parameter(g, "s1.b1.conv3.bn.weight"), &parameter(d, "classifier.bias")})
    for (const float v : silent->data<float>()) REQUIRE(v == 0);
  for (const float v : parameter(r, "layer4.1.bn1.weight").data<float>()) REQUIRE(v == 1);
  const auto z = create("regnetz_005");                // keeps its branches loud
  REQUIRE(z->find("s1.b1.conv3.bn")->own_parameters()[0].slot().init == init::ones());
}

TEST_CASE("torchvision's names of RegNet and DenseNet are understood", "[zoo]") {
  const std::vector<std::pair<std::string, std::string>> parts = {
      {"stem.conv", "stem.0"}, {"stem.bn", "stem.1"}, {"conv1.conv", "f.a.0"},       {"conv1.bn", "f.a.1"},
      {"conv2.conv", "f.b.0"}, {"conv2.bn", "f.b.1"}, {"se.fc1", "f.se.fc1"},        {"se.fc2", "f.se.fc2"},
      {"conv3.conv", "f.c.0"}, {"conv3.bn", "f.c.1"}, {"downsample.conv", "proj.0"}, {"downsample.bn", "proj.1"},
      {"head.fc", "fc"}};
  const auto regnet = create("regnety_002"), other = create("regnety_002");
  regnet->materialise(1);
  StateDict foreign;
  for (const auto& [name, t] : regnet->state_dict()) {
    std::string theirs = name;
    for (const auto& [ours, with] : parts)
      if (const size_t at = theirs.find(ours + "."); at != std::string::npos) theirs.replace(at, ours.size(), with);
    if (theirs[0] == 's' && theirs[2] == '.') {        // s3.b2.x -> trunk_output.block3.block3-1.x
      const size_t dot = theirs.find('.', 3);
      const int block = std::stoi(theirs.substr(4, dot - 4)) - 1;
      theirs = str_cat("trunk_output.block", theirs[1], ".block", theirs[1], "-", block, theirs.substr(dot));
    }
    foreign.set(theirs, t);
  }
  REQUIRE(foreign.contains("trunk_output.block4.block4-6.f.c.1.running_var"));
  REQUIRE(load_weights(*other, foreign, "torchvision").clean());
  REQUIRE(other->state_dict().find("s2.b1.downsample.conv.weight")->data<float>()[5] ==
          regnet->state_dict().find("s2.b1.downsample.conv.weight")->data<float>()[5]);

  const auto dense = create("densenet121"), twin = create("densenet121");
  dense->materialise(1);
  StateDict dotted;
  for (const auto& [name, t] : dense->state_dict()) {
    std::string theirs = name;
    for (const char* part : {"norm1", "norm2", "conv1", "conv2"})
      if (const size_t at = theirs.find(str_cat(".", part, "."));
          at != std::string::npos && theirs.find("denselayer") != std::string::npos)
        theirs.insert(at + 5, ".");
    dotted.set(theirs, t);
  }
  REQUIRE(dotted.contains("features.denseblock1.denselayer1.norm.1.weight"));
  REQUIRE(load_weights(*twin, dotted, "torchvision").clean());
}

TEST_CASE("names of SEER checkpoints are understood", "[zoo]") {
  StateDict seer;
  const auto put = [&](const char* name, const Shape& shape = {1}) {
    seer.set(str_cat("classy_state_dict.base_model.model.", name), zeros(shape));
  };
  put("trunk._feature_blocks.conv1.stem.0.weight");
  put("trunk._feature_blocks.res2.block1-0.f.final_bn.weight");
  put("trunk._feature_blocks.res2.block1-0.f.se.excitation.2.bias");
  put("trunk._feature_blocks.res5.block4-11.proj.weight");
  put("trunk._feature_blocks.res5.block4-0.bn.bias");
  put("heads.0.clf.0.weight", {1000, 1});
  put("heads.1.projection_head.weight");
  const auto m = create("regnety_002");
  const StateDict ours = adapt_weights(*m, seer);
  for (const char* name : {"stem.conv.weight", "s1.b1.conv3.bn.weight", "s1.b1.se.fc2.bias",
                           "s4.b12.downsample.conv.weight", "s4.b1.downsample.bn.bias", "head.fc.weight"}) {
    CAPTURE(name);
    REQUIRE(ours.contains(name));
  }
  REQUIRE(ours.size() == 6);
}

TEST_CASE("a convolutional network trains: dropped paths and blocks, recomputed stages", "[zoo]") {
  const Tensor image = golden_input({2, 3, 64, 64});
  const auto loss_of = [&](bool recompute) {
    const auto m = create(
        "test_resnet",
        {.num_classes = 5, .drop_path_rate = 0.5f, .checkpointing = recompute, .set = {{"drop_block_rate", "0.2"}}});
    fill_weights(*m);
    m->train();
    m->seed(3);
    m->set_requires_grad();
    const Tensor loss = mean(square((*m)(image)));
    backward(loss);
    std::pair<double, double> r{loss.item(), 0.0};
    for (const NamedParameter& p : m->named_parameters())
      if (p.name == "conv1.0.weight") r.second = norm(p.tensor().grad(), {}).item();
    return r;
  };
  const auto [loss, slope] = loss_of(false);
  const auto [again, same_slope] = loss_of(true);
  REQUIRE(std::isfinite(loss));
  REQUIRE(slope > 0);
  REQUIRE(again == Approx(loss));
  REQUIRE(same_slope == Approx(slope));
}

TEST_CASE("settings of convolutional networks that make no network", "[zoo]") {
  const auto refused = [](const char* name, const char* setting, const char* value) {
    CAPTURE(name, setting, value);
    REQUIRE_THROWS_AS(create(name, {.set = {{setting, value}}}), Error);
  };
  refused("resnet18", "groups", "2");
  refused("resnet18", "block", "round");
  refused("resnet18", "block", "basic,basic");
  refused("resnet50", "reduce_first", "0");
  refused("resnet50", "stem", "tall");
  refused("resnet50", "attention", "deficit");
  refused("resnet50", "drop_block_rate", "2");
  refused("ecaresnet50d", "pruned", "19: 47 18");
  refused("regnetx_002", "depth", "5");
  refused("regnetx_002", "w0", "13");
  refused("regnetx_002", "wm", "1");
  refused("regnetx_002", "group_size", "0");
  refused("densenet121", "growth", "0");
}

TEST_CASE("settings change convolutional networks", "[zoo]") {
  const Tensor image = golden_input({1, 3, 64, 64});
  const auto plain = create("test_resnet"),
             mish = create("test_resnet", {.set = {{"act", "mish"}, {"attention", "se"}}});
  REQUIRE(mish->parameter_count() > plain->parameter_count());
  const Tensor a = filled_logits(*plain, image), b = filled_logits(*mish, image);
  REQUIRE(a.data<float>()[0] != b.data<float>()[0]);
  const auto narrow =
      create("densenet121",
             {.set = {{"growth", "8"}, {"stem", "tiered"}, {"anti_alias", "blur"}, {"blur_transitions", "true"}}});
  REQUIRE(narrow->num_features() == 256);
}

}  // namespace fovea::zoo
