// SPDX-License-Identifier: Apache-2.0
// test/zoo/swin_transformer.cpp — Swin beyond its figures: windows and their bias for other sizes, older weights, first
// values, training. Numbers are timm's, for weights filled by test/support/fill.h.
#include <cmath>
#include <map>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "train/optim/rules.h"
#include "train/step.h"
#include "zoo/blocks/patch_merging.h"
#include "zoo/blocks/stage_windows.h"
#include "zoo/blocks/windows.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

constexpr const char* kTiny = "swin_tiny_patch4_window7_224";

double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  return reduce(abs(a - b), Reduce::max).item();
}

// Seven blocks of 16 to 128 channels with windows of 4 x 4.
ModelOptions small(std::array<int, 2> image = {64, 64}) {
  return {.num_classes = 5,
          .img_size = image,
          .set = {{"embed_dim", "16"}, {"num_heads", "1,2,4,8"}, {"depths", "2,2,2,1"}, {"window_size", "4"}}};
}
std::unique_ptr<ImageModel> filled(const ModelOptions& o) {
  auto m = create(kTiny, o);
  fill_weights(*m);
  return m;
}

void check_logits(ImageModel& m, const std::array<double, 5>& expected) {
  const NoGrad no_grad;
  const Tensor y = m(golden_input({1, 3, m.input_size()[1], m.input_size()[2]}));
  REQUIRE(y.shape() == Shape{1, 5});
  for (size_t i = 0; i < 5; ++i) CHECK(static_cast<double>(y.data<float>()[i]) == Approx(expected[i]).margin(2e-5));
}

std::vector<std::string> masks(const ImageModel& m) {
  std::vector<std::string> names;
  for (const NamedParameter& b : m.named_buffers())
    if (b.name.ends_with("attn_mask")) names.push_back(b.name);
  return names;
}

struct Moments {
  double mean, deviation, most;
};
Moments moments(const Tensor& t) {
  const auto [variance, mean] = var_mean(reshape(t, {-1}), {0});
  return {mean.item(), std::sqrt(variance.item()), reduce(abs(t), Reduce::max).item()};
}

Tensor table(int rows, double (*value)(int)) {
  Tensor t = empty({rows, 2});
  for (int i = 0; i < 2 * rows; ++i) t.mutable_data<float>()[static_cast<size_t>(i)] = static_cast<float>(value(i));
  return t;
}

void check_table(const Tensor& t, const std::map<int64_t, double>& expected, double sum_of_all) {
  for (const auto& [at, value] : expected)
    CHECK(static_cast<double>(t.data<float>()[static_cast<size_t>(at)]) == Approx(value).margin(2e-5));
  CHECK(sum(t).item() == Approx(sum_of_all).margin(1e-3));
}

}  // namespace

TEST_CASE("the bias of relative positions, for other windows as well", "[zoo]") {
  const Tensor positions = relative_positions({2, 3});
  REQUIRE(positions.shape() == Shape{6, 6});
  const std::span<const int64_t> row = positions.data<int64_t>();
  CHECK(row[0] == 7);  // no offset: the middle of 3 x 5
  CHECK(row[5] == 0);  // from the first token to the last
  CHECK(row[30] == 14);
  CHECK(row[1 * 6 + 3] == 3);  // one down, one left of it
  const Tensor x = table(15, [](int i) { return double(i); });
  const Tensor bias = relative_bias(x, positions);
  REQUIRE(bias.shape() == Shape{2, 6, 6});
  CHECK(select(select(select(bias, 0, 1), 0, 1), 0, 3).item() == 7);

  const Tensor square = table(25, [](int i) { return std::sin(0.7 * i) + 0.1 * i; });
  const Tensor wide = table(21, [](int i) { return std::cos(0.3 * i); });
  check_table(resample_relative_bias(square, 5), {{0, 0.0}, {1, 0.74422}, {4, 0.39515}, {54, 1.65699}, {161, 5.15468}},
              421.78831);
  check_table(resample_relative_bias(square, {2, 4}), {{0, 1.65699}, {1, 2.08817}, {14, 2.99061}, {41, 4.72733}},
              110.78487);
  check_table(resample_relative_bias(square, {1, 7}), {{0, 2.99061}, {8, 2.82811}, {24, 3.48196}, {25, 3.89277}},
              77.37738);
  check_table(resample_relative_bias(wide, {6, 3}, Size2(2, 4)), {{0, 0.82075}, {36, -0.73739}, {109, 0.64222}},
              -25.88923);
  CHECK(distance(resample_relative_bias(wide, {2, 4}), wide) == 0);
  REQUIRE_THROWS_AS(resample_relative_bias(wide, 3), Error);  // of which window?
  REQUIRE_THROWS_AS(resample_relative_bias(wide, 3, Size2(3)), Error);
}

