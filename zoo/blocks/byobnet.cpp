// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/byobnet.cpp — stem, stages of blocks, a last convolution, and the head.
#include "zoo/blocks/byobnet.h"

#include <cmath>

#include "nn/layers/attention_pool2d.h"
#include "zoo/blocks/byobnet_blocks.h"
#include "zoo/blocks/stages.h"

namespace fovea::zoo {
namespace {

int rounded(double channels) { return static_cast<int>(std::nearbyint(channels)); }

// The channels of the stem's convolutions.
std::vector<int> stem_channels(const ByobCfg& c) {
  std::vector<int> channels;
  for (const std::string& text : split_list(c.stem_chs)) {
    int n = 0;
    if (!read_setting(text, n) || n < 1)
      throw Error(Error::Kind::argument, str_cat("stem_chs '", c.stem_chs, "'"),
                  "a number, or several with commas between");
    channels.push_back(rounded(n * c.width_factor));
  }
  const int last = channels.back();
  if (channels.size() > 1) return channels;
  switch (c.stem_type) {
    case ByobStem::quad:
    case ByobStem::quad2: return {rounded(last / 8.0), rounded(last / 4.0), rounded(last / 2.0), last};
    case ByobStem::tiered: return {3 * last / 8, last / 2, last};
    case ByobStem::deep: return {last, last, last};
    default: return {last};
  }
}

std::unique_ptr<Module> pool_of(std::string_view kind) {
  if (kind == "max2") return std::make_unique<MaxPool2d>(2);
  if (kind == "avg2") return std::make_unique<AvgPool2d>(2);
  if (kind.starts_with("max")) return std::make_unique<MaxPool2d>(3, Pool2dOptions{.stride = 2, .padding = 1});
  if (kind.starts_with("avg"))
    return std::make_unique<AvgPool2d>(3, Pool2dOptions{.stride = 2, .padding = 1, .count_include_pad = false});
  throw Error(Error::Kind::argument, str_cat("no stem_pool '", kind, "'"),
              "there are maxpool, avgpool, max2, avg2 and ''");
}

}  // namespace

std::string_view name_of(ByobStem s) {
  constexpr std::string_view names[] = {"3x3", "7x7", "quad", "quad2", "tiered", "deep", "rep", "one"};
  return static_cast<size_t>(s) < std::size(names) ? names[static_cast<size_t>(s)] : std::string_view();
}
std::string_view name_of(ByobHead h) {
  constexpr std::string_view names[] = {"classifier", "mlp", "attn_abs", "attn_rot"};
  return static_cast<size_t>(h) < std::size(names) ? names[static_cast<size_t>(h)] : std::string_view();
}

ByobNet::ByobNet(const ByobCfg& c, const ModelOptions& o) : ByobNet(c, o, byob_block) {}

ByobNet::ByobNet(const ByobCfg& c, const ModelOptions& o, MakeByobBlock* block) : Chained(o), head_type_(c.head_type) {
  const Reached stem_end = add_stem(c, o, byob_stages(c.blocks)[0][0].stride != 1);
  const Reached end = add_stages(c, o, stem_end, block);
  int features = end.channels;
  if (c.num_features > 0) {
    features = rounded(c.width_factor * c.num_features);
    add("final_conv", ConvNormAct(end.channels, features, 1, byob_conv(c, {})));
  } else {
    add("final_conv", Identity());
  }
  stem("final_conv", Level::yes);
  add_head(c, o, features, end.reduction);
  start_byob_values(*this);
}

// The last value of each size ends a level; of what the stem gives only the stages know whether it is that.
ByobNet::Reached ByobNet::add_stem(const ByobCfg& c, const ModelOptions& o, bool level_behind) {
  ByobCfg plain = c;
  plain.aa_layer = "";
  const int in = o.in_chans.value_or(3);
  const std::vector<int> channels = stem_channels(c);
  const int out = channels.back(), kernel = c.stem_type == ByobStem::conv7 ? 7 : 3;
  const bool block = c.stem_type == ByobStem::rep || c.stem_type == ByobStem::one;
  if (block || (channels.size() == 1 && c.stem_pool.empty())) {
    const ByobBlock b{.kind = c.stem_type == ByobStem::rep ? ByobBlockKind::rep : ByobBlockKind::one};
    if (block) add("stem", byob_block(plain, b, {.in = in, .out = out, .stride = 2}));
    else add("stem", ConvNormAct(in, out, kernel, byob_conv(plain, {.stride = 2})));
    stem("stem", Level{level_behind});
    return {out, 2};
  }
  Sequential all;
  const size_t first_norm = c.stem_type == ByobStem::quad2 ? 2 : 0;
  for (size_t i = 0; i < channels.size(); ++i) {
    const bool last = i + 1 == channels.size();
    const Conv2dOptions conv{.stride = i == 0 || (last && c.stem_pool.empty()) ? 2 : 1};
    const std::string name = str_cat("conv", i + 1);
    const int from = i == 0 ? in : channels[i - 1];
    if (i < first_norm) all.add(name, Conv2d(from, channels[i], kernel, conv));
    else all.add(name, ConvNormAct(from, channels[i], kernel, byob_conv(plain, conv)));
  }
  if (!c.stem_pool.empty()) all.add("pool", pool_of(c.stem_pool));
  const Ref<Sequential> whole = add("stem", std::move(all));
  const int parts = whole->size();
  for (int i = 0; i < parts; ++i) {
    const bool halves_next = i + 2 == parts, last = i + 1 == parts;
    stem(str_cat("stem.", whole->children()[static_cast<size_t>(i)]->name()),
         Level{halves_next || (last && level_behind)});
  }
  return {out, 4};
}

ByobNet::Reached ByobNet::add_stages(const ByobCfg& c, const ModelOptions& o, Reached at, MakeByobBlock* block) {
  const std::vector<std::vector<ByobBlock>> stages = byob_stages(c.blocks);
  size_t depth = 0;
  for (const std::vector<ByobBlock>& blocks : stages) depth += blocks.size();
  DropPathRamp drop_path(o, static_cast<int>(depth));
  Dilator strides{.reached = at.reduction, .limit = o.output_stride.value_or(32)};
  const auto [height, width] = o.img_size.value_or(std::array{0, 0});
  Sequential all;
  for (size_t s = 0; s < stages.size(); ++s) {
    const int reached = strides.reached;
    const Dilator::Step step = strides.next(stages[s][0].stride);
    ByobPlace p{.stride = step.stride,
                .first_dilation = step.dilation <= 2 ? 1 : 2,
                .dilation = step.dilation,
                .map = {height / reached, width / reached}};
    if (s + 2 == stages.size())
      p.drop_block = {.rate = c.drop_block_rate, .size = c.drop_block_size * 2 - 1, .gamma_scale = 0.25};
    if (s + 1 == stages.size()) p.drop_block = {.rate = c.drop_block_rate, .size = c.drop_block_size};
    Sequential stage;
    for (const ByobBlock& b : stages[s]) {
      p.in = at.channels;
      p.out = b.out ? make_divisible(b.out * c.width_factor) : p.in;
      p.drop_path = drop_path.next();
      stage.add(block(c, b, p));
      p.map = {p.map.h / p.stride, p.map.w / p.stride};
      p.stride = 1;
      p.first_dilation = p.dilation;
      at.channels = p.out;
    }
    all.add(std::move(stage));
  }
  add("stages", std::move(all));
  for (size_t s = 0; s < stages.size(); ++s) {
    const bool ends_level = s + 1 < stages.size() && stages[s + 1][0].stride != 1;
    if (ends_level) level(str_cat("stages.", s));
    else part(str_cat("stages.", s));
  }
  return {at.channels, strides.reached};
}

void ByobNet::add_head(const ByobCfg& c, const ModelOptions& o, int features, int reduction) {
  const double drop_rate = static_cast<double>(drop_rate_);
  if (c.head_type == ByobHead::classifier) return head(features);
  if (c.head_type == ByobHead::mlp) {
    const NormMlpHeadOptions mlp{.pool = wanted_pool("avg"),
                                 .drop_rate = drop_rate,
                                 .hidden = c.head_hidden_size,
                                 .act = c.act_layer,
                                 .norm = {.kind = c.norm_layer, .group_size = c.norm_group_size}};
    return head(features, std::make_unique<NormMlpClassifierHead>(features, num_classes_, mlp));
  }
  if (!o.img_size)
    throw Error(Error::Kind::argument, "pooling by attention is made for images of one size", "give img_size");
  const AttentionPool2dOptions attention{.map = {(*o.img_size)[0] / reduction, (*o.img_size)[1] / reduction},
                                         .embed = c.head_hidden_size,
                                         .rotary = c.head_type == ByobHead::attn_rot,
                                         .pool = wanted_pool("token"),
                                         .drop_rate = drop_rate};
  head(features, std::make_unique<AttentionPool2d>(features, num_classes_, attention));
  classifier_name_ = "head.proj";
}

std::vector<LayerGroup> ByobNet::group_matcher(bool coarse) const {
  return {{0, "^stem"}, {1, coarse ? "^stages.#" : "^stages.#.#"}, {1, "^final_conv", false, 99999}};
}

}  // namespace fovea::zoo
