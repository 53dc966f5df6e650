// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/rename.cpp — names by rows of patterns, flat block numbers, and weights fitted to other inputs and
// classes.
#include "weights_tools/rename.h"

#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/adapt.h"
#include "weights_tools/bytes.h"

using namespace fovea;
using namespace fovea::test;
using K = Error::Kind;

TEST_CASE("rename patterns", "[weights]") {
  struct Row {
    const char *pattern, *with, *name, *becomes;
  };
  const auto r = GENERATE(values<Row>({{"bn1", "norm1", "layer.bn1.weight", "layer.norm1.weight"},
                                       {"bn1", "norm1", "layer.bn10.weight", "layer.bn10.weight"},
                                       {"bn1", "norm1", "my_bn1.weight", "my_bn1.weight"},
                                       {"bn1", "norm1", "bn1", "norm1"},
                                       {"bn1", "norm1", "bn1.bn1.x", "norm1.bn1.x"},
                                       {"module.", "", "module.fc.weight", "fc.weight"},
                                       {"module.", "", "a.module.fc", "a.fc"},
                                       {"^module.", "", "a.module.fc", "a.module.fc"},
                                       {"layer#", "stages.$1", "layer12.conv", "stages.12.conv"},
                                       {"layer#", "stages.$1", "layers.conv", "layers.conv"},
                                       {"layer#.#.conv", "s$1.b$2.c", "layer1.22.conv.weight", "s1.b22.c.weight"},
                                       {"*.#.x", "$2.$1.x", "abc.3.x", "3.abc.x"},
                                       {"a.*.c", "a.$1", "a.b.c.d", "a.b.d"},
                                       {"a.*.c", "a.$1", "a.b.b.c", "a.b.b.c"},
                                       {"^**.norm", "norm.$1", "a.b.c.norm.weight", "norm.a.b.c.weight"},
                                       {"head.**", nullptr, "head.fc.weight", ""},
                                       {"head.**", nullptr, "header.fc", "header.fc"},
                                       {"gamma", "$$weight", "ln.gamma", "ln.$weight"},
                                       {"^conv*.w", "c$1.weight", "conv3x3.w", "c3x3.weight"}}));
  const Rename rows[] = {{r.pattern, r.with}};
  INFO(r.pattern << " on " << r.name);
  CHECK(rename(r.name, rows) == r.becomes);
}

TEST_CASE("renaming keeps order, follows its rows and refuses collisions", "[weights]") {
  StateDict d;
  for (const char* name : {"b.x", "a.x", "drop.x"}) d.set(name, zeros({1}));
  d.metadata = {{"k", "v"}};
  const Rename rows[] = {{"a", "c"}, {"c.x", "d.x"}, {"^drop.**", nullptr}};
  const StateDict e = rename(d, rows);
  CHECK(e.names() == std::vector<std::string>{"b.x", "d.x"});
  CHECK(e.metadata == d.metadata);
  const Rename clash[] = {{"a", "b"}};
  const Error error = error_of([&] { rename(d, clash); });
  CHECK(error.kind() == K::weights);
  CHECK(mentions(error, "'b.x' and 'a.x'"));
  const Rename wrong[] = {{"a", "$1"}};
  CHECK(error_of([&] { rename(d, wrong); }).kind() == K::argument);
}

