// SPDX-License-Identifier: Apache-2.0
// zoo/families/convit.cpp — ConViT: most blocks mix attention by content and by place, each head as it likes.
// timm.models.convit; https://arxiv.org/abs/2103.10697
#include <cmath>

#include "nn/layers/attention.h"
#include "nn/layers/patch_embed.h"
#include "zoo/blocks/stages.h"
#include "zoo/blocks/token_head_model.h"
#include "zoo/blocks/vit_init.h"
#include "zoo/family.h"

namespace fovea::zoo::convit {
namespace {

struct Cfg {
  int patch_size = 16, embed_dim = 48, depth = 12, num_heads = 12;  // embed_dim: of a head
  double mlp_ratio = 4;
  bool qkv_bias = false;
  int local_up_to_layer = 10;  // so many blocks know places; then the class token comes
  double locality_strength = 1;
  bool use_pos_embed = true;
  double pos_drop_rate = 0, proj_drop_rate = 0, attn_drop_rate = 0;

  int dim() const { return embed_dim * num_heads; }
};
FOVEA_SETTINGS(Cfg, patch_size, embed_dim, depth, num_heads, mlp_ratio, qkv_bias, local_up_to_layer, locality_strength,
               use_pos_embed, pos_drop_rate, proj_drop_rate, attn_drop_rate)

struct Eye final : Drawing {
  Tensor draw(const Shape& shape, DType dtype, uint64_t) const override { return cast(eye(shape[0]), dtype); }
};

// Heads begin as a convolution: each looks at one place of a square around the token.
struct Locality final : Drawing {
  explicit Locality(double s) : strength(static_cast<float>(s)) {}
  Tensor draw(const Shape& shape, DType dtype, uint64_t key) const override {
    Tensor t = init::draw(init::trunc_normal(0.02), shape, DType::f32, key);
    const std::span<float> w = t.mutable_data<float>();
    const int side = static_cast<int>(std::sqrt(static_cast<double>(shape[0])));
    const float center = side % 2 == 0 ? static_cast<float>(side - 1) / 2 : static_cast<float>(side / 2);
    for (int i = 0; i < side * side; ++i) {
      float* row = w.data() + static_cast<ptrdiff_t>(3) * i;
      row[0] = 2 * (static_cast<float>(i / side) - center);
      row[1] = 2 * (static_cast<float>(i % side) - center);
      row[2] = -1;
    }
    for (float& v : w) v *= strength;
    return cast(t, dtype);
  }
  float strength;
};

// For each pair of patches: offset to the right, downwards, and the square of the distance; [patches, patches, 3].
Tensor offsets(Size2 grid) {
  const int n = grid.h * grid.w;
  Tensor t = empty({n, n, 3});
  float* at = t.mutable_data<float>().data();
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      const auto right = static_cast<float>(j % grid.w - i % grid.w),
                 down = static_cast<float>(j / grid.w - i / grid.w);
      for (const float v : {right, down, right * right + down * down}) *at++ = v;
    }
  return t;
}

/// Gated positional self-attention.
class Gpsa final : public Module {
 public:
  Gpsa(const Cfg& c, const Tensor& places) : heads_(c.num_heads) {
    gating_param_ = param("gating_param", {heads_}, init::ones());
    rel_indices_ = constant("rel_indices", places.detach());
    qk_ = add("qk", Linear(c.dim(), 2 * c.dim(), c.qkv_bias));
    v = add("v", Linear(c.dim(), c.dim(), c.qkv_bias));
    attn_drop_ = add("attn_drop", Dropout(c.attn_drop_rate));
    proj_ = add("proj", Linear(c.dim(), c.dim()));
    pos_proj = add("pos_proj", Linear(3, heads_));
    proj_drop_ = add("proj_drop", Dropout(c.proj_drop_rate));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor weights = attn_drop_(attention(x));
    return proj_drop_(proj_(merge_heads(matmul(weights, split_heads(v(x), heads_)))));
  }
  Ref<Linear> v, pos_proj;

 private:
  Tensor attention(const Tensor& x) {
    const std::vector<Tensor> qk = chunk(qk_(x), 2, -1);
    const Tensor q = split_heads(qk[0], heads_), k = split_heads(qk[1], heads_);
    const Tensor content = softmax(matmul(q, transpose(k, 2, 3)) * (1 / std::sqrt(static_cast<double>(q.dim(3)))), -1);
    const Tensor place = softmax(permute(pos_proj(rel_indices_), {2, 0, 1}), -1);
    const Tensor gate = reshape(sigmoid(gating_param_), {-1, 1, 1}), mixed = content * (1.0 - gate) + place * gate;
    return mixed / sum(mixed, {-1}, keep_dims);
  }
  int heads_;
  Param gating_param_, rel_indices_;
  Ref<Linear> qk_, proj_;
  Ref<Dropout> attn_drop_, proj_drop_;
};

class Block final : public Module {
 public:
  Block(const Cfg& c, std::unique_ptr<Module> attn, double drop_path) {
    norm1_ = add("norm1", LayerNorm(c.dim()));
    attn_ = add("attn", std::move(attn));
    drop_path_ = add("drop_path", DropPath(drop_path));
    norm2_ = add("norm2", LayerNorm(c.dim()));
    mlp_ = add("mlp", Mlp(c.dim(), {.hidden = static_cast<int>(c.dim() * c.mlp_ratio), .drop = c.proj_drop_rate}));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop_path_(attn_(norm1_(x)));
    return y + drop_path_(mlp_(norm2_(y)));
  }

