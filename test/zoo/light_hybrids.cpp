// SPDX-License-Identifier: Apache-2.0
// test/zoo/light_hybrids.cpp — EfficientViT of Microsoft and of MIT, LowFormer, CPUBone and Sequencer: weights as
// others wrote them, other image sizes, heads that are dropped, and settings that do not fit.
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/fuse.h"
#include "test/golden/runner/figures.h"
#include "test/zoo/small_hybrids.h"
#include "zoo/blocks/distance_bias.h"

namespace fovea::zoo {
namespace {

const Settings kCascaded{{"embed_dim", "32,48,64"}, {"key_dim", "8,8,8"}, {"num_heads", "2,3,4"}, {"depth", "1,1,1"}},
    kLow{{"width_list", "8,16,24,64,128"}, {"depth_list", "1,1,2,1,1"}, {"head_widths", "48,64"}},
    kBone{{"width_list", "8,16,24,64,128"},
          {"depth_list", "0,1,1,1,1"},
          {"head_widths", "48,64"},
          {"fused_conv", "false"}},
    kSequencer{{"layers", "1,1,1,1"}, {"embed_dims", "16,24,24,24"}, {"hidden_sizes", "5,8,8,6"}};

double difference(ImageModel& a, ImageModel& b, const Tensor& image) {
  const NoGrad no_grad;
  return golden::largest_difference(a(image), b(image));
}

}  // namespace

TEST_CASE("EfficientViT of Microsoft resamples its biases for smaller windows", "[zoo]") {
  const auto m = small("efficientvit_m1", kCascaded, std::array{112, 112}),
             smaller = small("efficientvit_m1", kCascaded, std::array{64, 96});
  const StateDict own = filled_weights(*m);
  CHECK(load_weights(*smaller, own, "the larger").clean());
  m->set_input_size({64, 96});
  const StateDict now = m->state_dict(), want = smaller->state_dict();
  for (const auto& [name, t] : want) CHECK(test::values_of(now.at(name)) == test::values_of(t));
  CHECK(now.at("stages.0.blocks.0.mixer.m.attn.attention_biases").shape() == Shape{2, 16});
  CHECK(difference(*m, *smaller, golden_input({1, 3, 64, 96})) == 0);
  CHECK_THROWS_AS(m->set_input_size({64, 64}, 8), Error);

  struct Biased final : DistanceBiased {
    Biased() { add_biases(4, 2); }
  } four;
  Tensor seven = empty({2, 49});
  float* to = seven.mutable_data<float>().data();
  for (int h = 0; h < 2; ++h)
    for (int i = 0; i < 49; ++i) *to++ = static_cast<float>((i * 7 + h) % 11) / 11;
  const Tensor resized = four.resampled(seven);
  // of timm's resize_rel_pos_bias_table_levit
  const std::vector<double> recorded{0.3921074, 0.4526717, 0.3453134, 0.591588,  0.2897584, 0.5631507,
                                     0.417966,  0.4887861, 0.5030808, 0.4439817, 0.4497024, 0.4130633,
                                     0.4539337, 0.3612522, 0.5385228, 0.3468636};
  const std::vector<double> have = test::values_of(select(resized, 0, 1));
  for (size_t i = 0; i < recorded.size(); ++i) CHECK_THAT(have[i], Catch::Matchers::WithinAbs(recorded[i], 1e-6));
}

TEST_CASE("a fused EfficientViT of Microsoft answers as before, and its weights load", "[zoo]") {
  const auto m = small("efficientvit_m1", kCascaded, std::array{64, 64}),
             plain = small("efficientvit_m1", kCascaded, std::array{64, 64}),
             other = small("efficientvit_m1", kCascaded, std::array{64, 64});
  fill_weights(*m);
  fill_weights(*plain);
  CHECK(fuse(*m) > 0);
  const StateDict fused = m->state_dict();
  CHECK(fused.contains("patch_embed.conv1.bias"));
  CHECK(fused.contains("head.weight"));
  check_loads(*other, fused, fused);
  const Tensor image = golden_input({2, 3, 64, 64});
  CHECK(difference(*m, *plain, image) < 1e-4);
  CHECK(difference(*m, *other, image) == 0);
}

TEST_CASE("LowFormer of its authors", "[zoo]") {
  constexpr Rename rows[] = {{"attn.main", "total.0.0.main"},
                             {"mlp.main", "total.0.1.main"},
                             {"local.main", "total.1.main"},
                             {"^stages.#.#", "backbone.stages.$1.op_list.$2"},
                             {"^stem.", "backbone.input_stem.op_list."},
                             {"conv_proj.conv", "conv_proj.0"},
                             {"conv_proj.norm", "conv_proj.1"},
                             {"pwise", "pwise.0"},
                             {"^in_conv", "head.op_list.0"},
                             {"^pre_classifier.0", "head.op_list.2.linear"},
                             {"^pre_classifier.1", "head.op_list.2.norm"},
                             {"^classifier", "head.op_list.3.linear"}};
  check_originals("lowformer_b0", kLow, rows, "backbone.stages.2.op_list.1.total.0.0.main.1.conv_proj.0.weight");
}

TEST_CASE("CPUBone of its authors, and biases that norms have taken over", "[zoo]") {
  constexpr Rename rows[] = {{"^stages.#.#", "backbone.stages.$1.op_list.$2"},
                             {"^stem.", "backbone.input_stem.op_list."},
                             {"conv_proj.conv", "conv_proj.0"},
                             {"conv_proj.norm", "conv_proj.1"},
                             {"pwise", "pwise.0"},
                             {"^head.in_conv", "head.op_list.0"},
                             {"^head.pre_classifier", "head.op_list.2"},
                             {"^head.classifier", "head.op_list.3"}};
  check_originals("cpubone_b0_bfrobust", kBone, rows, "head.op_list.3.linear.weight");
  const auto filled = small("cpubone_b0_bfrobust", kBone), other = small("cpubone_b0_bfrobust", kBone);
  const StateDict own = filled_weights(*filled);
  StateDict theirs = rename(own, rows), want = own;
  const std::string block = "stages.2.1.total.1.main.inverted_conv.", mean = block + "norm.running_mean";
  const Tensor bias = test::filled("bias", own.at(mean).shape());
  theirs.set("backbone.stages.2.op_list." + block.substr(9) + "conv.bias", bias);
  want.set(mean, own.at(mean) - bias);
  check_loads(*other, theirs, want);
}

TEST_CASE("Sequencer of its authors counts what shrinks the map with the blocks", "[zoo]") {
  constexpr Rename rows[] = {{"^stages.#.blocks", "blocks.$1"},
                             {"^stages.1.downsample", "blocks.0.1"},
                             {"^stages.2.downsample", "blocks.1.1"},
                             {"^stages.3.downsample", "blocks.2.1"},
                             {"^head.fc", "head"}};
  check_originals("sequencer2d_s", kSequencer, rows, "blocks.0.1.down.weight");
}

TEST_CASE("a dropped head leaves the pooling", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({1, 3, 64, 64});
  for (const auto& [name, set] : {std::pair{"lowformer_b0", kLow}, std::pair{"cpubone_nano", kBone}}) {
    const auto m = small(name, set);
    fill_weights(*m);
    const Tensor features = m->forward_features(image);
    m->prune({});
    CHECK(golden::largest_difference((*m)(image), mean(features, {2, 3})) < 1e-5);
    m->reset_classifier(3);
    CHECK(m->head_hidden_size() == 128);
    fill_weights(*m);
    CHECK((*m)(image).shape() == Shape{1, 3});
  }
}

TEST_CASE("settings that make none of these networks", "[zoo]") {
  const auto refused = [](const char* name, const ModelOptions& o, const char* why) {
    CHECK_THROWS_WITH(create(name, o), contains_text(why));
  };
  refused("efficientvit_m0", {.set = {{"num_heads", "5,4,4"}}}, "cascaded heads");
  refused("efficientvit_m0", {.set = {{"down_ops", "0,0,1"}}}, "halves the map");
  refused("efficientvit_m0", {.global_pool = ""}, "pooled features");
  refused("efficientvit_b0", {.global_pool = ""}, "no pooling ''");
  refused("cpubone_nano", {.global_pool = "max"}, "no pooling 'max'");
  refused("lowformer_b0", {.global_pool = "catavgmax"}, "catavgmax");
  refused("sequencer2d_s", {.set = {{"with_fc", "false"}, {"union", "add"}}}, "as many");
}

}  // namespace fovea::zoo
