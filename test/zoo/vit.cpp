// SPDX-License-Identifier: Apache-2.0
// test/zoo/vit.cpp — Vision Transformers beyond their figures: other sizes, foreign weights, first values, training.
#include "zoo/blocks/vit.h"

#include <cmath>
#include <map>

#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "zoo/blocks/vit_weights.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  return reduce(abs(a - b), Reduce::max).item();
}

std::unique_ptr<ImageModel> filled(const char* name, const ModelOptions& o = {}) {
  auto m = create(name, o);
  fill_weights(*m);
  return m;
}

void check_values(const Tensor& t, const std::map<int64_t, double>& expected, double sum_of_all) {
  const Tensor dense = contiguous(t);
  for (const auto& [at, value] : expected)
    CHECK(static_cast<double>(dense.data<float>()[static_cast<size_t>(at)]) == Approx(value).margin(2e-5));
  CHECK(sum(dense).item() == Approx(sum_of_all).margin(1e-4));
}

struct Moments {
  double mean, deviation;
};
Moments moments(const Tensor& t) {
  const auto [variance, mean] = var_mean(reshape(t, {-1}), {0});
  return {mean.item(), std::sqrt(variance.item())};
}

// The names and shapes of the JAX code for what a Vit holds: the way back of from_jax_vit().
StateDict as_jax(const StateDict& w, int blocks, int64_t heads) {
  StateDict out;
  const auto dense = [&](const std::string& theirs, const std::string& ours) {
    out.set(theirs + "/kernel", contiguous(transpose(w.at(ours + ".weight"), 0, 1)));
    out.set(theirs + "/bias", w.at(ours + ".bias"));
  };
  const auto norm = [&](const std::string& theirs, const std::string& ours) {
    out.set(theirs + "/scale", w.at(ours + ".weight"));
    out.set(theirs + "/bias", w.at(ours + ".bias"));
  };
  out.set("cls", w.at("cls_token"));
  out.set("embedding/kernel", contiguous(permute(w.at("patch_embed.proj.weight"), {2, 3, 1, 0})));
  out.set("embedding/bias", w.at("patch_embed.proj.bias"));
  out.set("Transformer/posembed_input/pos_embedding", w.at("pos_embed"));
  norm("Transformer/encoder_norm", "norm");
  dense("head", "head");
  for (int i = 0; i < blocks; ++i) {
    const std::string theirs = str_cat("Transformer/encoderblock_", i, '/'), ours = str_cat("blocks.", i, '.');
    const std::string mha = theirs + "MultiHeadDotProductAttention_1/";
    const std::vector<Tensor> weights = chunk(w.at(ours + "attn.qkv.weight"), 3, 0),
                              biases = chunk(w.at(ours + "attn.qkv.bias"), 3, 0);
    for (size_t k = 0; k < 3; ++k) {
      const std::string part = mha + std::array{"query", "key", "value"}[k];
      const Tensor flat = transpose(weights[k], 0, 1);
      out.set(part + "/kernel", contiguous(reshape(flat, {flat.dim(0), heads, flat.dim(1) / heads})));
      out.set(part + "/bias", contiguous(reshape(biases[k], {heads, -1})));
    }
    const Tensor proj = transpose(w.at(ours + "attn.proj.weight"), 0, 1);
    out.set(mha + "out/kernel", contiguous(reshape(proj, {heads, proj.dim(0) / heads, proj.dim(1)})));
    out.set(mha + "out/bias", w.at(ours + "attn.proj.bias"));
    norm(theirs + "LayerNorm_0", ours + "norm1");
    norm(theirs + "LayerNorm_2", ours + "norm2");
    for (int k : {0, 1}) dense(str_cat(theirs, "MlpBlock_3/Dense_", k), str_cat(ours, "mlp.fc", k + 1));
  }
  return out;
}

StateDict renamed(const StateDict& w, std::span<const Rename> rows) { return rename(w, rows); }

void check_same(const StateDict& a, const StateDict& b) {
  REQUIRE(a.size() == b.size());
  for (const auto& [name, t] : a) {
    INFO(name);
    REQUIRE(b.contains(name));
    CHECK(distance(t, b.at(name)) == 0);
  }
}

}  // namespace