TEST_CASE("windows come back, and shifted ones hide what is far", "[zoo]") {
  const Size2 map(8, 6), window(4, 3), shift = GENERATE(Size2(2, 1), Size2(0, 1), Size2(1, 2));
  const Tensor x = golden_input({2, 8, 6, 5});
  const Tensor tokens = window_partition(x, window);
  REQUIRE(tokens.shape() == Shape{16 / 2, 12, 5});
  CHECK(distance(window_reverse(tokens, window, map), x) == 0);
  CHECK(distance(select(tokens, 0, 1), reshape(slice(slice(select(x, 0, 0), 0, 0, 4), 1, 3, 6), {12, 5})) == 0);

  const Tensor mask = shift_mask(map, window, shift);
  REQUIRE(mask.shape() == Shape{4, 12, 12});
  const std::span<const float> m = mask.data<float>();
  // Before rolling, tokens of one window were less than a window apart.
  const auto before = [&](int i, int token) {
    const int y = i / 2 * window.h + token / window.w, across = i % 2 * window.w + token % window.w;
    return Size2((y + shift.h) % map.h, (across + shift.w) % map.w);
  };
  for (int i = 0; i < 4; ++i)
    for (int a = 0; a < 12; ++a)
      for (int b = 0; b < 12; ++b) {
        const Size2 p = before(i, a), q = before(i, b);
        const bool near = std::abs(p.h - q.h) < window.h && std::abs(p.w - q.w) < window.w;
        CHECK(m[static_cast<size_t>((i * 12 + a) * 12 + b)] == (near ? 0.0f : -100.0f));
      }
}

TEST_CASE("merged patches", "[zoo]") {
  const Tensor x = reshape(from({1, 2, 3, 4, 5, 6, 7, 8, 9}), {1, 3, 3, 1});
  const Tensor y = contiguous(merge_patches(x));
  REQUIRE(y.shape() == Shape{1, 2, 2, 4});
  const std::vector<float> expected{1, 4, 2, 5, 3, 6, 0, 0, 7, 0, 8, 0, 9, 0, 0, 0};
  CHECK(std::vector<float>(y.data<float>().begin(), y.data<float>().end()) == expected);
}

TEST_CASE("windows as a setting", "[zoo]") {
  StageWindows w = 7;
  CHECK(write_setting(w) == "7");
  for (const char* text : {"3", "3x5", "7,7,14,7", "8x4,2,4,3"}) {
    REQUIRE(read_setting(text, w));
    CHECK(write_setting(w) == text);
  }
  REQUIRE(read_setting("3,5", w));
  CHECK(write_setting(w) == "3x5");
  for (const char* text : {"", "0", "7,", "7,7,7", "7x", "a", "-1", "3x5,2"}) CHECK_FALSE(read_setting(text, w));
  REQUIRE_THROWS_AS(create(kTiny, {.set = {{"window_size", "7,7,7"}}}), Error);
}