 private:
  Ref<Module> norm1_, attn_, drop_path_, norm2_, mlp_;
};

class ConVit final : public TokenHeadModel, public TokenModel {
 public:
  ConVit(const Cfg& c, const ModelOptions& o) : TokenHeadModel(o, {}), local_(c.local_up_to_layer) {
    default_levels_ = 3;
    const std::array<int, 2> size = o.img_size.value_or(std::array{224, 224});
    patch_embed_ = add("patch_embed", PatchEmbed(o.in_chans.value_or(3), c.dim(),
                                                 {.image = {size[0], size[1]}, .patch = c.patch_size}));
    cls_token_ = param("cls_token", {1, 1, c.dim()}, init::trunc_normal(0.02));
    if (c.use_pos_embed)
      pos_embed_ = param("pos_embed", {1, patch_embed_->patches(), c.dim()}, init::trunc_normal(0.02));
    pos_drop_ = add("pos_drop", Dropout(c.pos_drop_rate));
    add_blocks(c, static_cast<double>(o.drop_path_rate.value_or(0.0f)));
    norm_ = add("norm", LayerNorm(c.dim()));
    add_head(c.dim());
    start_vit_values(*this, VitInit::timm, num_classes_);
    for (Gpsa* attn : placed_) {
      attn->v->weight.slot().drawing = std::make_shared<Eye>();
      attn->pos_proj->weight.slot().drawing = std::make_shared<Locality>(c.locality_strength);
    }
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor x = patch_embed_(image);
    if (pos_embed_) x = x + *pos_embed_;
    x = pos_drop_(x);
    int at = 0;
    for (const auto& block : blocks_->children()) {
      if (at == local_) x = cat({expand(cls_token_, {x.dim(0), 1, x.dim(2)}), x}, 1);
      {
        const Scope scope("blocks");
        x = run(*block, x);
      }
      if (tap(str_cat("blocks.", at), at < local_ ? x : slice(x, 1, 1, x.dim(1)))) break;
      ++at;
    }
    return norm_(x);
  }
  Size2 token_grid(int64_t height, int64_t width) const override { return patch_embed_->grid_of(height, width); }
  std::vector<std::string> no_weight_decay() const override { return {"pos_embed", "cls_token"}; }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^cls_token"},
            {0, "^pos_embed"},
            {0, "^patch_embed"},
            {1, "^blocks.#"},
            {.group = 1, .pattern = "^norm", .joins_previous = true}};
  }

 protected:
  Tensor final_norm(const Tap& tapped) override { return norm_(tapped.value); }
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = true}; }

 private:
  void add_blocks(const Cfg& c, double drop_path_rate) {
    const Size2 grid = patch_embed_->grid();
    if (grid.h != grid.w)
      throw Error(Error::Kind::argument, str_cat("a grid of ", grid.h, " x ", grid.w, " patches"),
                  "ConViT takes square images only");
    const Tensor places = offsets(grid);
    DropPathRamp drop_path(drop_path_rate, c.depth);
    Sequential blocks;
    for (int i = 0; i < c.depth; ++i) {
      std::unique_ptr<Module> attn;
      if (i < local_) {
        auto placed = std::make_unique<Gpsa>(c, places);
        placed_.push_back(placed.get());
        attn = std::move(placed);
      } else {
        attn = std::make_unique<Attention>(c.dim(), SelfAttentionOptions{.heads = c.num_heads,
                                                                         .qkv_bias = c.qkv_bias,
                                                                         .attn_drop = c.attn_drop_rate,
                                                                         .proj_drop = c.proj_drop_rate});
      }
      blocks.add(Block(c, std::move(attn), drop_path.next()));
    }
    blocks_ = add("blocks", std::move(blocks));
  }

  int local_;
  Param cls_token_, pos_embed_;
  Ref<PatchEmbed> patch_embed_;
  Ref<Dropout> pos_drop_;
  Ref<Sequential> blocks_;
  std::vector<Gpsa*> placed_;
  Ref<LayerNorm> norm_;
};

constexpr Variant<Cfg> variants[] = {
    {"convit_tiny", {.num_heads = 4}},
    {"convit_small", {.num_heads = 9}},
    {"convit_base", {.num_heads = 16}},
};

}  // namespace

FOVEA_FAMILY(convit, ConVit, variants, .accepts = {.img_size = true})

}  // namespace fovea::zoo::convit
