// SPDX-License-Identifier: Apache-2.0
// test/zoo/transformers.cpp — relatives of the ViT beyond their figures: foreign weights, other sizes, refusals.
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "nn/layers/rotary.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "weights_tools/rename.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

std::unique_ptr<ImageModel> filled(const char* name, std::array<int, 2> size, const Settings& set) {
  auto m = create(name, {.num_classes = 5, .img_size = size, .set = set});
  fill_weights(*m);
  return m;
}

void check_same(const StateDict& ours, const StateDict& theirs) {
  REQUIRE(ours.size() == theirs.size());
  for (const auto& [name, t] : ours) {
    INFO(name);
    REQUIRE(theirs.contains(name));
    REQUIRE(t.shape() == theirs.at(name).shape());
    CHECK(reduce(abs(t - theirs.at(name)), Reduce::max).item() == 0);
  }
}

double distance(const Tensor& a, const Tensor& b) { return reduce(abs(a - b), Reduce::max).item(); }

}  // namespace

TEST_CASE("a ResMLP of its authors", "[zoo]") {
  const NoGrad no_grad;
  const auto m = filled("resmlp_12_224", {32, 32}, {{"num_blocks", "2"}, {"embed_dim", "16"}});
  constexpr Rename back[] = {{"stem", "patch_embed"},
                             {"linear_tokens", "attn"},
                             {"mlp_channels", "mlp"},
                             {"ls1", "gamma_1"},
                             {"ls2", "gamma_2"}};
  StateDict foreign = rename(m->state_dict(), back);
  for (const std::string& name : foreign.names())
    if (name.ends_with("alpha") || name.ends_with("beta")) foreign.set(name, reshape(foreign.at(name), {-1}));
  check_same(m->state_dict(), adapt_weights(*m, foreign));
}

TEST_CASE("an XCiT of its authors computes queries of all tokens", "[zoo]") {
  const NoGrad no_grad;
  const auto m = filled("xcit_nano_12_p16_224", {32, 32}, {{"depth", "1"}, {"embed_dim", "32"}});
  StateDict foreign = m->state_dict();
  for (int i : {0, 1})
    for (const char* kind : {"weight", "bias"}) {
      const std::string attn = str_cat("cls_attn_blocks.", i, ".attn.");
      const auto part = [&](char p) { return foreign.at(str_cat(attn, p, '.', kind)); };
      foreign.set(str_cat(attn, "qkv.", kind), cat({part('q'), part('k'), part('v')}, 0));
      for (const char p : {'q', 'k', 'v'}) foreign.erase(str_cat(attn, p, '.', kind));
    }
  constexpr Rename back[] = {{"^pos_embed", "pos_embeder"}};
  check_same(m->state_dict(), adapt_weights(*m, rename(foreign, back)));
}

TEST_CASE("biases of DINOv3: those of the keys are zero", "[zoo]") {
  const NoGrad no_grad;
  const auto m = filled("vit_tiny_patch16_dinov3_qkvb", {32, 32}, {{"depth", "1"}});
  StateDict foreign = m->state_dict();
  const std::string attn = "blocks.0.attn.";
  const Tensor q = foreign.at(attn + "q_bias"), v = foreign.at(attn + "v_bias");
  foreign.set(attn + "qkv.bias", cat({q, zeros_like(q), v}, 0));
  for (const char* gone : {"q_bias", "v_bias"}) foreign.erase(attn + gone);
  foreign.set("rope_embed.periods", q);
  constexpr Rename back[] = {{"gamma_1", "ls1.gamma"}, {"gamma_2", "ls2.gamma"}, {"^reg_token", "storage_tokens"}};
  check_same(m->state_dict(), adapt_weights(*m, rename(foreign, back)));
}

TEST_CASE("a BEiT for another grid", "[zoo]") {
  const NoGrad no_grad;
  const Settings small{{"depth", "2"}, {"embed_dim", "32"}, {"num_heads", "2"}};
  const auto moved = filled("beit_base_patch16_224", {48, 48}, small);
  const StateDict before = moved->state_dict();
  moved->set_input_size({64, 32});
  const auto fresh = create("beit_base_patch16_224", {.num_classes = 5, .img_size = std::array{64, 32}, .set = small});
  load_weights(*fresh, before, "a BEiT for 48 x 48");
  const Tensor image = golden_input({1, 3, 64, 32});
  CHECK(distance((*moved)(image), (*fresh)(image)) < 1e-6);
  CHECK(moved->find("blocks.1.attn")->own_parameters()[2]->shape() ==
        moved->find("blocks.0.attn")->own_parameters()[2]->shape());
  REQUIRE_THROWS_AS(moved->forward_intermediates(image, {.mask = {.causal = true}}), Error);
}

TEST_CASE("turning by places keeps lengths, and shared places give shared angles", "[zoo]") {
  const NoGrad no_grad;
  RotaryEmbedding rope({.head_dim = 8, .prefix = 1});
  const Rotary r = rope.at({2, 3});
  REQUIRE(r.sin.shape() == Shape{7, 8});
  const Tensor x = golden_input({1, 2, 7, 8}), y = rotated(x, r);
  CHECK(distance(sum(square(x), {-1}), sum(square(y), {-1})) < 1e-5);
  CHECK(distance(slice(x, 2, 0, 2), slice(y, 2, 0, 2)) == 0);  // the token in front, and row 0, column 0
  CHECK(distance(slice(x, 2, 2, 7), slice(y, 2, 2, 7)) > 0.1);
  REQUIRE_THROWS_AS(RotaryEmbedding({.head_dim = 6}), Error);
}

TEST_CASE("what these families cannot do is said", "[zoo]") {
  REQUIRE_THROWS_AS(create("convit_tiny", {.img_size = std::array{32, 48}}), Error);
  REQUIRE_THROWS_AS(create("cait_xxs24_224")->set_input_size({64, 64}), Error);
  REQUIRE_THROWS_AS(create("pit_ti_224", {.global_pool = "avg"}), Error);
  REQUIRE_THROWS_AS(create("xcit_nano_12_p16_224", {.set = {{"patch_size", "4"}}}), Error);
}

}  // namespace fovea::zoo
