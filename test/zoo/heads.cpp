// SPDX-License-Identifier: Apache-2.0
// test/zoo/heads.cpp — weights of other classes, channels or positions than the model's: taken, adapted and said, or
// refused; never replaced in silence.
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

using test::values_of;

// One of every kind of head: linear, behind a norm, behind a hidden layer, two of them.
const std::vector<std::pair<const char*, std::vector<std::string>>> kModels = {
    {"test_resnet", {"fc"}},
    {"test_efficientnet", {"classifier"}},
    {"test_convnext", {"head.fc"}},
    {"test_vit", {"head"}},
    {"mobilenetv3_small_050", {"classifier"}},
    {"regnetx_002", {"head.fc"}},
    {"deit_tiny_distilled_patch16_224", {"head", "head_dist"}}};

template <class F>
void each_model(F f) {
  size_t tried = 0;
  for (const auto& [name, heads] : kModels) {
    if (!is_model(name)) continue;  // a build of some families
    CAPTURE(name);
    f(name, heads);
    ++tried;
  }
  REQUIRE(tried > 0);
}

StateDict weights_of(const char* name, int classes) {
  const auto m = create(name, {.num_classes = classes});
  fill_weights(*m);
  return m->state_dict();
}

bool in_head(const std::string& name, const std::vector<std::string>& heads) {
  for (const std::string& head : heads)
    if (name.starts_with(head + ".")) return true;
  return false;
}

void check_same(const StateDict& a, const StateDict& b, const std::vector<std::string>& without = {}) {
  for (const auto& [name, t] : a) {
    if (in_head(name, without)) continue;
    CAPTURE(name);
    REQUIRE(b.contains(name));
    REQUIRE(values_of(b.at(name)) == values_of(t));
  }
}

std::string told(const LoadReport& r) { return join(r.adapted, "\n"); }

}  // namespace

TEST_CASE("the number of classes is the file's where nobody asked for one", "[zoo]") {
  each_model([](const char* name, const std::vector<std::string>&) {
    const StateDict five = weights_of(name, 5);
    const auto m = create(name);
    REQUIRE(m->num_classes() != 5);
    const LoadReport r = load_weights(*m, five, "five.pth");
    CHECK(r.clean());
    CHECK_THAT(told(r), contains_text("5 classes"));
    CHECK_THAT(r.summary(), contains_text("5 classes"));
    CHECK(m->num_classes() == 5);
    check_same(five, m->state_dict());
    CHECK(load_weights(*m, weights_of(name, 3), "three.pth").clean());  // and open it stays
    CHECK(m->num_classes() == 3);
    CHECK(told(load_weights(*create(name, {.num_classes = 5}), five, "five.pth")).empty());
  });
}

TEST_CASE("other classes than were asked for are refused", "[zoo]") {
  each_model([](const char* name, const std::vector<std::string>&) {
    const StateDict five = weights_of(name, 5);
    const auto asked = create(name, {.num_classes = 7}), later = create(name);
    later->reset_classifier(7);
    for (ImageModel* m : {asked.get(), later.get()}) {
      CHECK_THROWS_WITH(load_weights(*m, five, "five.pth"),
                        contains_text("five.pth is for 5 classes, but 7 of ") && contains_text(name));
      CHECK(m->num_classes() == 7);
      CHECK_FALSE(m->has_bytes());
      const LoadReport r = load_weights(*m, five, "five.pth", {.strict = Strict::no});
      CHECK(r.wrong_shape.size() >= 2);
      CHECK_FALSE(m->has_bytes());  // the head has none, rather than random ones
    }
  });
}

TEST_CASE("fine-tuning drops a classifier of other classes, and says so", "[zoo]") {
  each_model([](const char* name, const std::vector<std::string>& heads) {
    const StateDict five = weights_of(name, 5);
    const auto m = create(name, {.num_classes = 7});
    const LoadReport r = load_weights(*m, five, "five.pth", {.fine_tune = true});
    CHECK(r.clean());
    CHECK_THAT(told(r), contains_text("of 5 classes is dropped") && contains_text("of 7"));
    CHECK(m->has_bytes());
    check_same(five, m->state_dict(), heads);
    for (const std::string& head : heads) CHECK(m->state_dict().at(head + ".weight").dim(0) == 7);
    const auto open = create(name);  // nothing is lost where the number may be the file's
    CHECK(load_weights(*open, five, "five.pth", {.fine_tune = true}).clean());
    check_same(five, open->state_dict());
    const auto none = create(name, {.num_classes = 0});
    CHECK_THAT(told(load_weights(*none, five, "five.pth")), contains_text("of 5 classes is left out"));
  });
}

