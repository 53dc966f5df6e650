// SPDX-License-Identifier: Apache-2.0
// zoo/families/maxxvit.cpp — CoAtNet, MaxViT and MaxxViT: stages of convolutions, of attention over the whole map, or
// of blocks that convolve and then attend in windows and between them.
// timm.models.maxxvit; https://arxiv.org/abs/2106.04803, https://arxiv.org/abs/2204.01697
#include <algorithm>

#include "zoo/blocks/first_values.h"
#include "zoo/blocks/maxxvit_transformer.h"
#include "zoo/blocks/relative_tables.h"
#include "zoo/blocks/staged_model.h"
#include "zoo/family.h"

namespace fovea::zoo::maxxvit {
namespace {

struct Cfg {
  std::array<int, 4> embed_dim{96, 192, 384, 768}, depths{2, 3, 5, 2};
  // One a stage: C convolves, T attends over the map, M convolves and attends in windows and between them, PM does the
  // latter side by side. "CxT": C first, then T to the stage's end.
  std::string_view block_type = "C,C,T,T";
  Two stem_width = 64;
  bool stem_bias = false;
  ConvCfg conv{};
  TransformerCfg transformer{};
  int head_hidden_size = 0;                  // of a layer in front of the classifier; 0: there is none
  std::string_view weight_init = "vit_eff";  // first values: normal, trunc_normal, xavier_normal or PyTorch's ("")
};
FOVEA_SETTINGS(Cfg, embed_dim, depths, block_type, stem_width, stem_bias, conv, transformer, head_hidden_size,
               weight_init)

struct Stem final : Module {
  Ref<Module> conv1, norm1, conv2;
  Stem(const Cfg& c, int in) {
    const auto conv = [&](int from, int to, int stride) {
      return Conv2d(from, to, 3, {.stride = stride, .padding = c.conv.conv_padding, .bias = c.stem_bias});
    };
    const int middle = c.stem_width.first;
    conv1 = add("conv1", conv(in, middle, 2));
    norm1 = add("norm1",
                norm_act2d(norm_spec(c.conv.conv_norm_layer, c.conv.conv_norm_eps), middle, c.conv.conv_act_layer));
    conv2 = add("conv2", conv(middle, c.stem_width.second, 1));
  }
  Tensor forward(const Tensor& image) override { return conv2(norm1(conv1(image))); }
};

// ---- blocks that convolve -------------------------------------------------------------------------------------------

struct MbConv final : Module {
  Maybe<Module> shortcut, down, se_early, se;
  Ref<Module> pre_norm, conv1_1x1, norm1, conv2_kxk, norm2, conv3_1x1, drop_path;
  MbConv(const ConvCfg& c, const BlockOptions& p) {
    const int middle = make_divisible((c.conv_expand_output ? p.out : p.in) * c.conv_expand_ratio);
    const auto norm = [&](int channels, bool acts = true) {
      return norm_act2d(norm_spec(c.conv_norm_layer, c.conv_norm_eps), channels, acts ? c.conv_act_layer : act::none);
    };
    const auto stride = [&](StrideMode m) { return c.conv_stride_mode == m ? p.stride : 1; };
    if (p.stride == 2)
      shortcut =
          add("shortcut", Downsample(p.in, p.out, pooling(c.conv_pool_type, c.conv_padding), c.conv_output_bias));
    pre_norm = add("pre_norm", norm(p.in, c.conv_pre_norm_act));
    if (stride(StrideMode::pool) > 1)
      down = add("down", Downsample(p.in, p.in, pooling(c.conv_downsample_pool_type, c.conv_padding)));
    conv1_1x1 = add("conv1_1x1", Conv2d(p.in, middle, 1, {.stride = stride(StrideMode::pointwise)}));
    norm1 = add("norm1", norm(middle));
    conv2_kxk = add("conv2_kxk", Conv2d(middle, middle, c.conv_kernel_size,
                                        {.stride = stride(StrideMode::dw),
                                         .groups = c.conv_group_size ? middle / c.conv_group_size : 1,
                                         .padding = c.conv_padding}));
    if (c.conv_attn_early) se_early = add("se_early", attention(c, middle, p.out));
    norm2 = add("norm2", norm(middle));
    if (!c.conv_attn_early) se = add("se", attention(c, middle, p.out));
    conv3_1x1 = add("conv3_1x1", Conv2d(middle, p.out, 1, {.bias = c.conv_output_bias}));
    drop_path = add("drop_path", DropPath(p.drop_path));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = norm1(conv1_1x1(down(pre_norm(x))));
    return drop_path(conv3_1x1(se(norm2(se_early(conv2_kxk(y)))))) + shortcut(x);
  }

