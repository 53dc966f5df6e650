// SPDX-License-Identifier: Apache-2.0
// test/zoo/towers.cpp — vision encoders of language models: weights as their makers wrote them, and what tags bring.
#include "engine/ops/ops.h"
#include "test/zoo/foreign_weights.h"
#include "weights_tools/edit.h"

namespace fovea::zoo {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

}  // namespace

TEST_CASE("Qwen3's encoder comes out of a file that holds the language model as well", "[zoo]") {
  const Settings small{{"embed_dim", "16"}, {"depth", "1"}, {"num_heads", "2"}, {"out_features", "8"}};
  const auto m = create("qwen3_vit_88m_merge", {.num_classes = 0, .set = small});
  const StateDict own = filled_weights(*m);
  for (const char* prefix : {"model.visual.", "visual.", "vlm.model.visual."}) {
    StateDict theirs;
    for (const auto& [name, t] : own) {
      std::string called = name.substr(std::string_view("encoder.").size());
      for (const char* layer : {"fc1", "fc2"})
        if (const size_t at = called.find(layer); at != called.npos) called.insert(at, "linear_");
      theirs.set(prefix + (called == "pos_embed" ? "pos_embed.weight" : called), t);
    }
    const std::string kernel = prefix + std::string("patch_embed.proj.weight");
    change(theirs, kernel, [](const Tensor& t) { return stack({t * 0.25, t * 0.75}, 2); });  // of two frames
    change(theirs, prefix + std::string("pos_embed.weight"), [](const Tensor& t) { return select(t, 0, 0); });
    theirs.set("model.layers.0.mlp.weight", zeros({3}));
    theirs.set(prefix + std::string("deepstack_merger_list.0.norm.weight"), zeros({3}));
    REQUIRE(theirs.contains(prefix + std::string("blocks.0.mlp.linear_fc1.weight")));
    check_loads(*create("qwen3_vit_88m_merge", {.num_classes = 0, .set = small}), theirs, own);
    StateDict without = own;
    for (const std::string& name : own.names())
      if (name.starts_with("encoder.merger.")) without.erase(name);
    check_loads(*create("qwen3_vit_88m", {.num_classes = 0, .set = small}), theirs, without);
  }
  check_loads(*create("qwen3_vit_88m_enc", {.set = small}), own, below(own, "encoder."));
}

TEST_CASE("merged tokens are as wide as the tag's language model", "[zoo]") {
  CHECK(create("qwen3_vit_306m_enc")->head_hidden_size() == 2048);
  CHECK(create("qwen3_vit_306m_enc.qwen3_vl_4b")->head_hidden_size() == 2560);
  CHECK(create("qwen3_vit_416m_merge.qwen3_vl_30b_a3b")->num_features() == 2048);
  CHECK(create("qwen3_vit_306m_enc.qwen3_vl_4b", {.set = {{"out_features", "8"}}})->head_hidden_size() == 8);
}

TEST_CASE("Gemma 4's encoder comes out of a file that holds the language model as well", "[zoo]") {
  const Settings small{{"embed_dim", "16"},         {"depth", "1"},
                       {"num_heads", "2"},          {"head_dim", "8"},
                       {"intermediate_size", "24"}, {"position_embedding_size", "48"}};
  const auto m = create("gemma4_vit_167m", {.num_classes = 0, .set = small});
  const StateDict own = filled_weights(*m);
  constexpr std::pair<const char*, const char*> parts[] = {{"norm1", "input_layernorm"},
                                                           {"norm2", "post_attention_layernorm"},
                                                           {"norm3", "pre_feedforward_layernorm"},
                                                           {"norm4", "post_feedforward_layernorm"},
                                                           {"attn.", "self_attn."},
                                                           {"patch_embed.", "patch_embedder."},
                                                           {"blocks.", "encoder.layers."}};
  StateDict theirs;
  for (const auto& [name, t] : own) {
    std::string called = name.substr(std::string_view("encoder.").size());
    for (const auto& [ours, other] : parts)
      if (const size_t at = called.find(ours); at != called.npos)
        called.replace(at, std::string_view(ours).size(), other);
    theirs.set("model.vision_tower." + called, t);
  }
  theirs.set("model.vision_tower.encoder.rotary_emb.inv_freq", zeros({2}));
  theirs.set("model.language_model.norm.weight", zeros({2}));
  REQUIRE(theirs.contains("model.vision_tower.encoder.layers.0.self_attn.q_proj.linear.weight"));
  check_loads(*create("gemma4_vit_167m", {.num_classes = 0, .set = small}), theirs, own);
  check_loads(*create("gemma4_vit_167m", {.num_classes = 0, .set = small}), below(own, "encoder."), own);
  check_loads(*create("gemma4_vit_167m_enc", {.set = small}), theirs, below(own, "encoder."));
}

}  // namespace fovea::zoo