TEST_CASE("patch kernels and positions are resampled as by timm", "[zoo]") {
  Tensor kernel = empty({2, 1, 4, 4}), positions = empty({1, 10, 2});
  for (int i = 0; i < 32; ++i)
    kernel.mutable_data<float>()[static_cast<size_t>(i)] = static_cast<float>(std::sin(0.7 * i) + 0.1 * i);
  for (int i = 0; i < 20; ++i)
    positions.mutable_data<float>()[static_cast<size_t>(i)] = static_cast<float>(std::cos(0.3 * i));
  check_values(resample_patch_kernel(kernel, 6),
               {{0, -0.15481}, {1, 0.11863}, {4, 0.71911}, {7, 0.20562}, {36, -0.00205}, {71, 1.40742}}, 52.42540741);
  check_values(resample_patch_kernel(kernel, 3),
               {{0, 0.63204}, {1, 1.42572}, {4, 0.39422}, {7, 2.64675}, {9, 2.45171}, {17, 6.53819}}, 52.42538834);
  check_values(resample_patch_kernel(kernel, {5, 3}, {.mode = Interpolation::linear, .antialias = false}),
               {{0, -0.34607}, {1, 1.92079}, {4, -0.74589}, {7, 0.61852}, {15, -0.34251}, {29, 3.11048}}, 52.42539215);
  check_values(resample_positions(positions, {4, 5}, Size2(3), 1),
               {{0, 1.0}, {2, 0.94274}, {3, 0.74473}, {8, 0.00585}, {41, 0.95148}}, -3.922060967);
  check_values(resample_positions(positions, 2, Size2(3), 1),
               {{0, 1.0}, {2, 0.13549}, {3, -0.07338}, {8, -0.06167}, {9, 0.14701}}, 0.178178847);
  check_values(resample_positions(positions, {5, 4}, Size2(3), 1,
                                  {.mode = Interpolation::linear, .antialias = false, .align_corners = true}),
               {{0, 1.0}, {2, 0.82534}, {3, 0.62161}, {8, -0.2272}, {41, 0.83471}}, -7.258704185);
}

TEST_CASE("a ViT for images of another size", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({1, 3, 96, 64});
  auto dynamic = filled("test_vit"), moved = filled("test_vit", {.set = {{"dynamic_img_size", "false"}}});
  const Tensor expected = (*dynamic)(image);
  REQUIRE_THROWS_AS((*moved)(image), Error);
  moved->set_input_size({96, 64});
  CHECK(moved->input_size() == std::array{3, 96, 64});
  CHECK(distance((*moved)(image), expected) < 1e-5);
  const auto loaded = create("test_vit", {.img_size = std::array{96, 64}, .set = {{"dynamic_img_size", "false"}}});
  load_weights(*loaded, filled("test_vit")->state_dict(), "the weights for 160 x 160");
  CHECK(distance((*loaded)(image), expected) < 1e-5);
  moved->set_input_size({96, 64}, 8);
  CHECK(moved->find("patch_embed.proj")->own_parameters()[0]->shape() == Shape{64, 3, 8, 8});
  CHECK((*moved)(image).shape() == Shape{1, 1000});
  REQUIRE_THROWS_AS(create("efficientnet_b0")->set_input_size({96, 64}), Error);
  REQUIRE_THROWS_AS(moved->set_input_size({4, 64}), Error);
}

TEST_CASE("feature maps, prefix tokens and norms of a ViT", "[zoo]") {
  const NoGrad no_grad;
  const auto m = filled("test_vit2");  // one register
  const Tensor image = golden_input({2, 3, 160, 160});
  const Intermediates raw = m->forward_intermediates(image, {.indices = {-1}, .nchw = false, .prefix_tokens = true});
  REQUIRE(raw.features.at(0).shape() == Shape{2, 100, 64});
  REQUIRE(raw.prefix.at(0).shape() == Shape{2, 1, 64});
  CHECK(distance(cat({raw.prefix[0], raw.features[0]}, 1), raw.final) == 0);  // its last norm stands behind the pooling
  const auto t = filled("test_vit");
  const Intermediates normed = t->forward_intermediates(image, {.indices = {5}, .norm = true});
  REQUIRE(normed.features.at(0).shape() == Shape{2, 64, 10, 10});
  const Tensor final = permute(reshape(slice(normed.final, 1, 1, 101), {2, 10, 10, 64}), {0, 3, 1, 2});
  CHECK(distance(normed.features[0], final) < 1e-6);
  CHECK(features(create("test_vit")).info().size() == 3);
  CHECK(features(create("test_vit"), {.indices = {0, -1}}).info().at(0).module == "blocks.0");
}