TEST_CASE("a Swin for images of another size", "[zoo]") {
  const auto moved = [](std::array<int, 2> image, std::optional<int> patch = {}, const WindowOptions& w = {}) {
    auto m = filled(small());
    m->set_input_size(image, patch, w);
    return m;
  };
  REQUIRE_THROWS_AS((*filled(small()))(golden_input({1, 3, 48, 80})), Error);
  check_logits(*moved({48, 80}), {1.11099, 1.15552, -0.12991, -0.12754, 0.77399});
  check_logits(*moved({48, 80}, 2), {0.58489, 0.53518, 0.89944, -0.29298, -0.19926});
  check_logits(*moved({96, 64}, {}, {.sizes = {{3, 5}}}), {0.59457, -0.02967, 0.77577, 0.14014, -0.2292});
  check_logits(*moved({96, 64}, {}, {.sizes = {{8, 8}, {2, 2}, {4, 4}, {3, 3}}}),
               {0.31218, -0.80158, 0.5108, 0.09175, 0.09242});
  check_logits(*moved({80, 64}, {}, {.ratios = {3}}), {0.77887, 1.52451, 1.16391, -0.31303, -0.57038});
  check_logits(*moved({80, 64}, {}, {.ratios = {2, 3, 4, 8}}), {0.40116, 1.28148, 1.29889, -0.55946, -0.77839});
  check_logits(*moved({32, 64}, {}, {.always_partition = true}), {0.85211, -1.79048, 1.09709, 0.32346, -1.40599});
  auto twice = moved({96, 64}, {}, {.sizes = {{6, 6}}});
  twice->set_input_size({64, 96});  // from now on in proportion to that
  check_logits(*twice, {0.61858, 0.17255, 0.67093, 0.26696, 0.60571});
}

TEST_CASE("what does not fit leaves a Swin as it is", "[zoo]") {
  auto m = filled(small());
  CHECK(masks(*m) == std::vector<std::string>{"layers.0.blocks.1.attn_mask", "layers.1.blocks.1.attn_mask"});
  const Tensor image = golden_input({1, 3, 64, 64});
  const NoGrad no_grad;
  const Tensor before = (*m)(image);
  REQUIRE_THROWS_AS(m->set_input_size({96, 96}, {}, {.sizes = {{3, 3}, {3, 3}}}), Error);
  REQUIRE_THROWS_AS(m->set_input_size({96, 96}, {}, {.sizes = {{3, 0}}}), Error);
  REQUIRE_THROWS_AS(m->set_input_size({96, 96}, {}, {.ratios = {0}}), Error);
  REQUIRE_THROWS_AS(m->set_input_size({3, 96}), Error);
  m->set_input_size({64, 64});
  CHECK(distance((*m)(image), before) == 0);
  m->set_input_size({16, 16}, {}, {.sizes = {{4, 4}}});  // nothing left to shift
  CHECK(masks(*m).empty());
  m->set_input_size({64, 64}, {}, {.sizes = {{4, 4}}});
  CHECK(masks(*m).size() == 2);
  REQUIRE_THROWS_AS(create("test_vit")->set_input_size({160, 160}, {}, {.sizes = {{4, 4}}}), Error);

  ModelOptions o = small();
  o.set.emplace_back("dynamic_img_size", "true");
  auto dynamic = filled(o);
  CHECK(masks(*dynamic).empty());
  CHECK(distance((*dynamic)(image), before) == 0);
  CHECK((*dynamic)(golden_input({2, 3, 36, 100})).shape() == Shape{2, 5});
  REQUIRE_THROWS_AS((*dynamic)(golden_input({1, 3, 33, 64})), Error);
}

TEST_CASE("older weights and other windows of a Swin", "[zoo]") {
  const NoGrad no_grad;
  auto m = filled(small());
  StateDict old;
  for (const auto& [name, t] : m->state_dict()) {
    std::string theirs = name;
    if (const size_t at = theirs.find(".downsample"); at != std::string::npos) --theirs[at - 1];
    if (theirs.starts_with("head.fc.")) theirs = "head." + theirs.substr(8);
    old.set(theirs, t);
    if (theirs.ends_with("qkv.weight")) {
      const std::string block = theirs.substr(0, theirs.size() - std::string("qkv.weight").size());
      old.set(block + "relative_position_index", zeros({16, 16}, DType::i64));
    }
  }
  old.set("layers.0.blocks.1.attn_mask", zeros({16, 16, 16}));
  REQUIRE(old.contains("layers.2.downsample.reduction.weight"));
  auto again = create(kTiny, small());
  REQUIRE(load_weights(*again, old, "Microsoft's names").clean());
  const Tensor image = golden_input({1, 3, 64, 64});
  CHECK(distance((*again)(image), (*m)(image)) == 0);

  auto wide = create(kTiny, small({64, 96}));  // the same windows, but for the last: 2 x 3 instead of 2 x 2
  REQUIRE(load_weights(*wide, m->state_dict(), "other windows").clean());
  auto moved = filled(small());
  moved->set_input_size({64, 96}, {}, {.sizes = {{4, 4}}});
  const Tensor broad = golden_input({1, 3, 64, 96});
  CHECK(distance((*wide)(broad), (*moved)(broad)) < 1e-6);

  ModelOptions o = small();
  o.set.emplace_back("patch_size", "2");
  auto fine = create(kTiny, o);
  REQUIRE(load_weights(*fine, m->state_dict(), "other patches").clean());
  const Tensor kernel = fine->state_dict().at("patch_embed.proj.weight");
  CHECK(distance(kernel, resample_patch_kernel(m->state_dict().at("patch_embed.proj.weight"), 2)) == 0);
}

