// SPDX-License-Identifier: Apache-2.0
// zoo/families/shvit.cpp — SHViT: one head attends over a part of the channels, the rest pass it by; timm.models.shvit;
// https://arxiv.org/abs/2401.16456
#include "zoo/blocks/chained.h"
#include "zoo/blocks/map_heads.h"
#include "zoo/blocks/normed_layers.h"
#include "zoo/blocks/stage_groups.h"
#include "zoo/family.h"

namespace fovea::zoo::shvit {
namespace {

struct Cfg {
  std::array<int, 3> embed_dim{128, 256, 384}, partial_dim{32, 64, 96}, qk_dim{16, 16, 16}, depth{1, 2, 3};
  std::string_view types = "s,s,s";  // of the stages: s attends, i does not
  NormSpec::Kind norm_layer = NormSpec::Kind::group;
  Act act_layer = act::relu;
};
FOVEA_SETTINGS(Cfg, embed_dim, partial_dim, qk_dim, depth, types, norm_layer, act_layer)

ConvNorm normed(int in, int out, double gain = 1) { return ConvNorm("c", in, out, 1, {}, gain); }
ConvNorm depthwise(int channels, int stride = 1, double gain = 1) {
  return ConvNorm("c", channels, channels, 3, {.stride = stride, .groups = channels, .padding = 1}, gain);
}

struct Residual final : Module {
  Ref<Module> m;
  explicit Residual(std::unique_ptr<Module> branch) { m = add("m", std::move(branch)); }
  Tensor forward(const Tensor& x) override { return x + m(x); }
};
template <class M>
Residual residual(M branch) {
  return Residual(std::make_unique<M>(std::move(branch)));
}

/// A pixel and its neighbours.
struct Neighbours final : FusibleLayer {
  Ref<ConvNorm> m;
  explicit Neighbours(int channels, double gain = 1) { m = add("m", depthwise(channels, 1, gain)); }
  Tensor branches(const Tensor& x) override { return x + m(x); }
  std::unique_ptr<Module> layer() override {
    return fused_conv(*this, *m->conv, Branches([this](const Tensor& x) { return branches(x); }));
  }
};

struct Ffn final : Module {
  Ref<Module> pw1, act, pw2;
  Ffn(int dim, const Act& a) {
    pw1 = add("pw1", normed(dim, 2 * dim));
    act = add("act", Activation(a));
    pw2 = add("pw2", normed(2 * dim, dim, 0));
  }
  Tensor forward(const Tensor& x) override { return pw2(act(pw1(x))); }
};

struct PatchMerging final : Module {
  Ref<Module> conv1, conv2, se, conv3;
  Act act;
  PatchMerging(const Cfg& c, int in, int out) : act(c.act_layer) {
    conv1 = add("conv1", normed(in, 4 * in));
    conv2 = add("conv2", depthwise(4 * in, 2));
    se = add("se", SEModule(4 * in, {.ratio = 0.25}));
    conv3 = add("conv3", normed(4 * in, out));
  }
  Tensor forward(const Tensor& x) override { return conv3(se(activate(conv2(activate(conv1(x), act)), act))); }
};

struct Attention final : Module {
  int64_t key, seen, passed;  // channels: of queries and keys, of values, and of the rest
  Ref<Module> pre_norm, qkv, proj;
  Attention(const Cfg& c, size_t s) : key(c.qk_dim[s]), seen(c.partial_dim[s]), passed(c.embed_dim[s] - seen) {
    pre_norm = add("pre_norm", norm2d({.kind = c.norm_layer, .groups = 1}, c.partial_dim[s]));
    qkv = add("qkv", normed(c.partial_dim[s], 2 * c.qk_dim[s] + c.partial_dim[s]));
    Sequential out;
    out.add(Activation(c.act_layer));
    out.add(normed(c.embed_dim[s], c.embed_dim[s], 0));
    proj = add("proj", std::move(out));
  }
  Tensor forward(const Tensor& x) override {
    const std::vector<Tensor> part = split(x, {seen, passed}, 1),
                              each = split(qkv(pre_norm(part[0])), {key, key, seen}, 1);
    const Tensor y = sdpa(split_map_heads(each[0], 1), split_map_heads(each[1], 1), split_map_heads(each[2], 1));
    return proj(cat({merge_map_heads(y, x.dim(2), x.dim(3)), part[1]}, 1));
  }
};

struct Block final : Module {
  Ref<Module> conv, ffn;
  Maybe<Module> mixer;
  Block(const Cfg& c, size_t s, bool attends) {
    conv = add("conv", Neighbours(c.embed_dim[s], 0));
    if (attends) mixer = add("mixer", residual(Attention(c, s)));
    ffn = add("ffn", residual(Ffn(c.embed_dim[s], act::relu)));
  }
  Tensor forward(const Tensor& x) override { return ffn(mixer(conv(x))); }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, size_t s, bool attends) {
    const int in = c.embed_dim[s > 0 ? s - 1 : 0], out = c.embed_dim[s];
    if (in != out) {
      Sequential shrinks;
      const auto mix = [&](int dim) {
        shrinks.add(Neighbours(dim));
        shrinks.add(residual(Ffn(dim, c.act_layer)));
      };
      mix(in);
      shrinks.add(PatchMerging(c, in, out));
      mix(out);
      downsample = add("downsample", std::move(shrinks));
    }
    Sequential all;
    for (int i = 0; i < c.depth[s]; ++i) all.add(Block(c, s, attends));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

class ShVit final : public Chained<ImageModel> {
 public:
  ShVit(const Cfg& c, const ModelOptions& o) : Chained(o) {
    Sequential first;
    for (int part = 8, in = o.in_chans.value_or(3); part > 0; part /= 2) {
      const int out = c.embed_dim[0] / part;
      first.add(ConvNorm("c", in, out, 3, {.stride = 2, .padding = 1}));
      if (part > 1) first.add(Activation(c.act_layer));
      in = out;
    }
    add("patch_embed", std::move(first));
    stem("patch_embed");
    const std::vector<std::string> types = split_list(c.types);
    Sequential stages;
    for (size_t s = 0; s < 3; ++s) {
      if (types.size() != 3 || (types[s] != "s" && types[s] != "i"))
        throw Error(Error::Kind::argument, str_cat("types is '", c.types, "'"), "it says s or i for each stage");
      stages.add(Stage(c, s, types[s] == "s"));
    }
    add("stages", std::move(stages));
    parts("stages", {0, 1, 2});
    classifier_name_ = "head";
    num_features_ = head_hidden_size_ = c.embed_dim[2];
    pool_ = add("global_pool", pooling(wanted_pool("avg")));
    if (drop_rate_ > 0) drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
    head_ = add("head", classifier_of(num_classes_));
  }
  Tensor forward_head(const Tensor& features, bool pre_logits) override {
    const Tensor x = drop_(pool_(features));
    return pre_logits ? x : head_(x);
  }
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool) override {
    if (num_classes < 0)
      throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifier away");
    if (global_pool) pool_ = replace("global_pool", pooling(*global_pool));
    num_classes_ = num_classes;
    head_hidden_size_ = num_features_;
    head_ = replace("head", classifier_of(num_classes));
  }
  const std::string& global_pool() const override { return pool_->type(); }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    return stage_groups("stages", "", coarse, "patch_embed");
  }