TEST_CASE("pooling and classifier of a ViT change", "[zoo]") {
  const NoGrad no_grad;
  const Tensor image = golden_input({1, 3, 160, 160});
  auto m = filled("test_vit3");
  REQUIRE_THROWS_AS(m->reset_classifier(5, "token"), Error);  // it has no class token
  REQUIRE_THROWS_AS(m->reset_classifier(5, "prr"), Error);
  m->reset_classifier(5, "avg");
  fill_weights(*m);
  CHECK((*m)(image).shape() == Shape{1, 5});
  CHECK(m->global_pool() == "avg");
  CHECK(m->find("attn_pool")->parameter_count() == 0);
  m->reset_classifier(0, "");
  CHECK((*m)(image).shape() == Shape{1, 101, 96});
  REQUIRE_THROWS_AS(create("test_vit2", {.global_pool = "token"}), Error);
  REQUIRE_THROWS_AS(create("test_vit", {.global_pool = "catavgmax"}), Error);
  REQUIRE_THROWS_AS(create("deit_tiny_distilled_patch16_224", {.global_pool = "avg"}), Error);
  const auto prr = filled("test_vit", {.num_classes = 3, .global_pool = "prr"});
  CHECK((*prr)(image).shape() == Shape{1, 3});
}

TEST_CASE("parameters of a ViT by layer", "[zoo]") {
  std::map<std::string, int> layer;
  for (const auto& [name, number] : layer_numbers(*create("test_vit"))) layer[name] = number;
  CHECK(layer.at("cls_token") == 0);
  CHECK(layer.at("patch_embed.proj.weight") == 0);
  CHECK(layer.at("blocks.0.norm1.weight") == 1);
  CHECK(layer.at("blocks.5.mlp.fc2.bias") == 6);
  CHECK(layer.at("norm.weight") == 6);  // joins the last block
  CHECK(layer.at("head.weight") == 7);
}

TEST_CASE("weights of other code bases become a ViT's", "[zoo]") {
  const NoGrad no_grad;
  auto m = filled("test_vit", {.num_classes = 10});
  const StateDict own = m->state_dict();
  check_same(own, adapt_vit(*m, as_jax(own, 6, 2)));
  constexpr Rename dino[] = {{"^pre_norm", "norm"}};
  StateDict masked = renamed(own, dino);
  masked.set("mask_token", zeros({1, 64}));
  check_same(own, adapt_vit(*m, masked));
  constexpr Rename trunk[] = {{"^head.**", nullptr}, {"^**", "visual.trunk.$1"}};
  StateDict open_clip = renamed(own, trunk);
  open_clip.set("visual.head.proj.weight", own.at("head.weight"));
  const StateDict back = adapt_vit(*m, open_clip);
  CHECK(distance(back.at("head.weight"), own.at("head.weight")) == 0);
  CHECK(distance(back.at("blocks.3.attn.qkv.weight"), own.at("blocks.3.attn.qkv.weight")) == 0);
  CHECK(back.size() == own.size());

  auto clip = filled("vit_xsmall_patch16_clip_224");
  constexpr Rename openai[] = {{"^patch_embed.proj", "conv1"},
                               {"^pos_embed", "positional_embedding"},
                               {"^cls_token", "class_embedding"},
                               {"^norm_pre", "ln_pre"},
                               {"^norm", "ln_post"},
                               {"^blocks.", "transformer.resblocks."},
                               {"norm1", "ln_1"},
                               {"norm2", "ln_2"},
                               {"qkv.weight", "in_proj_weight"},
                               {"qkv.bias", "in_proj_bias"},
                               {"attn.proj", "attn.out_proj"},
                               {"mlp.fc1", "mlp.c_fc"},
                               {"mlp.fc2", "mlp.c_proj"},
                               {"^head.weight", "proj"},
                               {"^head.bias", nullptr},
                               {"^**", "visual.$1"}};
  StateDict towers = renamed(clip->state_dict(), openai);
  towers.set("visual.class_embedding", reshape(towers.at("visual.class_embedding"), {-1}));
  towers.set("visual.positional_embedding", select(towers.at("visual.positional_embedding"), 0, 0));
  towers.set("visual.proj", contiguous(transpose(towers.at("visual.proj"), 0, 1)));
  towers.set("logit_scale", zeros({}));
  StateDict expected = clip->state_dict();
  expected.set("head.bias", zeros({512}));
  check_same(expected, adapt_vit(*clip, towers));

  auto deit = create("deit3_small_patch16_224");
  constexpr Rename gamma[] = {{"ls1.gamma", "gamma_1"}, {"ls2.gamma", "gamma_2"}};
  const StateDict theirs = renamed(filled("deit3_small_patch16_224")->state_dict(), gamma);
  CHECK(load_weights(*deit, theirs, "DeiT III").clean());
}