TEST_CASE("weights without a classifier give features, not answers", "[zoo]") {
  each_model([](const char* name, const std::vector<std::string>& heads) {
    StateDict body = weights_of(name, 5);
    for (const std::string& n : body.names())
      if (in_head(n, heads)) body.erase(n);
    CHECK_THROWS_WITH(load_weights(*create(name), body, "body.pth"),
                      contains_text("body.pth fits") && contains_text("has no classifier"));
    CHECK_THROWS_AS(load_weights(*create(name, {.num_classes = 5}), body, "body.pth", {.headless = true}), Error);
    const auto m = create(name), none = create(name, {.num_classes = 0});
    CHECK_THAT(told(load_weights(*m, body, "body.pth", {.headless = true})), contains_text("no classifier"));
    CHECK(m->num_classes() == 0);
    check_same(body, m->state_dict());
    CHECK(told(load_weights(*none, body, "body.pth")).empty());
    const auto tuned = create(name, {.num_classes = 4});
    CHECK_THAT(told(load_weights(*tuned, body, "body.pth", {.fine_tune = true})), contains_text("no classifier"));
    CHECK(tuned->has_bytes());
    // a file of something else is not excused by what it lacks
    body.erase(body.names().front());
    CHECK_THROWS_WITH(load_weights(*create(name), body, "body.pth", {.headless = true}), contains_text("missing"));
  });
}

TEST_CASE("every family names its classifiers as its models do", "[zoo]") {
  for (const std::string& module : modules()) {
    const std::vector<std::string> names = list({.module = module});
    for (const std::string& name : {names.front(), names.back()}) {
      CAPTURE(name);
      if (create(name, {.num_classes = 3})->num_classes() == 0) continue;  // an encoder, whatever its row says
      const StateDict state = create(name, {.num_classes = 3})->state_dict();
      CHECK(create(name)->classes_left_open());
      for (const std::string& head : split_list(create(name)->pretrained_cfg().classifier)) {
        CAPTURE(head);
        REQUIRE(state.contains(head + ".weight"));
        CHECK(state.at(head + ".weight").dim(0) == 3);
      }
    }
  }
}

TEST_CASE("classifiers that fit in one part only do not pass for others", "[zoo]") {
  StateDict odd = weights_of("test_efficientnet", 5);
  odd.set("classifier.bias", zeros({6}));
  CHECK_THROWS_WITH(load_weights(*create("test_efficientnet"), odd, "odd.pth"), contains_text("classifier.bias"));
  StateDict wide = weights_of("test_efficientnet", 5);
  wide.set("classifier.weight", zeros({5, 7}));
  CHECK_THROWS_WITH(load_weights(*create("test_efficientnet"), wide, "wide.pth"), contains_text("[5, 7]"));
  if (!is_model("deit_tiny_distilled_patch16_224")) return;
  StateDict two = weights_of("deit_tiny_distilled_patch16_224", 5);
  two.set("head_dist.weight", zeros({1000, 192}));
  two.set("head_dist.bias", zeros({1000}));
  CHECK_THROWS_WITH(load_weights(*create("deit_tiny_distilled_patch16_224"), two, "two.pth"),
                    contains_text("head_dist.weight"));
}

TEST_CASE("a model that was changed before keeps its dtype and its wish for gradients", "[zoo]") {
  const auto m = create("test_efficientnet");
  m->set_requires_grad();
  m->to(DType::bf16);
  load_weights(*m, weights_of("test_efficientnet", 5), "five.pth");
  CHECK(m->state_dict().at("classifier.weight").dtype() == DType::bf16);
  for (const Tensor* t : m->parameters()) CHECK(t->requires_grad());
}

TEST_CASE("first convolutions of other channels are adapted, and it is said", "[zoo]") {
  const auto grey = create("test_efficientnet", {.in_chans = 1});
  fill_weights(*grey);
  const auto m = create("test_efficientnet");
  const LoadReport r = load_weights(*m, grey->state_dict(), "grey.pth");
  CHECK(r.clean());
  CHECK_THAT(told(r), contains_text("conv_stem.weight adapted from 1 to 3 input channels"));
  const Tensor one = grey->state_dict().at("conv_stem.weight"), three = m->state_dict().at("conv_stem.weight");
  for (int c = 0; c < 3; ++c)
    CHECK(test::relative_error(values_of(narrow(three, 1, c, 1)), values_of(one * (1.0 / 3))) < 1e-6);
  const auto back = create("test_efficientnet", {.in_chans = 1});
  CHECK_THAT(told(load_weights(*back, m->state_dict(), "rgb.pth")), contains_text("from 3 to 1 input channels"));
}

TEST_CASE("positions for other images are resampled, and it is said", "[zoo]") {
  if (!is_model("test_vit")) return;
  const auto m = create("test_vit", {.img_size = std::array<int, 2>{96, 128}});
  CHECK_THAT(told(load_weights(*m, weights_of("test_vit", 1000), "v.pth")),
             contains_text("position embedding resampled from 10 x 10 to 6 x 8"));
  CHECK(m->load_report().adapted.size() == 1);
}

TEST_CASE("create() with weights keeps what was found", "[zoo]") {
  const test::Scratch scratch;
  write_safetensors(scratch / "w.safetensors", weights_of("test_efficientnet", 5));
  CHECK_THAT(told(create("test_efficientnet", {.weights = scratch / "w.safetensors"})->load_report()),
             contains_text("5 classes"));
  CHECK_THROWS_AS(create("test_efficientnet", {.weights = scratch / "w.safetensors", .num_classes = 3}), Error);
  const auto tuned =
      create("test_efficientnet", {.pretrained = true, .weights = scratch / "w.safetensors", .num_classes = 3});
  CHECK_THAT(told(tuned->load_report()), contains_text("dropped"));
  CHECK(tuned->num_classes() == 3);
}

}  // namespace fovea::zoo