TEST_CASE("EfficientNet-Lite checkpoints get timm's names", "[weights]") {
  const Rename rows[] = {{"^_conv_stem", "conv_stem"},
                         {"^_bn0", "bn1"},
                         {"^_conv_head", "conv_head"},
                         {"^_bn1", "bn2"},
                         {"^_fc", "classifier"},
                         {"^_blocks.0._depthwise_conv", "_blocks.0.conv_dw"},
                         {"^_blocks.0._bn1", "_blocks.0.bn1"},
                         {"^_blocks.0._project_conv", "_blocks.0.conv_pw"},
                         {"^_blocks.0._bn2", "_blocks.0.bn2"},
                         {"_expand_conv", "conv_pw"},
                         {"_bn0", "bn1"},
                         {"_depthwise_conv", "conv_dw"},
                         {"_bn1", "bn2"},
                         {"_project_conv", "conv_pwl"},
                         {"_bn2", "bn3"}};
  const int depths[] = {1, 2, 2, 3, 3, 4, 1};
  StateDict d;
  for (const char* name :
       {"_conv_stem.weight", "_bn0.running_mean", "_blocks.0._depthwise_conv.weight", "_blocks.0._bn1.bias",
        "_blocks.0._project_conv.weight", "_blocks.0._bn2.weight", "_blocks.1._expand_conv.weight",
        "_blocks.2._bn0.weight", "_blocks.10._depthwise_conv.weight", "_blocks.14._bn1.bias",
        "_blocks.15._project_conv.weight", "_blocks.15._bn2.num_batches_tracked", "_conv_head.weight", "_bn1.weight",
        "_fc.bias"})
    d.set(name, zeros({1}));
  CHECK(renumber_blocks(rename(d, rows), "_blocks.", "blocks.", depths).names() ==
        std::vector<std::string>{
            "conv_stem.weight", "bn1.running_mean", "blocks.0.0.conv_dw.weight", "blocks.0.0.bn1.bias",
            "blocks.0.0.conv_pw.weight", "blocks.0.0.bn2.weight", "blocks.1.0.conv_pw.weight", "blocks.1.1.bn1.weight",
            "blocks.4.2.conv_dw.weight", "blocks.5.3.bn2.bias", "blocks.6.0.conv_pwl.weight",
            "blocks.6.0.bn3.num_batches_tracked", "conv_head.weight", "bn2.weight", "classifier.bias"});
  d.set("_blocks.16.x", zeros({1}));
  const Error beyond = error_of([&] { renumber_blocks(d, "_blocks.", "blocks.", depths); });
  CHECK(beyond.kind() == K::weights);
  CHECK(mentions(beyond, "16 blocks"));
}

TEST_CASE("first convolutions for other numbers of channels", "[weights]") {
  const Tensor w = arange(0, 2 * 3 * 2 * 2, 1, DType::f32);
  const Tensor conv = view_of(w, {2, 3, 2, 2}, {12, 4, 2, 1}, 0);
  const auto one = adapt_input_conv(conv, 1);
  REQUIRE(one.shape() == Shape{2, 1, 2, 2});
  CHECK(one.data<float>()[0] == 0 + 4 + 8);
  CHECK(one.data<float>()[7] == 15 + 19 + 23);
  const auto five = adapt_input_conv(conv, 5);
  REQUIRE(five.shape() == Shape{2, 5, 2, 2});
  CHECK(five.data<float>()[3 * 4] == Approx(0 * 0.6));  // channel 3 is channel 0 again, times 3/5
  CHECK(five.data<float>()[4 * 4 + 1] == Approx(5 * 0.6));
  CHECK(adapt_input_conv(conv, 2).data<float>()[1 * 4] == Approx(4 * 1.5));
  CHECK(adapt_input_conv(conv, 3).same(conv));
  const Tensor last = view_of(w, {2, 3, 2, 2}, {12, 1, 6, 3}, 0);  // channels_last
  CHECK(adapt_input_conv(last, 1).data<float>()[0] == 0 + 1 + 2);
  const Tensor half = adapt_input_conv(dense(conv, DType::f16), 1);
  CHECK(half.dtype() == DType::f16);
  CHECK(to_float(half.data<float16>()[0]) == 12);
  const Tensor folded =
      view_of(arange(0, 12, 1, DType::f32), {1, 12, 1, 1}, {12, 1, 1, 1}, 0);  // 2x2 pixels of 3 channels
  REQUIRE(adapt_input_conv(folded, 1).shape() == Shape{1, 4, 1, 1});
  CHECK(adapt_input_conv(folded, 1).data<float>()[1] == 3 + 4 + 5);
  CHECK_FALSE(adapt_input_conv(folded, 4));
  CHECK_FALSE(adapt_input_conv(w, 1));
  CHECK(error_of([&] { adapt_input_conv(conv, 0); }).kind() == K::argument);
}
