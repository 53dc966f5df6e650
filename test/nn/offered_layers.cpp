// SPDX-License-Identifier: Apache-2.0
// test/nn/offered_layers.cpp — layers that timm offers though no architecture has them unasked, against its figures.
#include <cmath>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers/channel_attention.h"
#include "nn/layers/evo_norm.h"
#include "nn/layers/filter_response_norm.h"
#include "nn/layers/fourier_embed.h"
#include "nn/layers/gather_excite.h"
#include "nn/layers/label_decoder.h"
#include "nn/layers/line_attention.h"
#include "nn/layers/log_sum_exp_pool.h"
#include "nn/layers/median_pool.h"
#include "nn/layers/norm.h"
#include "nn/layers/rotary.h"
#include "nn/layers/simple_pool.h"
#include "test/nn/figures.h"
#include "test/support/catch.h"

namespace fovea {
namespace {

Tensor golden_tokens() { return transpose(flatten(golden_input({2, 24, 7, 9}), 2), 1, 2); }

// Gradients reach every parameter, and none is NaN.
template <class M>
void check_trains(M module, const Tensor& x) {
  fill_weights(module);
  module.set_requires_grad();
  module.train();
  const std::vector<Tensor*> leaves = module.parameters();
  std::vector<Tensor> wanted;
  for (const Tensor* t : leaves) wanted.push_back(*t);
  for (const Tensor& g : backward(sum(square(module(x))), wanted)) {
    REQUIRE(g);
    const double largest = amax(abs(g)).item();
    CHECK(std::isfinite(largest));
    CHECK(largest > 0);
  }
}

}  // namespace

TEST_CASE("gathering and exciting answers as timm's", "[nn]") {
  check("attention ge", channel_attention("ge", 24));
  check("gather 2", GatherExcite(24, {.extent = 2}));
  check("gather 4 max bare", GatherExcite(24, {.squeeze{.max_pool = true}, .extent = 4, .mlp = false}));
  check("gather learned", GatherExcite(24, {.extent = 4, .learned = true}));
  check("gather learned all", GatherExcite(24, {.learned = true, .feature_size = {7, 9}}));
  CHECK_THROWS_WITH(GatherExcite(24, {.extent = 3}), contains_text("even"));
  CHECK_THROWS_WITH(GatherExcite(24, {.learned = true}), contains_text("feature_size"));
}

TEST_CASE("further attentions of convolutional networks answer as timm's", "[nn]") {
  for (const char* kind : {"ecam", "lcbam", "coord", "scoord", "ela", "strip", "nl"})
    check(std::string("attention ") + kind, channel_attention(kind, 24));
  check("attention bat", channel_attention("bat", 24, {.blocks = 3}), {2, 24, 6, 9});
  check("coordinate skip", CoordinateAttention(24, {.ratio = 0.5, .act = act::relu}, true));
  check("local bare", EfficientLocalAttention(24, {.kernel = 5, .bias = true, .norm = false}));
  check("strip bare", StripAttention(24, {.convolve = false, .skip = true}));
}

TEST_CASE("norms that are activations answer as timm's", "[nn]") {
  using Kind = NormSpec::Kind;
  for (const Kind k : {Kind::evo_b0, Kind::evo_b1, Kind::evo_b2, Kind::evo_s0a, Kind::evo_s1, Kind::evo_s1a,
                       Kind::evo_s2, Kind::evo_s2a}) {
    const NormSpec n{.kind = k, .group_size = 8};
    const std::string name = "evo " + std::string(name_of(k).substr(4));
    check(name, norm_act2d(n, 24, act::relu));
    check(name + " bare", norm2d(n, 24));
  }
  check("filter response norm act", norm_act2d({.kind = Kind::frn}, 24, act::silu));
  check("group norm 1", norm_act2d({.kind = Kind::group1}, 24, act::silu));
}

TEST_CASE("EvoNorm trains with the batch's variance and keeps a running one", "[nn]") {
  using Kind = EvoNorm2dB::Kind;
  for (const auto& [kind, name] : {std::pair(Kind::b0, "evo b0"), {Kind::b1, "evo b1"}, {Kind::b2, "evo b2"}}) {
    EvoNorm2dB norm(kind, 24, {.eps = kind == Kind::b0 ? 1e-3 : 1e-5});
    fill_weights(norm);
    norm.train();
    check_figure(std::string(name) + " train", norm(golden_input({2, 24, 7, 9})));
    check_figure(std::string(name) + " train running_var", norm.running_var);
  }
}

TEST_CASE("norms are found by timm's names, too", "[nn]") {
  const auto named = [](std::string_view name) {
    NormSpec::Kind k{};
    REQUIRE(parse_norm(name, k));
    return k;
  };
  CHECK(named("batchnorm2d") == NormSpec::Kind::batch);
  CHECK(named("layer_norm_2d_fp32") == NormSpec::Kind::layer);
  CHECK(named("groupnorm1") == NormSpec::Kind::group1);
  CHECK(named("EvoNormS1a") == NormSpec::Kind::evo_s1a);
  CHECK(named("frntlu") == NormSpec::Kind::frn_tlu);
  for (int i = 0; !name_of(static_cast<NormSpec::Kind>(i)).empty(); ++i)
    CHECK(named(name_of(static_cast<NormSpec::Kind>(i))) == static_cast<NormSpec::Kind>(i));
  NormSpec::Kind unchanged = NormSpec::Kind::rms;
  CHECK_FALSE(parse_norm("evonorms3", unchanged));
  CHECK(unchanged == NormSpec::Kind::rms);
}

TEST_CASE("pools beside mean and maximum answer as timm's", "[nn]") {
  using Over = LogSumExpPool::Over;
  check("log sum exp", LogSumExpPool());
  check("log sum exp map", LogSumExpPool(Over::image, {.sharpness = 2, .learned = false, .flatten = false}));
  check("simple pool", SimplePool(24));
  check("simple pool gamma", SimplePool(24, {.heads = 3, .qkv_bias = true, .qk_norm = true, .gamma = 1.25}));
  check("median", MedianPool2d({.padding = 1}));
  check("median even", MedianPool2d({.kernel = 2, .stride = 2}));
  check("median same", MedianPool2d({.stride = 2, .same = true}));
  LogSumExpPool smooth(Over::tokens);
  SimplePool simple(24, {.heads = 2});
  fill_weights(smooth);
  fill_weights(simple);
  check_figure("log sum exp tokens", smooth(golden_tokens()));
  check_figure("simple pool tokens", simple(golden_tokens()));
  CHECK_THROWS_AS(SimplePool(24, {.heads = 5}), Error);
}

TEST_CASE("embeddings of places answer as timm's", "[nn]") {
  check("fourier", FourierEmbed(), {2, 10, 5, 9});
  check("fourier map", FourierEmbed({.max_res = 32, .bands = 5, .coordinates = false, .keep_spatial = true}),
        {2, 9, 6, 7});
  RotaryEmbedding rope({.type = RopeType::mrope, .head_dim = 64, .prefix = 0});
  const Rotary turns = rope.at({5, 6});
  check_figure("mrope", cat({turns.sin, turns.cos}, -1));
}

TEST_CASE("the decoder of many labels answers as timm's", "[nn]") {
  struct Case {
    const char* name;
    int classes, groups;
  };
  for (const auto& [name, classes, groups] : {Case{"label decoder", 10, 4}, Case{"label decoder of few", 3, 100}}) {
    LabelDecoder head(24, classes, {.groups = groups, .embedding = 32});
    fill_weights(head);
    // What is no parameter here is one of timm's that is never trained.
    const Param queries = head.find("query_embed")->own_parameters()[0];
    std::vector<float> values(static_cast<size_t>(queries->numel()));
    const float scale = std::sqrt(3.0f / 32);
    for (size_t i = 0; i < values.size(); ++i) values[i] = scale * hash_uniform(fnv1a("query_embed.weight"), i);
    queries.set(from(std::span<const float>(values), queries->shape()));
    check_figure(name, head(golden_input({2, 24, 7, 9})));
    CHECK(amax(abs(head(golden_input({2, 24, 7, 9})) - head(golden_tokens()))).item() < 1e-6);
  }
  CHECK_THROWS_AS(LabelDecoder(24, 0), Error);
  CHECK_THROWS_AS(LabelDecoder(24, 5, {.embedding = 30}), Error);
}

TEST_CASE("offered layers train", "[nn]") {
  const Tensor x = golden_input({2, 24, 7, 9});
  check_trains(EvoNorm2dB(EvoNorm2dB::Kind::b0, 24, {}), x);
  check_trains(EvoNorm2dB(EvoNorm2dB::Kind::b1, 24, {}), x);
  check_trains(EvoNorm2dB(EvoNorm2dB::Kind::b2, 24, {}), x);
  check_trains(EvoNorm2dS(EvoNorm2dS::Kind::s2, 24, 3, {}), x);
  check_trains(GatherExcite(24, {.extent = 2, .learned = true}), x);
  check_trains(CoordinateAttention(24), x);
  check_trains(EfficientLocalAttention(24), x);
  check_trains(LogSumExpPool(), x);
  check_trains(SimplePool(24, {.qkv_bias = true, .gamma = 1.25}), x);
  check_trains(LabelDecoder(24, 10, {.groups = 4, .embedding = 32}), x);
}

}  // namespace fovea