 private:
  static std::unique_ptr<Module> attention(const ConvCfg& c, int middle, int out) {
    SqueezeOptions o;
    if (c.conv_attn_layer == "se") {
      o.channels = static_cast<int>(c.conv_attn_ratio * (c.conv_expand_output ? out : middle));
      o.act = c.conv_attn_act_layer;
    }
    return channel_attention(c.conv_attn_layer, middle, o);
  }
};

struct ConvNeXt final : Module {
  Maybe<Module> shortcut, down, ls;
  Ref<Module> conv_dw, norm, mlp, drop_path;
  ConvNeXt(const ConvCfg& c, const BlockOptions& p) {
    if (c.conv_stride_mode == StrideMode::pointwise)
      throw Error(Error::Kind::argument, "a convnext block has no convolution of 1x1 that could stride",
                  "conv_stride_mode is pool or dw");
    const bool pools = p.stride == 2 && c.conv_stride_mode == StrideMode::pool;
    if (p.stride == 2) shortcut = add("shortcut", Downsample(p.in, p.out, pooling(Pool::avg2)));
    else if (p.in != p.out) shortcut = add("shortcut", Conv2d(p.in, p.out, 1, {.bias = c.conv_output_bias}));
    if (pools) down = add("down", Downsample(p.in, p.in, pooling(c.conv_downsample_pool_type)));
    conv_dw = add("conv_dw",
                  Conv2d(p.in, p.out, 7, {.stride = pools ? 1 : p.stride, .groups = p.in, .bias = c.conv_output_bias}));
    norm = add("norm", norm2d(norm_spec(c.conv_norm_layer, c.conv_norm_eps), p.out));
    mlp = add("mlp", ConvMlp(p.out, {.hidden = static_cast<int>(c.conv_expand_ratio * p.out),
                                     .act = c.conv_act_layer,
                                     .bias = c.conv_output_bias}));
    if (c.conv_init_values > 0) ls = add("ls", LayerScale(p.out, c.conv_init_values, true));
    drop_path = add("drop_path", DropPath(p.drop_path));
  }
  Tensor forward(const Tensor& x) override { return drop_path(ls(mlp(norm(conv_dw(down(x)))))) + shortcut(x); }
};

std::unique_ptr<Module> conv_block(const ConvCfg& c, const BlockOptions& p) {
  if (c.conv_block_type == ConvKind::convnext) return std::make_unique<ConvNeXt>(c, p);
  return std::make_unique<MbConv>(c, p);
}

/// A convolution and then attention, one after the other or side by side.
class MixedBlock final : public Module {
 public:
  MixedBlock(const Cfg& c, const BlockOptions& p, const Sizes& s, bool parallel)
      : map_(c.transformer.transformer_use_nchw_attn && !parallel) {
    const Layout layout = map_ ? Layout::map : Layout::tokens;
    const auto partition = [&](bool grid) {
      return partition_transformer(c.transformer, p.out, p.drop_path, s, grid, layout);
    };
    if (parallel) {
      auto convs = std::make_unique<Sequential>();
      convs->add(conv_block(c.conv, p));
      convs->add(conv_block(c.conv, {p.out, p.out, 1, p.drop_path}));
      conv_ = add("conv", std::unique_ptr<Module>(std::move(convs)));
      attn_grid_ = add("attn", parallel_transformer(c.transformer, p.out, p.drop_path, s));
    } else {
      conv_ = add("conv", conv_block(c.conv, p));
      if (!c.transformer.transformer_no_block_attn) attn_block_ = add("attn_block", partition(false));
      attn_grid_ = add("attn_grid", partition(true));
    }
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv_(x);
    if (map_) return attn_grid_(attn_block_(y));
    return permute(attn_grid_(attn_block_(permute(y, {0, 2, 3, 1}))), {0, 3, 1, 2});
  }
  Module& conv() const { return *conv_; }

