// SPDX-License-Identifier: Apache-2.0
// zoo/families/efficientvim.cpp — EfficientViM: all pixels are summed up in a few states, which mix channels and are
// read out again; what classifies are the states of all stages. timm.models.efficientvim;
// https://arxiv.org/abs/2411.15241
#include <algorithm>
#include <array>
#include <utility>

#include "engine/core/node.h"
#include "engine/ops/ops.h"
#include "nn/fuse.h"
#include "nn/joint.h"
#include "nn/layers/channel_attention.h"
#include "nn/layers/norm.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/network_names.h"
#include "zoo/blocks/stages.h"
#include "zoo/family.h"
#include "zoo/levels.h"
#include "zoo/model_kinds.h"

namespace fovea::zoo::efficientvim {
namespace {

constexpr size_t kStages = 3;

struct Cfg {
  std::array<int, kStages> embed_dim{128, 256, 512}, depths{2, 2, 2}, state_dim{49, 25, 9};
  double mlp_ratio = 4, ssd_expand = 1;
  bool distilled = false;  // twice the classifiers, whose mean counts
};
FOVEA_SETTINGS(Cfg, embed_dim, depths, state_dim, mlp_ratio, ssd_expand, distilled)

constexpr double kEps = 1e-5;  // of layer norms

/// A convolution, "norm" and an activation. Norm and convolution are one after training.
class ConvLayer final : public Module, public Fusible {
 public:
  ConvLayer(int in, int out, int kernel, const Conv2dOptions& o, const Act& act = act::relu) : act_(act) {
    conv_ = add("conv", Conv2d(in, out, kernel, o));
    norm_ = add("norm", BatchNorm2d(out));
  }
  Tensor forward(const Tensor& x) override { return activate(norm_(conv_(x)), act_); }
  void fuse() override {
    become(*this, Branches([this](const Tensor& x) { return norm_(conv_(x)); }));
  }
  /// The convolution that `branches` of `owner` amount to, this layer among them.
  void become(Module& owner, const Traceable& branches) {
    if (norm_->vacant()) return;
    conv_ = replace("conv", fused_conv(owner, *conv_, branches));
    give_up({norm_.get()});
  }

