// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/vit_weights/beit3.cpp — BEiT-3.
#include "engine/ops/ops.h"
#include "weights_tools/edit.h"
#include "weights_tools/rename.h"
#include "zoo/blocks/vit_weights/sources.h"

namespace fovea::zoo {
namespace {

// Branch A sees images, branch B text.
constexpr Rename kBeit3[] = {
    {"B", nullptr},
    {"^beit3.text_embed", nullptr},
    {"^beit3.vision_embed.mask_token", nullptr},
    {"^beit3.", ""},
    {"^vision_embed.cls_token", "cls_token"},
    {"^vision_embed.", "patch_embed."},
    {"^encoder.", ""},
    {"embed_positions", "pos_embed"},
    {"layers", "blocks"},
    {"ffn_layernorm", "norm"},
    {"ffn", "mlp"},
    {"self_attn_layer_norm", "norm1"},
    {"self_attn", "attn"},
    {"final_layer_norm", "norm2"},
    {"inner_attn_ln", "norm"},
    {"out_proj", "proj"},
    {"A.", ""},
};

}  // namespace

StateDict from_beit3(const StateDict& weights) {
  const StateDict renamed = rename(weights, kBeit3);
  StateDict w;
  for (const auto& [name, t] : renamed) {
    const size_t q = name.find("attn.q_proj.");
    if (q != std::string::npos) {
      const std::string start = name.substr(0, q + 5), kind = name.substr(q + 12);
      w.set(str_cat(start, "qkv.", kind),
            cat({t, renamed.at(str_cat(start, "k_proj.", kind)), renamed.at(str_cat(start, "v_proj.", kind))}, 0));
    } else if (name == "pos_embed.weight") {  // its first two rows stand for no token
      w.set("pos_embed", contiguous(unsqueeze(slice(t, 0, 2, t.dim(0)), 0)));
    } else if (name.find("attn.k_proj.") == std::string::npos && name.find("attn.v_proj.") == std::string::npos) {
      w.set(name, t);
    }
  }
  return w;
}

}  // namespace fovea::zoo