TEST_CASE("first values of a ViT", "[zoo]") {
  auto m = create("test_vit", {.num_classes = 100});
  m->materialise(1);
  const StateDict w = m->state_dict();
  const Moments qkv = moments(w.at("blocks.2.attn.qkv.weight"));
  CHECK(std::abs(qkv.mean) < 1e-3);
  CHECK(qkv.deviation == Approx(0.02).epsilon(0.05));
  CHECK(moments(w.at("head.weight")).deviation == Approx(0.02).epsilon(0.05));
  CHECK(reduce(abs(w.at("blocks.2.attn.qkv.bias")), Reduce::max).item() == 0);
  CHECK(moments(w.at("cls_token")).deviation < 3e-6);
  CHECK(moments(w.at("pos_embed")).deviation == Approx(0.02).epsilon(0.05));
  CHECK(reduce(abs(w.at("patch_embed.proj.weight")), Reduce::max).item() <= 1 / std::sqrt(768.0));  // PyTorch's own

  auto jax = create("test_vit", {.num_classes = 100, .set = {{"weight_init", "jax_nlhb"}}});
  jax->materialise(1);
  const StateDict j = jax->state_dict();
  CHECK(reduce(abs(j.at("head.weight")), Reduce::max).item() == 0);
  CHECK(moments(j.at("head.bias")).mean == Approx(-std::log(100)));
  CHECK(moments(j.at("blocks.0.mlp.fc1.weight")).deviation == Approx(std::sqrt(2.0 / (64 + 192))).epsilon(0.05));
  CHECK(moments(j.at("patch_embed.proj.weight")).deviation == Approx(1 / std::sqrt(768.0)).epsilon(0.05));

  auto fixed = create("test_vit", {.set = {{"fix_init", "true"}}});
  fixed->materialise(1);
  CHECK(moments(fixed->state_dict().at("blocks.5.mlp.fc2.weight")).deviation ==
        Approx(0.02 / std::sqrt(12)).epsilon(0.05));
}

TEST_CASE("a ViT trains the same with and without checkpointing", "[zoo]") {
  const Tensor image = golden_input({2, 3, 160, 160});
  const auto gradients = [&](bool checkpointing) {
    auto m = filled("test_vit2",
                    {.num_classes = 4,
                     .drop_rate = 0.1f,
                     .drop_path_rate = 0.3f,
                     .checkpointing = checkpointing,
                     .set = {{"attn_drop_rate", "0.1"}, {"proj_drop_rate", "0.1"}, {"patch_drop_rate", "0.5"}}});
    m->train();
    m->seed(3);
    m->set_requires_grad();
    backward(cross_entropy((*m)(image), from<int64_t>(std::array<int64_t, 2>{1, 3}, {2})));
    Tensors all;
    for (const NamedParameter& p : m->named_parameters()) all.push_back(p.tensor().grad());
    return all;
  };
  const Tensors kept = gradients(false), again = gradients(true);
  for (size_t i = 0; i < kept.size(); ++i) {
    REQUIRE(kept[i]);
    CHECK(distance(kept[i], again.at(i)) == 0);
  }
}

TEST_CASE("a mask makes tokens blind", "[zoo]") {
  const NoGrad no_grad;
  auto m = filled("test_vit");
  auto& vit = dynamic_cast<Vit&>(*m);
  Tensor near = golden_input({1, 3, 160, 160}), far = golden_input({1, 3, 160, 160});
  far.mutable_data<float>().back() += 5;  // in the last patch
  const Tensor a = vit.forward_features(near, {.causal = true}), b = vit.forward_features(far, {.causal = true});
  CHECK(distance(slice(a, 1, 0, 100), slice(b, 1, 0, 100)) == 0);
  CHECK(distance(a, b) > 0);
}

}  // namespace fovea::zoo
