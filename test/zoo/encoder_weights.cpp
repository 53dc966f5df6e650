// SPDX-License-Identifier: Apache-2.0
// test/zoo/encoder_weights.cpp — weights of Segment Anything and CSATv2 as their authors wrote them, and what these
// two cannot be.
#include "engine/autograd/autograd.h"
#include "test/golden/runner/figures.h"
#include "test/zoo/foreign_weights.h"
#include "weights_tools/edit.h"

namespace fovea::zoo {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

std::unique_ptr<ImageModel> csat() {
  return create("csatv2", {.num_classes = 5,
                           .set = {{"dims", "16,16,24,32"}, {"depths", "2,2,8,2"}, {"transformer_depths", "0,0,2,1"}}});
}
std::unique_ptr<ImageModel> sam(const Settings& more = {}) {
  Settings set{{"embed_dim", "32"},  {"depth", "2"},       {"num_heads", "2"},
               {"window_size", "3"}, {"neck_chans", "16"}, {"global_attn_indexes", "1"}};
  set.insert(set.end(), more.begin(), more.end());
  return create("samvit_base_patch16", {.num_classes = 0, .img_size = {{64, 64}}, .set = set});
}

}  // namespace

TEST_CASE("of Segment Anything the image encoder is loaded", "[zoo]") {
  const auto filled = sam(), other = sam();
  const StateDict own = filled_weights(*filled);
  StateDict theirs;
  for (const auto& [name, t] : own) {
    constexpr Rename rows[] = {{"mlp.fc1", "mlp.lin1"}, {"mlp.fc2", "mlp.lin2"}};
    theirs.set("image_encoder." + rename(name, rows), t);
  }
  theirs.set("prompt_encoder.no_mask_embed.weight", zeros({1, 16}));
  check_loads(*other, theirs, own);
}

TEST_CASE("Segment Anything's encoder takes maps of other sizes", "[zoo]") {
  const NoGrad no_grad;
  const auto m = sam();
  fill_weights(*m);
  CHECK((*m).forward_features(golden_input({1, 3, 96, 128})).shape() == Shape{1, 16, 6, 8});
  CHECK_THROWS_AS((*m)(golden_input({1, 3, 72, 64})), Error);
  CHECK_THROWS_AS(sam({{"use_rope", "true"}}), Error);
  CHECK_THROWS_AS(sam({{"global_attn_indexes", "one"}}), Error);
}

TEST_CASE("CSATv2 of its authors halves maps at the ends of stages", "[zoo]") {
  const auto filled = csat(), other = csat();
  const StateDict own = filled_weights(*filled);
  constexpr Rename rows[] = {
      {"^stem_dct.conv_y", "dct.Y_Conv"},
      {"^stem_dct.conv_cb", "dct.Cb_Conv"},
      {"^stem_dct.conv_cr", "dct.Cr_Conv"},
      {"^stem_dct.", "dct."},
      {"^stages.0.#", "stages1.$1"},
      {"^stages.1.0", "stages1.3"},
      {"^stages.2.0", "stages2.3"},
      {"^stages.3.0", "stages3.9"},
      {"attn.attn.qkv", "attention.attention.attn.to_qkv"},
      {"attn.attn.pos_embed", "attention.attention.attn.pos_embed"},
      {"attn.attn.norm1", "attention.attention.attn_norm"},
      {"attn.attn.norm2", "attention.attention.ff_norm"},
      {"attn.attn.mlp.fc1", "attention.attention.ff.net.0"},
      {"attn.attn.mlp.fc2", "attention.attention.ff.net.3"},
      {"attn.conv", "attention.conv"},
      {"attn.proj", "attn.to_out.0"},
      {"attn.qkv", "attn.to_qkv"},
      {"grn.weight", "grn.gamma"},
      {"grn.bias", "grn.beta"},
      {"^head.fc.", "head."},
      {"^head.norm.", "norm."},
  };
  StateDict theirs;
  for (const auto& [name, t] : rename(own, rows)) {
    std::string theirs_name = name;
    for (int stage = 3; stage > 0; --stage)
      for (int i = 1; i < 16; ++i) {
        const std::string ours = str_cat("stages.", stage, '.', i, '.');
        if (name.starts_with(ours))
          theirs_name = str_cat("stages", stage + 1, '.', i - 1, '.', name.substr(ours.size()));
      }
    theirs.set(theirs_name, name.find("grn.") != std::string::npos ? reshape(t, {1, 1, 1, -1}) : t);
  }
  CHECK(theirs.contains("stages2.0.attention.attention.attn.to_qkv.weight"));
  CHECK(theirs.contains("stages3.9.weight"));
  check_loads(*other, theirs, own);
}

TEST_CASE("CSATv2's stem is for colours and whole blocks", "[zoo]") {
  const auto m = csat();
  m->materialise();
  CHECK_THROWS_AS((*m)(golden_input({1, 3, 100, 128})), Error);
  CHECK_THROWS_AS(create("csatv2", {.in_chans = 1}), Error);
}

}  // namespace fovea::zoo