TEST_CASE("feature maps and heads of a Swin", "[zoo]") {
  const NoGrad no_grad;
  auto m = filled(small({64, 96}));
  const Tensor image = golden_input({2, 3, 64, 96});
  const Intermediates maps = m->forward_intermediates(image, {.indices = {1, -1}, .norm = true});
  REQUIRE(maps.features.at(0).shape() == Shape{2, 32, 8, 12});
  CHECK(distance(permute(maps.features.at(1), {0, 2, 3, 1}), maps.final) == 0);
  const Intermediates raw = m->forward_intermediates(image, {.indices = {1}, .stop_early = true, .nchw = false});
  CHECK(distance(permute(raw.features.at(0), {0, 3, 1, 2}), maps.features.at(0)) == 0);
  CHECK(distance(raw.final, raw.features.at(0)) == 0);
  m->reset_classifier(3, "max");
  fill_weights(*m);
  CHECK((*m)(image).shape() == Shape{2, 3});
  m->reset_classifier(0, "");
  CHECK((*m)(image).shape() == Shape{2, 2, 3, 128});
  FeatureNet net = features(std::move(m), {.indices = {0, 2}});
  CHECK(net.info().at(1).module == "layers.2");
  CHECK(net.info().at(1).reduction == 16);
  CHECK(net(image).at(1).shape() == Shape{2, 4, 6, 64});  // as timm's
}

TEST_CASE("parameters of a Swin by layer", "[zoo]") {
  const auto m = create(kTiny);
  std::map<std::string, int> fine, coarse;
  for (const auto& [name, number] : layer_numbers(*m)) fine[name] = number;
  for (const auto& [name, number] : layer_numbers(*m, true)) coarse[name] = number;
  const std::map<std::string, std::array<int, 2>> expected = {
      {"patch_embed.norm.bias", {0, 0}},
      {"layers.0.blocks.1.attn.relative_position_bias_table", {2, 1}},
      {"layers.1.downsample.reduction.weight", {3, 2}},
      {"layers.1.blocks.0.norm1.weight", {3, 2}},
      {"layers.3.downsample.norm.weight", {11, 4}},
      {"layers.3.blocks.1.mlp.fc2.bias", {12, 4}},
      {"norm.weight", {12, 5}},
      {"head.fc.weight", {13, 5}}};
  for (const auto& [name, numbers] : expected) {
    INFO(name);
    CHECK(fine.at(name) == numbers[0]);
    CHECK(coarse.at(name) == numbers[1]);
  }
  CHECK(m->no_weight_decay() == std::vector<std::string>{"relative_position_bias_table"});
}

