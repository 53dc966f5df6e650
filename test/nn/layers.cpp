// SPDX-License-Identifier: Apache-2.0
// test/nn/layers.cpp — layers filled by the formula against what timm's answer (test/golden/layers.tsv).
#include "nn/layers.h"

#include "engine/ops/ops.h"
#include "nn/layers/conv_transpose.h"
#include "test/nn/figures.h"
#include "test/support/catch.h"

namespace fovea {

TEST_CASE("convolutions answer as timm's", "[nn]") {
  check("conv same", Conv2d(24, 16, 3, {.stride = 2, .padding = Padding::Kind::same}));
  check("conv symmetric", Conv2d(24, 16, 3, {.stride = 2, .groups = 8, .bias = true}));
  check("conv dilated same", Conv2d(24, 24, 5, {.dilation = 2, .groups = 24, .padding = Padding::Kind::same}));
  check("mixed", conv2d(25, 30, {3, 5, 7}, {.padding = Padding::Kind::same}), {2, 25, 7, 9});
  check("mixed depthwise", conv2d(26, 26, {3, 5, 7, 9}, {.stride = 2, .groups = 26}), {2, 26, 9, 8});
  CHECK_THROWS_AS(Conv2d(24, 16, 3, {.groups = 5}), Error);
  CHECK_THROWS_AS(conv2d(24, 24, {3, 5}, {.groups = 3}), Error);
}

TEST_CASE("norms answer as timm's", "[nn]") {
  check("batch norm", BatchNorm2d(24, {.eps = 1e-3}));
  check("group norm", norm_act2d({.kind = NormSpec::Kind::group, .group_size = 8}, 24, act::silu));
  check("layer norm 2d", LayerNorm2d(24));
  check("layer norm act", norm_act2d({.kind = NormSpec::Kind::layer}, 24, act::relu));
  check("rms norm 2d", norm2d({.kind = NormSpec::Kind::rms}, 24));
  check("simple norm", token_norm({.kind = TokenNorm::Kind::simple}, 9));
  check("simple norm 2d", norm2d({.kind = NormSpec::Kind::simple}, 24));
  check("global response norm", GlobalResponseNorm(24, true));
  check("global response norm nhwc", GlobalResponseNorm(9));
  check("evo s0", norm_act2d({.kind = NormSpec::Kind::evo_s0, .group_size = 8}, 24, act::silu));
  check("evo s0 bare", norm2d({.kind = NormSpec::Kind::evo_s0, .group_size = 8}, 24));
  CHECK_THROWS_AS(norm2d({.kind = NormSpec::Kind::group, .group_size = 7}, 24), Error);
}

TEST_CASE("batch norm trains as PyTorch's", "[nn]") {
  BatchNorm2d bn(24, {}, act::silu);
  fill_weights(bn);
  bn.train();
  check_figure("batch norm train", bn(golden_input({2, 24, 7, 9})));
  check_figure("batch norm train running_mean", bn.running_mean);
  check_figure("batch norm train running_var", bn.running_var);
  CHECK(bn.num_batches_tracked->item() == 1);
}

TEST_CASE("pools answer as timm's", "[nn]") {
  for (const char* type : {"", "avg", "max", "avgmax", "catavgmax", "fast", "fastmax", "fastavgmax", "fastcatavgmax"})
    check(std::string("pool ") + type, GlobalPool(type));
  check("pool nhwc", GlobalPool("fastcatavgmax", true, true));
  check("avg same", AvgPool2d(3, {.stride = 2, .padding = Padding::Kind::same}));
  check("max same", MaxPool2d(3, {.stride = 2, .padding = Padding::Kind::same}));
  check("max symmetric", MaxPool2d(3, {.stride = 2, .padding = Padding()}));
  check("blur", anti_alias("blur", 24, 2));
  check("blurpc", anti_alias("blurpc", 24, 2));
  CHECK(GlobalPool("catavgmax").width() == 2);
  CHECK_THROWS_AS(GlobalPool("average"), Error);
}

TEST_CASE("channel attentions answer as timm's", "[nn]") {
  for (const char* kind : {"se", "ese", "eca", "ceca", "gc", "gca", "cbam"})
    check(std::string("attention ") + kind, channel_attention(kind, 24));
  CHECK_THROWS_AS(channel_attention("see", 24), Error);
}

TEST_CASE("attentions between pixels answer as timm's", "[nn]") {
  check("attention 2d", Attention2d(24, {.heads = 3, .out = 20}));
  check("multi query 2d", MultiQueryAttention2d(24, {.heads = 3, .out = 20}));
  check("multi query 2d fewer keys",
        MultiQueryAttention2d(
            24, {.heads = 4, .key_dim = 5, .value_dim = 7, .kv_stride = 2, .padding = Padding::Kind::same}));
  check("multi query 2d dilated",
        MultiQueryAttention2d(24, {.heads = 2, .kv_stride = 2, .kernel = 5, .dilation = 2}));
  CHECK_THROWS_AS(Attention2d(24, {.heads = 5}), Error);
  CHECK_THROWS_AS(MultiQueryAttention2d(24, {.heads = 5}), Error);
}

TEST_CASE("MLPs and heads answer as timm's", "[nn]") {
  check("mlp", Mlp(9, {.hidden = 20, .out = 12}));
  check("conv mlp", ConvMlp(24, {.hidden = 20, .out = 12, .norm = true}));
  check("global response norm mlp", GlobalResponseNormMlp(24, {.hidden = 20, .out = 12, .channels_first = true}));
  check("global response norm mlp nhwc", GlobalResponseNormMlp(9, {.hidden = 20, .out = 12}));
  check("classifier head", ClassifierHead(24, 10, {.pool = "catavgmax"}));
  check("norm mlp head", NormMlpClassifierHead(24, 10, {.hidden = 16}));
  check("norm mlp head map",
        NormMlpClassifierHead(24, 10, {.pool = "", .hidden = 16, .norm{.kind = NormSpec::Kind::rms}}));
}

TEST_CASE("activations answer as timm's, by name", "[nn]") {
  for (const char* name :
       {"silu", "mish", "relu", "relu6", "leaky_relu", "elu", "prelu", "celu", "selu", "gelu", "gelu_tanh",
        "quick_gelu", "sigmoid", "tanh", "hard_sigmoid", "hard_swish", "hard_mish", "identity"})
    check(std::string("act ") + name, Activation(parse_act(name)));
  CHECK(parse_act("swish") == act::silu);
  CHECK_THROWS_WITH(parse_act("rellu"), contains_text("relu"));
}

TEST_CASE("heads can be given other classes and pooling", "[nn]") {
  ClassifierHead head(24, 10);
  head.reset(3, "catavgmax");
  head.materialise();
  CHECK(head(golden_input({2, 24, 4, 4})).shape() == Shape{2, 3});
  CHECK(head(golden_input({2, 24, 4, 4}), true).shape() == Shape{2, 48});
  head.reset(0);
  CHECK(head(golden_input({2, 24, 4, 4})).shape() == Shape{2, 48});
}

TEST_CASE("a layer of transposed convolution is the op", "[nn]") {
  struct Case {
    int in, out, kernel;
    ConvTranspose2dOptions options;
  };
  for (const Case& c :
       {Case{6, 4, 4, {.stride = 2, .padding = 1}}, Case{6, 6, 4, {.stride = 2, .padding = 1, .groups = 6}},
        Case{6, 4, 3, {.padding = 1, .groups = 2, .bias = false}}, Case{6, 3, 6, {.stride = 3}},
        Case{6, 2, 3, {.stride = 2, .padding = 1}}}) {
    ConvTranspose2d layer(c.in, c.out, c.kernel, c.options);
    layer.materialise();
    const Tensor x = golden_input({2, c.in, 5, 7});
    const ConvTranspose2dOptions& o = c.options;
    const Tensor want = conv_transpose(x, layer.weight, layer.bias,
                                       {.stride = {o.stride}, .pad = {o.padding}, .groups = o.groups}),
                 have = layer(x);
    INFO("kernel " << c.kernel << ", stride " << o.stride << ", groups " << o.groups);
    REQUIRE(have.shape() == want.shape());
    const Tensor off = amax(abs(have - want));
    CHECK(off.data<float>()[0] < 1e-5f);
  }
}

}  // namespace fovea