 private:
  static std::unique_ptr<GlobalPool> pooling(std::string_view type) {
    auto pool = std::make_unique<GlobalPool>(type);
    if (pool->width() != 1)
      throw Error(Error::Kind::argument, str_cat("SHViT has no pooling '", type, "'"), "there are avg, max and avgmax");
    return pool;
  }
  std::unique_ptr<Module> classifier_of(int classes) const {
    if (classes == 0) return std::make_unique<Identity>();
    return std::make_unique<NormLinear>("l", num_features_, classes);
  }
  Ref<GlobalPool> pool_;
  Maybe<Module> drop_;
  Ref<Module> head_;
};

// Weights of a fused net fit a fused one.
StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("patch_embed.0.weight")) fuse(model);
  return weights;
}

constexpr std::string_view kLate = "i,s,s";
constexpr Variant<Cfg> variants[] = {
    {"shvit_s1", {.embed_dim{128, 224, 320}, .partial_dim{32, 48, 68}, .depth{2, 4, 5}, .types = kLate}},
    {"shvit_s2", {.embed_dim{128, 308, 448}, .partial_dim{32, 66, 96}, .depth{2, 4, 5}, .types = kLate}},
    {"shvit_s3", {.embed_dim{192, 352, 448}, .partial_dim{48, 75, 96}, .depth{3, 5, 5}, .types = kLate}},
    {"shvit_s4", {.embed_dim{224, 336, 448}, .partial_dim{48, 72, 96}, .depth{4, 7, 6}, .types = kLate}},
};

}  // namespace

FOVEA_FAMILY(shvit, ShVit, variants, .accepts = {.drop_path_rate = false}, .adapt = adapt)

}  // namespace fovea::zoo::shvit