TEST_CASE("first values of a Swin", "[zoo]") {
  const auto values = [](const char* how) {
    auto m = create(kTiny, {.set = {{"depths", "2,2,2,2"}, {"weight_init", how}}});
    m->materialise(3);
    return m->state_dict();
  };
  const char* qkv = "layers.2.blocks.1.attn.qkv.weight";
  const StateDict timm = values("timm"), jax = values("jax_nlhb"), moco = values("moco"), reset = values("reset");
  for (const char* name : {qkv, "layers.2.downsample.reduction.weight", "head.fc.weight"})
    CHECK(moments(timm.at(name)).deviation == Approx(0.02).epsilon(0.01));
  CHECK(moments(timm.at("head.fc.bias")).most == 0);
  CHECK(moments(timm.at("patch_embed.norm.weight")).deviation == 0);
  CHECK(moments(timm.at("patch_embed.proj.weight")).deviation == Approx(0.0835).epsilon(0.03));
  CHECK(moments(jax.at("patch_embed.proj.weight")).deviation == Approx(0.146).epsilon(0.03));
  CHECK(moments(jax.at("head.fc.bias")).mean == Approx(-6.90775));
  CHECK(moments(jax.at(qkv)).deviation == Approx(0.03607).epsilon(0.01));
  CHECK(moments(moco.at(qkv)).most == Approx(0.08839).epsilon(0.001));
  CHECK(moments(reset.at(qkv)).most == Approx(0.05103).epsilon(0.001));
  for (const StateDict* w : {&timm, &jax, &moco, &reset}) {
    const Moments bias = moments(w->at("layers.2.blocks.1.attn.relative_position_bias_table"));
    CHECK(bias.deviation == Approx(0.02).epsilon(0.05));
    CHECK(std::abs(bias.mean) < 2e-3);
  }
}

TEST_CASE("gradients of a Swin are PyTorch's", "[zoo]") {
  ModelOptions o = small({56, 40});  // pads all maps, shifts the first two
  o.drop_path_rate = 0.0f;
  auto m = filled(o);
  m->train().set_requires_grad();
  const Tensor loss =
      cross_entropy((*m)(golden_input({2, 3, 56, 40})), from<int64_t>(std::array<int64_t, 2>{1, 3}, {2}));
  CHECK(loss.item() == Approx(1.2309246).margin(1e-5));
  backward(loss);
  const std::map<std::string, double> expected = {{"patch_embed.proj.weight", 4.415478},
                                                  {"patch_embed.norm.bias", 1.818624},
                                                  {"layers.0.blocks.1.attn.relative_position_bias_table", 0.130147},
                                                  {"layers.1.downsample.reduction.weight", 4.752187},
                                                  {"layers.1.blocks.1.attn.qkv.weight", 1.622813},
                                                  {"layers.2.blocks.0.attn.relative_position_bias_table", 0.103731},
                                                  {"layers.3.blocks.0.mlp.fc2.bias", 0.340867}};
  size_t seen = 0;
  for (const NamedParameter& p : m->named_parameters()) {
    INFO(p.name);
    REQUIRE(p.tensor().grad());
    if (const auto e = expected.find(p.name); e != expected.end()) {
      ++seen;
      CHECK(std::sqrt(sum(square(p.tensor().grad())).item()) == Approx(e->second).epsilon(2e-4));
    }
  }
  CHECK(seen == expected.size());
}

TEST_CASE("a Swin trains the same eagerly, as a graph and with checkpointing", "[zoo]") {
  const Tensor images = golden_input({2, 3, 56, 40}), targets = from<int64_t>(std::array<int64_t, 2>{1, 3}, {2});
  enum How { eagerly, checkpointing, traced };
  const auto trained = [&](How how, const char* any_size) {
    ModelOptions o = small({56, 40});
    o.drop_rate = 0.1f;
    o.drop_path_rate = 0.3f;
    o.checkpointing = how == checkpointing;
    for (const char* rate : {"attn_drop_rate", "proj_drop_rate"}) o.set.emplace_back(rate, "0.1");
    o.set.emplace_back("dynamic_img_size", any_size);
    auto m = filled(o);
    m->train().set_requires_grad();
    train::Optimizer optimizer(train::rule("momentum", {{"momentum", 0}}), *m, 0.1);
    train::Step step(*m, optimizer, {.seed = 3});
    if (how == traced) step.compile();
    CHECK(std::isfinite(step({images, targets})));
    return m->state_dict();
  };
  const char* any_size = GENERATE("false", "true");
  const StateDict one = trained(eagerly, any_size), two = trained(checkpointing, any_size),
                  three = trained(traced, any_size), start = filled(small({56, 40}))->state_dict();
  for (const auto& [name, t] : one) {
    INFO(name);
    CHECK(distance(t, two.at(name)) == 0);
    CHECK(distance(t, three.at(name)) < 1e-5);
  }
  const std::string bias = "layers.1.blocks.1.attn.relative_position_bias_table";
  CHECK(distance(one.at(bias), start.at(bias)) > 1e-5);
}

}  // namespace fovea::zoo