 private:
  Act act_;
  Ref<Conv2d> conv_;
  Ref<Module> norm_;
};

ConvLayer depthwise(int dim) { return {dim, dim, 3, {.groups = dim}, act::none}; }

struct Stem final : Module {
  Ref<Module> conv;
  Stem(int in, int dim) {
    Sequential all;
    for (int i = 0, from = in; i < 4; ++i) {
      const int to = dim >> (3 - i);
      all.add(ConvLayer(from, to, 3, {.stride = 2}, i < 3 ? act::relu : act::none));
      from = to;
    }
    conv = add("conv", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return conv(x); }
};

/// Half the height and width.
struct PatchMerging final : Module, Fusible {
  Ref<Module> conv;
  Ref<ConvLayer> dwconv1, dwconv2;
  bool fused = false;
  PatchMerging(int in, int out) {
    const int hidden = 4 * out;
    Sequential all;
    all.add(ConvLayer(in, hidden, 1, {}));
    all.add(ConvLayer(hidden, hidden, 3, {.stride = 2, .groups = hidden}));
    all.add(SEModule(hidden, {.ratio = 0.25}));
    all.add(ConvLayer(hidden, out, 1, {}, act::none));
    conv = add("conv", std::move(all));
    dwconv1 = add("dwconv1", depthwise(in));
    dwconv2 = add("dwconv2", depthwise(out));
  }
  Tensor forward(const Tensor& x) override { return beside(*dwconv2, conv(beside(*dwconv1, x))); }
  Tensor beside(ConvLayer& dw, const Tensor& x) const { return fused ? dw(x) : x + dw(x); }
  void fuse() override {
    if (fused) return;
    for (const Ref<ConvLayer>& dw : {dwconv1, dwconv2})
      dw->become(*this, Branches([&](const Tensor& x) { return beside(*dw, x); }));
    fused = true;
  }
};

/// A 1x1 convolution over N,C,L or N,C,H,W.
struct PointConv final : Module {
  struct Conv1d final : Module {
    Param weight;
    Conv1d(int in, int out) { weight = param("weight", {out, in, 1}, init::torch_default(in)); }
    Tensor forward(const Tensor& x) override {
      const Tensor w = unsqueeze(weight, -1);
      return x.rank() == 4 ? fovea::conv(x, w) : squeeze(fovea::conv(unsqueeze(x, 2), w), 2);
    }
  };
  Ref<Module> conv;
  PointConv(int in, int out) { conv = add("conv", Conv1d(in, out)); }
  Tensor forward(const Tensor& x) override { return conv(x); }
};

/// From N,C,H,W to the same and the states N,C,S: shares of the pixels' sum go into each state, and back.
class StateMixer final : public Joint {
 public:
  StateMixer(const Cfg& c, int dim, int states) : inner_(static_cast<int>(c.ssd_expand * dim)) {
    a_ = param("A", {states}, init::uniform(1, 16));
    d_ = param("D", {1}, init::ones());
    in_ = add("BCdt_proj", PointConv(dim, 3 * states));
    struct Depthwise final : Module {
      Ref<Module> conv;
      explicit Depthwise(int channels) { conv = add("conv", Conv2d(channels, channels, 3, {.groups = channels})); }
      Tensor forward(const Tensor& x) override { return conv(x); }
    };
    dw_ = add("dw", Depthwise(3 * states));
    hz_ = add("hz_proj", PointConv(dim, 2 * inner_));
    out_ = add("out_proj", PointConv(inner_, dim));
  }

 private:
  Tensors pass(std::span<const Tensor> operands) override {
    const Tensor& x = operands[0];
    const std::vector<Tensor> each = chunk(flatten(dw_(in_(x)), 2), 3, 1);  // to states, from states, how much
    // A is the same for all pixels, which softmax does not see: it is there for its gradient alone.
    const Tensor shares = softmax(training() || grad_enabled() ? each[2] + unsqueeze(a_, 1) : each[2], -1) * each[0];
    const std::vector<Tensor> hz = chunk(hz_(matmul(flatten(x, 2), shares, {.transpose_b = true})), 2, 1);
    const Tensor h = out_(hz[0] * activate(hz[1], act::silu) + hz[0] * *d_);
    return {reshape(matmul(h, each[1]), x.shape()), h};
  }
  int inner_;
  Param a_, d_;
  Ref<Module> in_, dw_, hz_, out_;
};

/// Four branches, each of which takes the place of a share of its operand.
class Block final : public Joint, public Fusible {
 public:
  Block(const Cfg& c, int dim, int states, double drop_rate) {
    alpha_ = param("alpha", {4, dim}, init::constant(1e-4));
    mixer_ = add("mixer", StateMixer(c, dim, states));
    norm_ = add("norm", LayerNorm2d(dim, kEps));
    dwconv1_ = add("dwconv1", depthwise(dim));
    dwconv2_ = add("dwconv2", depthwise(dim));
    const int hidden = static_cast<int>(dim * c.mlp_ratio);
    Sequential ffn;
    ffn.add("fc1", ConvLayer(dim, hidden, 1, {}));
    ffn.add("fc2", ConvLayer(hidden, dim, 1, {}, act::none));
    ffn_ = add("ffn", std::move(ffn));
    drop_path_ = add("drop_path", DropPath(drop_rate));
  }
  void fuse() override {
    if (fused_) return;
    dwconv1_->become(*this, Branches([&](const Tensor& x) { return mixed(0, x, dwconv1_(x)); }));
    dwconv2_->become(*this, Branches([&](const Tensor& x) { return mixed(2, x, dwconv2_(x)); }));
    fused_ = true;
  }