 private:
  bool map_;
  Ref<Module> conv_, attn_grid_;
  Maybe<Module> attn_block_;
};

// ---- stages ---------------------------------------------------------------------------------------------------------

// The kinds of a stage's blocks: as many as are written, then the last one again.
std::vector<std::string> block_kinds(std::string_view all, size_t stage, int depth) {
  const std::vector<std::string> stages = split_list(all);
  if (stages.size() != 4)
    throw Error(Error::Kind::argument, str_cat("block_type '", all, "' is not of 4 stages"), "as in C,C,T,T");
  std::vector<std::string> kinds;
  std::string_view text = stages[stage];
  while (static_cast<int>(kinds.size()) < depth) {
    const size_t end = text.find('x');
    kinds.emplace_back(text.substr(0, end));
    if (end != std::string_view::npos) text.remove_prefix(end + 1);
  }
  return kinds;
}

struct Sized {
  const Cfg& cfg;
  std::array<Sizes, 4> sizes;
};

std::unique_ptr<Module> block(const Sized& c, const std::string& kind, const BlockOptions& p, const Sizes& s) {
  if (kind == "C") return conv_block(c.cfg.conv, p);
  if (kind == "T") return map_transformer(c.cfg.transformer, p, s.map);
  if (kind == "M" || kind == "PM") return std::make_unique<MixedBlock>(c.cfg, p, s, kind == "PM");
  throw Error(Error::Kind::argument, str_cat("there are no blocks '", kind, "'"), "block_type has C, T, M and PM");
}

struct Stage final : ShrinkingStage {
  Stage(const Sized& c, const StagePlace& p, DropPathRamp& drop_path) {
    Sequential all;
    int in = p.in, stride = p.stride;
    for (const std::string& kind : block_kinds(c.cfg.block_type, p.stage, p.depth)) {
      all.add(block(c, kind, {in, p.out, stride, drop_path.next()}, c.sizes[p.stage]));
      in = p.out;
      stride = 1;
    }
    blocks = add("blocks", std::move(all));
  }
};

std::array<Sizes, 4> sizes_of(std::array<int, 2> image, Size2 window, Size2 grid) {
  std::array<Sizes, 4> all{};
  Size2 map(image[0] / 2, image[1] / 2);
  for (Sizes& s : all) {
    map = {(map.h + 1) / 2, (map.w + 1) / 2};
    s = {map, window, grid};
  }
  return all;
}

// First values of the layers of a block: EfficientNet's for convolutions, a ViT's for what attends, or those of the
// scheme for both.
void start_block(Module& block, std::string_view scheme, bool transformer) {
  if (scheme == "normal") return start_weights(block, init::normal(0.02));
  if (scheme == "trunc_normal") return start_weights(block, init::trunc_normal_tf(0.02));
  zero_biases(block);
  if (scheme == "vit_eff" && !transformer) return he_normal_convs(block, Fan::group_out);
  block.visit([&](const std::string& path, Module& m) {
    Param weight, bias;
    if (auto* conv = dynamic_cast<Conv2d*>(&m)) weight = conv->weight, bias = conv->bias;
    else if (auto* fc = dynamic_cast<Linear*>(&m)) weight = fc->weight, bias = fc->bias;
    if (!weight) return;
    const bool normal = scheme == "xavier_normal";
    weight.slot().init = normal ? init::variance_scaling(weight->shape(), 1, init::Mode::average, Init::Kind::normal)
                                : init::xavier_uniform(weight->shape());
    if (bias && !normal && path.find("mlp") != std::string::npos) bias.slot().init = init::normal(1e-6);
  });
}

void start_values(Module& model, std::string_view scheme) {
  constexpr std::string_view schemes[] = {"", "normal", "trunc_normal", "xavier_normal", "vit_eff"};
  if (std::ranges::find(schemes, scheme) == std::end(schemes))
    throw Error(Error::Kind::argument, str_cat("there is no weight_init '", scheme, "'"),
                "there are normal, trunc_normal, xavier_normal, vit_eff and '' for PyTorch's");
  if (scheme.empty()) return;
  model.visit([&](const std::string&, Module& m) {
    if (dynamic_cast<Stem*>(&m) || dynamic_cast<MbConv*>(&m)) start_block(m, scheme, false);
    else if (const auto* mixed = dynamic_cast<MixedBlock*>(&m)) start_block(mixed->conv(), scheme, false);
    else if (dynamic_cast<TransformerBlock*>(&m)) start_block(m, scheme, true);
  });
}

class MaxxVit final : public StagedModel, public WindowedModel {
 public:
  MaxxVit(const Cfg& c, const ModelOptions& o) : StagedModel(o), ratio_(c.transformer.transformer_partition_ratio) {
    const std::array<int, 2> image = o.img_size.value_or(std::array{224, 224});
    const TransformerCfg& t = c.transformer;
    Size2 window = partition(image), grid = window;
    if (t.transformer_window_size) {
      window = t.transformer_window_size.size();
      grid = (t.transformer_grid_size ? t.transformer_grid_size : t.transformer_window_size).size();
    }
    add("stem", Stem(c, o.in_chans.value_or(3)));
    stem_level_ = Level::yes;
    std::vector<StagePlace> places = stage_places(c.depths, c.embed_dim, 2);
    places[0].in = c.stem_width.second;
    add_stages<Stage>(Sized{c, sizes_of(image, window, grid)}, places, o);
    staged_head(c.embed_dim[3], {.norm = norm_spec(t.transformer_norm_layer, t.transformer_norm_eps),
                                 .norm_first = c.head_hidden_size == 0,
                                 .norm_name = "norm",
                                 .hidden = c.head_hidden_size});
    start_values(*this, c.weight_init);
  }

