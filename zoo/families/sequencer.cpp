// SPDX-License-Identifier: Apache-2.0
// zoo/families/sequencer.cpp — Sequencer: in place of attention, long short-term memory along the rows and the columns
// of the map, in both directions. timm.models.sequencer; https://arxiv.org/abs/2205.01972
#include <cmath>
#include <utility>

#include "engine/ops/ops.h"
#include "nn/layers/lstm.h"
#include "zoo/blocks/chained.h"
#include "zoo/blocks/headed_model.h"
#include "zoo/family.h"

namespace fovea::zoo::sequencer {
namespace {

// how what the columns and the rows give is joined, or which of them there is
enum class Union : uint8_t { cat, add, vertical, horizontal };
constexpr std::string_view name_of(Union u) {
  constexpr std::string_view names[] = {"cat", "add", "vertical", "horizontal"};
  return static_cast<size_t>(u) < std::size(names) ? names[static_cast<size_t>(u)] : std::string_view();
}

struct Joining {  // a part, for what its setting is called cannot name a field
  Union kind = Union::cat;
};
SettingsRef settings_of(Joining& j) { return {setting("union", j.kind)}; }

struct Cfg {
  std::array<int, 4> layers{4, 3, 8, 3}, patch_sizes{7, 2, 1, 1}, embed_dims{192, 384, 384, 384};
  std::array<int, 4> hidden_sizes{48, 96, 96, 96}, mlp_ratios{3, 3, 3, 3};
  Act act_layer = act::gelu;
  int num_rnn_layers = 1;
  bool bidirectional = true;
  Joining joining{};
  bool with_fc = true;  // a linear layer behind
  double proj_drop_rate = 0;
  bool nlhb = false;  // the classifier starts with the logits of even odds
  bool stem_norm = false;
};
FOVEA_SETTINGS(Cfg, layers, patch_sizes, embed_dims, hidden_sizes, mlp_ratios, act_layer, num_rnn_layers, bidirectional,
               joining, with_fc, proj_drop_rate, nlhb, stem_norm)

/// Of the columns and the rows of N,H,W,C.
struct Lstm2d final : Module {
  Maybe<Module> fc;
  Ref<Lstm> rnn_v, rnn_h;
  bool joins;
  Lstm2d(const Cfg& c, int dim, int hidden) : joins(c.joining.kind == Union::cat) {
    const int one = hidden * (c.bidirectional ? 2 : 1), all = joins ? 2 * one : one;
    if (c.with_fc) fc = add("fc", Linear(all, dim));
    else if (all != dim)
      throw Error(Error::Kind::argument, str_cat("what remembers gives ", all, " channels, and the map has ", dim),
                  "without with_fc they are as many");
    const LstmOptions o{.layers = c.num_rnn_layers, .bidirectional = c.bidirectional};
    if (c.joining.kind != Union::horizontal) rnn_v = add("rnn_v", Lstm(dim, hidden, o));
    if (c.joining.kind != Union::vertical) rnn_h = add("rnn_h", Lstm(dim, hidden, o));
  }
  Tensor forward(const Tensor& x) override {
    if (!rnn_h) return fc(rnn_v(x, 1));
    if (!rnn_v) return fc(rnn_h(x, 2));
    return fc(joins ? cat({rnn_v(x, 1), rnn_h(x, 2)}, 3) : rnn_v(x, 1) + rnn_h(x, 2));
  }
};

struct Block final : Module {
  Ref<Module> norm1, rnn_tokens, drop_path, norm2, mlp_channels;
  Block(const Cfg& c, size_t s, double drop_rate) {
    const int dim = c.embed_dims[s];
    norm1 = add("norm1", LayerNorm(dim));
    rnn_tokens = add("rnn_tokens", Lstm2d(c, dim, c.hidden_sizes[s]));
    drop_path = add("drop_path", DropPath(drop_rate));
    norm2 = add("norm2", LayerNorm(dim));
    mlp_channels =
        add("mlp_channels", Mlp(dim, {.hidden = c.mlp_ratios[s] * dim, .act = c.act_layer, .drop = c.proj_drop_rate}));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = x + drop_path(rnn_tokens(norm1(x)));
    return y + drop_path(mlp_channels(norm2(y)));
  }
};

struct Downsample final : Module {
  Ref<Module> down;
  Downsample(int in, int out, int patch) {
    down = add("down", Conv2d(in, out, patch, {.stride = patch, .padding = 0, .bias = true}));
  }
  Tensor forward(const Tensor& x) override { return permute(down(permute(x, {0, 3, 1, 2})), {0, 2, 3, 1}); }
};

struct Stage final : Module {
  Maybe<Module> downsample;
  Ref<Module> blocks;
  Stage(const Cfg& c, size_t s, double drop_rate) {
    if (s > 0) downsample = add("downsample", Downsample(c.embed_dims[s - 1], c.embed_dims[s], c.patch_sizes[s]));
    Sequential all;
    for (int i = 0; i < c.layers[s]; ++i) all.add(Block(c, s, drop_rate));
    blocks = add("blocks", std::move(all));
  }
  Tensor forward(const Tensor& x) override { return blocks(downsample(x)); }
};

// Of all layers but the recurrent ones, by kind and name.
void start_layers(Module& model, double head_bias) {
  model.visit([&](const std::string& path, Module& m) {
    const auto* conv = dynamic_cast<Conv2d*>(&m);
    const auto* linear = dynamic_cast<Linear*>(&m);
    if (!conv && !linear) return;
    const bool head = path.starts_with("head");
    const Param &weight = conv ? conv->weight : linear->weight, &bias = conv ? conv->bias : linear->bias;
    weight.slot().init = head   ? init::zeros()
                         : conv ? init::lecun_normal(weight->shape())
                                : init::xavier_uniform(weight->shape());
    bias.slot().init = head                                    ? init::constant(head_bias)
                       : path.find("mlp") != std::string::npos ? init::normal(1e-6)
                                                               : init::zeros();
  });
}

class Sequencer final : public Chained<HeadedModel> {
 public:
  Sequencer(const Cfg& c, const ModelOptions& o) : Chained(o) {
    features_nchw_ = false;
    channel_axis_ = 3;
    default_levels_ = -3;
    const TokenNorm norm{.kind = c.stem_norm ? TokenNorm::Kind::layer : TokenNorm::Kind::none, .eps = 1e-6};
    add("stem", PatchEmbed(o.in_chans.value_or(3), c.embed_dims[0],
                           {.image = 0, .patch = c.patch_sizes[0], .norm = norm, .flatten = false}));
    stem("stem");
    Sequential stages;
    for (size_t s = 0; s < 4; ++s) stages.add(Stage(c, s, static_cast<double>(o.drop_path_rate.value_or(0.0f))));
    add("stages", std::move(stages));
    parts("stages", {0, 1, 2, 3});
    norm_ = add("norm", LayerNorm(c.embed_dims[3]));
    stem("norm");
    head(c.embed_dims[3], "avg", true);
    start_layers(*this, c.nlhb ? -std::log(num_classes_) : 0.0);
  }
  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    const LayerGroup norm{.group = 1, .pattern = "^norm", .number = 99999};
    if (coarse) return {{0, "^stem"}, {1, "^stages.#"}, norm};
    return {
        {0, "^stem"}, {1, "^stages.#.blocks.#"}, {.group = 1, .pattern = "^stages.#.downsample", .number = 0}, norm};
  }

 protected:
  Tensor final_norm(const Tap& tapped) override {
    return tapped.module == "stages.3" ? norm_(tapped.value) : tapped.value;
  }
  AfterLevels after_levels() const override { return {.norms = {"norm"}, .convs = {}}; }

 private:
  Maybe<Module> norm_;
};

constexpr Rename kOriginal[] = {
    {"^blocks.0.#.down.", "stages.1.downsample.down."},
    {"^blocks.1.#.down.", "stages.2.downsample.down."},
    {"^blocks.2.#.down.", "stages.3.downsample.down."},
    {"^blocks.#.#", "stages.$1.blocks.$2"},
    {"^head.", "head.fc."},
};

StateDict adapt(ImageModel&, StateDict weights) {
  return weights.contains("stages.0.blocks.0.norm1.weight") ? weights : rename(weights, kOriginal);
}

constexpr Variant<Cfg> variants[] = {
    {"sequencer2d_l", {.layers{8, 8, 16, 4}}},
    {"sequencer2d_m", {.layers{4, 3, 14, 3}}},
    {"sequencer2d_s", {}},
};

}  // namespace

FOVEA_FAMILY(sequencer, Sequencer, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::sequencer