 private:
  Tensors pass(std::span<const Tensor> operands) override {
    Tensor x = local(0, *dwconv1_, operands[0]);
    const Tensor normed = norm_(x);
    const Tensors seen = (*mixer_)(std::span(&normed, 1));
    x = local(2, *dwconv2_, mixed(1, x, seen[0]));
    return {mixed(3, x, ffn_(x)), seen[1]};
  }
  Tensor local(int64_t branch, ConvLayer& dw, const Tensor& x) { return fused_ ? dw(x) : mixed(branch, x, dw(x)); }
  Tensor mixed(int64_t branch, const Tensor& x, const Tensor& y) {
    const Tensor share = reshape(sigmoid(select(alpha_, 0, branch)), {-1, 1, 1});
    return x + drop_path_(share * (y - x));
  }
  bool fused_ = false;
  Param alpha_;
  Ref<StateMixer> mixer_;
  Ref<ConvLayer> dwconv1_, dwconv2_;
  Ref<Module> norm_, ffn_, drop_path_;
};

struct Stage final : Module {
  Ref<Module> blocks;
  Maybe<Module> downsample;
  std::vector<Ref<Block>> each;
  Stage(const Cfg& c, size_t s, DropPathRamp& drop_path) {
    Sequential all;
    for (int i = 0; i < c.depths[s]; ++i)
      each.push_back(all.add(Block(c, c.embed_dim[s], c.state_dim[s], drop_path.next())));
    blocks = add("blocks", std::move(all));
    if (s + 1 < kStages) downsample = add("downsample", PatchMerging(c.embed_dim[s], c.embed_dim[s + 1]));
  }
};

/// Features are the states of all stages and the last map, a row of values for each image.
class EfficientVim final : public ImageModel, public TwoHeadedModel {
 public:
  EfficientVim(const Cfg& c, const ModelOptions& o) : ImageModel(o), cfg_(c), pool_(wanted_pool("avg")) {
    check_pool(pool_, num_classes_);
    for (const char* name : {"weights", "weights_dist"})
      if (weights_.empty() || c.distilled) weights_.push_back(param(name, {kStages + 1}, init::ones()));
    patch_embed_ = add("patch_embed", Stem(o.in_chans.value_or(3), c.embed_dim[0]));
    DropPathRamp drop_path(o, c.depths);
    Sequential stages, norms;
    for (size_t s = 0; s < kStages; ++s) {
      stages_.push_back(stages.add(Stage(c, s, drop_path)));
      norms_.push_back(norms.add(LayerNorm(c.embed_dim[s], kEps)));
      num_features_ += c.embed_dim[s];
    }
    norms_.push_back(norms.add(LayerNorm2d(c.embed_dim[kStages - 1], kEps)));
    num_features_ += c.embed_dim[kStages - 1];
    head_hidden_size_ = num_features_;
    add("stages", std::move(stages));
    norm_ = add("norm", std::move(norms));
    head_drop_ = add("head_drop", Dropout(static_cast<double>(drop_rate_)));
    for (size_t i = 0; i < weights_.size(); ++i) heads_.push_back(add(kHeads[i], classifiers()));
    for (const char* list : kHeads)
      for (size_t i = 0; i <= kStages && (list == kHeads[0] || c.distilled); ++i)
        classifier_name_ += str_cat(classifier_name_.empty() ? "" : ",", list, '.', i);
    start_linear(*this, init::trunc_normal(0.02));
  }