  std::vector<std::string> no_weight_decay() const override {
    return {"*relative_position_bias_table", "*rel_pos.mlp*"};
  }
  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^stem"}, {1, "^stages.#"}, {1, "^norm", false, 99999}};
  }

 protected:
  // Sizes: of windows, and of grids where they differ.
  void resize_windows(std::array<int, 2> image, std::optional<int> patch, const WindowOptions& o) override {
    if (patch || o.always_partition || o.sizes.size() > 2 || o.ratios.size() > 1)
      throw Error(Error::Kind::argument, "the model has no patches, and its windows have one size in all stages",
                  "give a size of windows, perhaps one of grids, or one ratio");
    if (!o.ratios.empty()) ratio_ = o.ratios[0];
    Size2 window = partition(image), grid = window;
    if (!o.sizes.empty()) {
      window = {o.sizes.front()[0], o.sizes.front()[1]};
      grid = {o.sizes.back()[0], o.sizes.back()[1]};
    }
    const std::array<Sizes, 4> sizes = sizes_of(image, window, grid);
    for (size_t i = 0; i < sizes.size(); ++i)
      if (Module* stage = find(str_cat("stages.", i)))
        stage->visit([&](const std::string&, Module& m) {
          if (auto* block = dynamic_cast<TransformerBlock*>(&m)) block->resize(sizes[i]);
        });
  }

 private:
  Size2 partition(std::array<int, 2> image) const {
    if (ratio_ < 1 || image[0] < ratio_ || image[1] < ratio_)
      throw Error(Error::Kind::argument, str_cat("an image of ", image[0], " x ", image[1], " has no windows of 1 / ",
                                                 ratio_, " of its size"));
    return {image[0] / ratio_, image[1] / ratio_};
  }
  int ratio_;
};

// Tables for other windows; and layers of each pixel that are linear in some, convolutions in others.
StateDict adapt(ImageModel& model, StateDict weights) {
  resample_relative_tables(model, weights);
  const StateDict own = model.state_dict();
  for (const std::string& name : weights.names()) {
    const Tensor t = weights.at(name);
    const Tensor* ours = own.find(name);
    if (ours && ours->rank() != t.rank() && ours->numel() == t.numel()) weights.set(name, reshape(t, ours->shape()));
    else if (name.ends_with(".relative_position_bias_table"))
      weights.set(name, resampled_tf_table(model.find(name.substr(0, name.rfind('.'))), t));
  }
  return weights;
}

#include "zoo/families/maxxvit_variants.inc"

}  // namespace

FOVEA_FAMILY(maxxvit, MaxxVit, variants, .accepts = {.img_size = true}, .adapt = adapt)

}  // namespace fovea::zoo::maxxvit
