// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_weights/jax.cpp — the archives of big_vision and of the original JAX code.
#include "engine/ops/ops.h"
#include "zoo/blocks/vit_weights.h"

namespace fovea::zoo {
namespace {

class JaxVit {
 public:
  JaxVit(const StateDict& from, std::string prefix) : from_(from), prefix_(std::move(prefix)) {
    big_vision_ = prefix_.starts_with("params/") || has("pos_embedding") || has(stacked("LayerNorm_0/scale"));
  }
  StateDict translated(int blocks) {
    put("cls_token", "cls");
    put("pos_embed", big_vision_ ? "pos_embedding" : "Transformer/posembed_input/pos_embedding");
    const Tensor kernel = get("embedding/kernel");  // of NaFlex [patch, O]
    out_.set("patch_embed.proj.weight",
             contiguous(kernel.rank() == 2 ? transpose(kernel, 0, 1) : permute(kernel, {3, 2, 0, 1})));
    put("patch_embed.proj.bias", "embedding/bias");
    for (int i = 0; i < blocks; ++i) block(i);
    norm("norm", "Transformer/encoder_norm");
    if (has("MAPHead_0/probe")) pool();
    if (has("head/bias")) dense("head", "head");
    return std::move(out_);
  }

 private:
  static std::string stacked(std::string_view name) { return str_cat("Transformer/encoderblock/", name); }
  bool has(std::string_view name) const { return from_.contains(prefix_ + std::string(name)); }
  // All blocks may lie in one tensor, one behind the other.
  Tensor get(const std::string& name) const {
    const Tensor& t = from_.at(prefix_ + name);
    return index_ < 0 ? t : select(t, 0, index_);
  }
  void put(const std::string& ours, const std::string& theirs) {
    if (has(theirs)) out_.set(ours, contiguous(get(theirs)));
  }
  void norm(const std::string& ours, const std::string& theirs) {
    put(ours + ".weight", theirs + "/scale");
    put(ours + ".bias", theirs + "/bias");
  }
  void dense(const std::string& ours, const std::string& theirs) {
    out_.set(ours + ".weight", contiguous(transpose(get(theirs + "/kernel"), 0, 1)));
    put(ours + ".bias", theirs + "/bias");
  }
  // Products into heads [C, heads, D] and out of them [heads, D, C].
  void into_heads(const std::string& ours, const std::string& mha, std::initializer_list<const char*> parts) {
    Tensors weights, biases;
    for (const char* part : parts) {
      weights.push_back(transpose(flatten(get(str_cat(mha, part, "/kernel")), 1), 0, 1));
      biases.push_back(flatten(get(str_cat(mha, part, "/bias"))));
    }
    out_.set(ours + ".weight", cat(weights, 0));
    out_.set(ours + ".bias", cat(biases, 0));
  }
  void out_of_heads(const std::string& ours, const std::string& mha) {
    out_.set(ours + ".weight", contiguous(transpose(flatten(get(mha + "out/kernel"), 0, 1), 0, 1)));
    put(ours + ".bias", mha + "out/bias");
  }
  void block(int i) {
    const bool in_one = has(stacked("LayerNorm_0/scale"));
    const std::string theirs = in_one ? stacked("") : str_cat("Transformer/encoderblock_", i, '/'),
                      ours = str_cat("blocks.", i, '.');
    index_ = in_one ? i : -1;
    const std::string mha = str_cat(theirs, "MultiHeadDotProductAttention_", big_vision_ ? 0 : 1, '/');
    norm(ours + "norm1", theirs + "LayerNorm_0");
    into_heads(ours + "attn.qkv", mha, {"query", "key", "value"});
    out_of_heads(ours + "attn.proj", mha);
    norm(ours + "norm2", str_cat(theirs, "LayerNorm_", big_vision_ ? 1 : 2));
    for (int layer : {0, 1})
      dense(str_cat(ours, "mlp.fc", layer + 1), str_cat(theirs, "MlpBlock_", big_vision_ ? 0 : 3, "/Dense_", layer));
    index_ = -1;
  }
  void pool() {
    const std::string mha = "MAPHead_0/MultiHeadDotProductAttention_0/";
    put("attn_pool.latent", "MAPHead_0/probe");
    into_heads("attn_pool.q", mha, {"query"});
    into_heads("attn_pool.kv", mha, {"key", "value"});
    out_of_heads("attn_pool.proj", mha);
    norm("attn_pool.norm", "MAPHead_0/LayerNorm_0");
    for (int layer : {0, 1})
      dense(str_cat("attn_pool.mlp.fc", layer + 1), str_cat("MAPHead_0/MlpBlock_0/Dense_", layer));
  }

  const StateDict& from_;
  std::string prefix_;
  bool big_vision_ = false;
  int64_t index_ = -1;
  StateDict out_;
};

}  // namespace

StateDict from_jax_vit(const StateDict& weights, int blocks) {
  for (std::string_view prefix : {"", "opt/target/", "params/", "params/img/"})
    if (weights.contains(str_cat(prefix, "embedding/kernel")))
      return JaxVit(weights, std::string(prefix)).translated(blocks);
  return weights;
}

}  // namespace fovea::zoo