  Tensor forward_features(const Tensor& image) override {
    Tensor x = patch_embed_(image), map;
    Tensors parts;
    for (size_t s = 0; s < stages_.size(); ++s) {
      Tensors now{x};
      for (const Ref<Block>& block : stages_[s]->each) {
        const Scope stages("stages"), own(stages_[s]->name()), blocks("blocks");
        now = run(*block, now);
        if (&block != &stages_[s]->each.back()) now.resize(1);
      }
      parts.push_back(flatten(normed_states(s, now[1]), 1));
      map = now[0];
      if (tap(str_cat("stages.", s), map)) {
        parts.push_back(flatten(s + 1 == stages_.size() ? normed(stages_.size(), map) : map, 1));
        return cat(parts, 1);
      }
      const Scope stages("stages"), own(stages_[s]->name());
      x = stages_[s]->downsample(map);
    }
    parts.push_back(flatten(normed(stages_.size(), x), 1));
    return cat(parts, 1);
  }
  std::pair<Tensor, Tensor> heads(const Tensor& features) override {
    const Tensors parts = pooled(features);
    return {fused(0, parts), heads_.size() > 1 ? fused(1, parts) : Tensor()};
  }
  Tensor forward_head(const Tensor& features, bool pre_logits = false) override {
    if (pool_.empty()) return features;
    if (pre_logits || num_classes_ == 0) return cat(pooled(features), 1);
    const auto [a, b] = heads(features);
    return b ? (a + b) * 0.5 : a;
  }
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override {
    if (num_classes < 0)
      throw Error(Error::Kind::argument, str_cat("num_classes is ", num_classes), "0 takes the classifiers away");
    const std::string pool(global_pool.value_or(pool_));
    check_pool(pool, num_classes);
    pool_ = pool;
    num_classes_ = num_classes;
    for (size_t i = 0; i < heads_.size(); ++i)
      heads_[i] = replace(kHeads[i], std::make_unique<Sequential>(classifiers()));
  }
  const std::string& global_pool() const override { return pool_; }
  /// Norms stay where somebody needs them: of the wanted levels, or of all with the head.
  std::vector<int> prune(const PruneOptions& o = {}) override {
    const int count = static_cast<int>(stages_.size());
    kept_ = wanted_levels(o.indices, o.last, count, full_name()).sorted;
    if (!o.head && kept_.back() + 1 < count)
      throw Error(Error::Kind::argument, "the classifiers need all stages", "let the head go, too");
    return ImageModel::prune(o);
  }
  std::vector<std::string> no_weight_decay() const override { return {"D"}; }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^patch_embed"}, {1, "^stages.#"}};
    return {{0, "^patch_embed"},
            {1, "^stages.#.blocks.#"},
            {.group = 1, .pattern = "^stages.#.downsample", .number = 99999},
            {.group = 1, .pattern = "^norm", .number = 99999}};
  }

 protected:
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}, .one_width = true}; }
  Tensor final_norm(const Tap& tapped) override {
    const Tensor rows = permute(tapped.value, {0, 2, 3, 1});
    for (size_t s = 0; s < stages_.size(); ++s)
      if (tapped.module == str_cat("stages.", s)) return permute(normed(s, rows), {0, 3, 1, 2});
    return tapped.value;
  }
  void vacate_behind(std::string_view level, std::string_view last_level) override {
    ImageModel::vacate_behind(level, last_level);
    const auto stages = static_cast<size_t>(kept_.back() + 1);
    stages_.resize(stages);
    if (Module* merging = stages_.back()->find("downsample")) merging->vacate();
    for (size_t i = stages; i <= kStages; ++i) norms_[i]->vacate();
    norms_.resize(stages + 1);
    num_features_ = cfg_.embed_dim[stages - 1];
    for (size_t s = 0; s < stages; ++s) num_features_ += cfg_.embed_dim[s];
    head_hidden_size_ = num_features_;
    for (const Param& w : weights_)
      w.set(cat({slice(w, 0, 0, static_cast<int64_t>(stages)), slice(w, 0, kStages, kStages + 1)}, 0));
  }
  void drop_head() override {
    for (int i = 0; i < static_cast<int>(norms_.size()) && !norm_->vacant(); ++i)
      if (std::ranges::count(kept_, i) == 0) norms_[static_cast<size_t>(i)]->vacate();
    reset_classifier(0);
  }

 private:
  static constexpr const char* kHeads[] = {"heads", "heads_dist"};
  static void check_pool(std::string_view pool, int classes) {
    if ((pool == "avg" || pool.empty()) && (!pool.empty() || classes == 0)) return;
    throw Error(Error::Kind::argument, str_cat("no pooling '", pool, "' in front of ", classes, " classes"),
                "there is avg, and \"\" for none where there are no classes");
  }
  int width(size_t part) const { return cfg_.embed_dim[std::min(part, stages_.size() - 1)]; }
  Sequential classifiers() const {
    Sequential all;
    for (size_t i = 0; i <= stages_.size(); ++i) all.add(classifier_layer(width(i), num_classes_));
    return all;
  }
  Tensor normed(size_t i, const Tensor& x) {
    if (norm_->vacant() || norms_[i]->vacant()) return x;
    const Scope scope("norm");
    return norms_[i](x);
  }
  Tensor normed_states(size_t i, const Tensor& h) { return transpose(normed(i, transpose(h, 1, 2)), 1, 2); }
  Tensors pooled(const Tensor& features) {
    Tensors parts;
    int64_t at = 0;
    for (size_t i = 0; i <= stages_.size(); ++i) {
      const int64_t end = i < stages_.size() ? at + int64_t{width(i)} * cfg_.state_dim[i] : features.dim(1);
      parts.push_back(head_drop_(mean(unflatten(slice(features, 1, at, end), 1, {width(i), -1}), {2})));
      at = end;
    }
    return parts;
  }
  // Classifiers of the parts, weighed.
  Tensor fused(size_t i, const Tensors& parts) {
    const Scope scope(heads_[i]->name());
    const Tensor shares = softmax(weights_[i], -1);
    Tensor sum;
    for (size_t n = 0; n < parts.size(); ++n) {
      const auto at = static_cast<int64_t>(n);
      const Tensor logits = (*heads_[i]->children()[n])(parts[n]) * slice(shares, 0, at, at + 1);
      sum = sum ? sum + logits : logits;
    }
    return sum;
  }

  Cfg cfg_;
  std::string pool_;
  std::vector<int> kept_;
  std::vector<Param> weights_;
  Ref<Module> patch_embed_, norm_, head_drop_;
  std::vector<Ref<Stage>> stages_;
  std::vector<Ref<Module>> norms_;
  std::vector<Ref<Sequential>> heads_;
};

constexpr Rename kUndistilled[] = {{"^heads_dist.**", nullptr}, {"^weights_dist", nullptr}};

StateDict adapt(ImageModel& model, StateDict weights) {
  if (weights.contains("patch_embed.conv.0.conv.bias")) fuse(model);
  if (!model.find("heads_dist")) weights = rename(weights, kUndistilled);
  fit_shapes(model, weights);  // norms had dimensions for pixels
  return weights;
}

constexpr Cfg m1{.embed_dim{128, 192, 320}}, m2{}, m3{.embed_dim{224, 320, 512}},
    m4{.embed_dim{224, 320, 512}, .depths{3, 4, 2}, .state_dim{64, 32, 16}};
constexpr Cfg dist(Cfg c) {
  c.distilled = true;
  return c;
}
constexpr Variant<Cfg> variants[] = {
    {"efficientvim_m1", m1}, {"efficientvim_m1_dist", dist(m1)},
    {"efficientvim_m2", m2}, {"efficientvim_m2_dist", dist(m2)},
    {"efficientvim_m3", m3}, {"efficientvim_m3_dist", dist(m3)},
    {"efficientvim_m4", m4}, {"efficientvim_m4_dist", dist(m4)},
};

}  // namespace

FOVEA_FAMILY(efficientvim, EfficientVim, variants, .adapt = adapt)

}  // namespace fovea::zoo::efficientvim
