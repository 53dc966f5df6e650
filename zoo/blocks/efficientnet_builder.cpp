// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/efficientnet_builder.cpp — block strings to stages.
#include "zoo/blocks/efficientnet_builder.h"

#include <charconv>
#include <cmath>

namespace fovea::zoo {
namespace {

struct BlockText {
  std::string_view whole;                          // for messages
  std::string_view key, value;                     // "se" and "0.25"
  [[noreturn]] void fail(std::string_view why) const {
    throw Error(Error::Kind::argument, str_cat("'", key, value, "' in the block '", whole, "' ", why),
                "a block looks like ir_r2_k3_s2_e6_c24_se0.25");
  }
  template <class T>
  T number() const {
    T v{};
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), v);
    if (error != std::errc() || end != value.data() + value.size() || v < 0) fail("is no number");
    return v;
  }
  int integer() const { return number<int>(); }
  std::vector<int> kernels(bool none = false) const {                  // "3.5.7"; none: there may be a single "0"
    std::vector<int> sizes;
    std::string_view rest = value;
    if (none) {
      sizes.push_back(integer());
      return sizes;
    }
    while (true) {
      const size_t dot = rest.find('.');
      sizes.push_back(BlockText{whole, key, rest.substr(0, dot)}.integer());
      if (sizes.back() < 1) fail("is no kernel size");
      if (dot == std::string_view::npos) return sizes;
      rest.remove_prefix(dot + 1);
    }
  }
};

Act block_act(const BlockText& t) {
  if (t.value == "re") return act::relu;
  if (t.value == "r6") return act::relu6;
  if (t.value == "hs") return act::hard_swish;
  if (t.value == "sw") return act::silu;
  if (t.value == "mi") return act::mish;
  t.fail("names no activation");
}

bool attends(const BlockArgs& a) {
  return a.type == BlockArgs::Type::attention || a.type == BlockArgs::Type::multi_query;
}

void read_part(BlockArgs& a, const BlockText& t) {
  const bool universal = a.type == BlockArgs::Type::universal;
  if (t.key == "r") a.repeats = t.integer();
  else if (t.key == "k") a.kernel = t.kernels(universal);
  else if (t.key == "s") a.stride = t.integer();
  else if (t.key == "e") a.expand = t.number<double>();
  else if (t.key == "c") a.out = t.integer();
  else if (t.key == "se") a.se_ratio = t.number<double>();
  else if (t.key == "a") a.expand_kernel = t.kernels(universal);
  else if (t.key == "p") a.project_kernel = t.kernels(universal);
  else if (t.key == "gs") a.group_size = t.integer();
  else if (t.key == "cc") a.experts = t.integer();
  else if (t.key == "fc") a.force_in = t.integer();
  else if (t.key == "h" && attends(a)) a.heads = t.integer();
  else if (t.key == "d" && attends(a)) a.head_dim = t.integer();
  else if (t.key == "v" && attends(a)) a.kv_stride = t.integer();
  else if (t.key == "d") a.space_to_depth = t.integer() > 0;
  else t.fail("is not known");
}

void read_type(BlockArgs& a, std::string_view type, std::string_view whole) {
  if (type == "ir") a.type = BlockArgs::Type::inverted;
  else if (type == "ds" || type == "dsa") a.type = BlockArgs::Type::separable;
  else if (type == "er") a.type = BlockArgs::Type::edge;
  else if (type == "cn") a.type = BlockArgs::Type::conv;
  else if (type == "uir") a.type = BlockArgs::Type::universal;
  else if (type == "mha") a.type = BlockArgs::Type::attention;
  else if (type == "mqa") a.type = BlockArgs::Type::multi_query;
  else
    throw Error(Error::Kind::argument, str_cat("the block '", whole, "' is of no known type"),
                "there are ir, ds, dsa, er, cn, uir, mha and mqa");
  if (type == "uir") a.expand_kernel = a.project_kernel = {0};
  a.project_act = a.noskip = type == "dsa";
}

BlockArgs decode_block(std::string_view whole) {
  BlockArgs a;
  size_t at = whole.find('_');
  read_type(a, whole.substr(0, at), whole);
  while (at != std::string_view::npos) {
    const size_t from = at + 1;
    at = whole.find('_', from);
    const std::string_view part = whole.substr(from, at == std::string_view::npos ? at : at - from);
    if (part == "skip") a.skip = true;
    else if (part == "noskip") a.noskip = true;
    else if (part.starts_with('n')) a.act = block_act({whole, "n", part.substr(1)});
    else {
      const size_t digit = part.find_first_of("0123456789");
      if (digit == std::string_view::npos) BlockText{whole, part, {}}.fail("has no number");
      read_part(a, {whole, part.substr(0, digit), part.substr(digit)});
    }
  }
  if (a.type == BlockArgs::Type::separable || a.type == BlockArgs::Type::conv) a.expand = 1;
  if (a.out < 1 || a.repeats < 1 || (a.stride != 1 && a.stride != 2))
    throw Error(Error::Kind::argument,
                str_cat("the block '", whole, "' has no channels, no repeats, or a stride that is neither 1 nor 2"));
  if (attends(a) && (a.heads < 1 || a.head_dim < 1 || a.kv_stride < 1 || a.kernel.size() > 1))
    throw Error(
        Error::Kind::argument,
        str_cat("the block '", whole, "' has no heads, no channels in a head, no stride or several kernel sizes"),
        "attention looks like mqa_r1_k3_h4_s1_v2_d64_c160");
  return a;
}

// Depth is scaled for the stage as a whole and handed out from its last part backwards, so that first parts grow last.
StageArgs scaled(const StageArgs& parts, double multiplier, bool round) {
  int left = 0;
  for (const BlockArgs& a : parts) left += a.repeats;
  int left_scaled = round ? std::max(1, static_cast<int>(std::nearbyint(left * multiplier)))
                          : static_cast<int>(std::ceil(left * multiplier));
  std::vector<int> repeats(parts.size());
  for (size_t i = parts.size(); i-- > 0;) {
    const int r = parts[i].repeats;
    repeats[i] = std::max(1, static_cast<int>(std::nearbyint(static_cast<double>(r) / left * left_scaled)));
    left -= r;
    left_scaled -= repeats[i];
  }
  StageArgs all;
  for (size_t i = 0; i < parts.size(); ++i) all.insert(all.end(), static_cast<size_t>(repeats[i]), parts[i]);
  return all;
}

// Walks through the network and remembers the stride, dilation and space-to-depth state that the next block meets.
class Builder {
 public:
  Builder(int in, const std::vector<StageArgs>& stages, const StageStyle& style)
      : style_(style),
        stages_(stages),
        channels_(in) {
    for (const StageArgs& s : stages) total_ += static_cast<int>(s.size());
  }

  Stages build() {
    Stages out;
    const BlockArgs& first = stages_.at(0).at(0);
    out.taps.push_back(first.stride > 1 || first.space_to_depth);
    for (size_t s = 0; s < stages_.size(); ++s) {
      Sequential stage;
      bool ends_level = false;
      for (size_t b = 0; b < stages_[s].size(); ++b) {
        BlockArgs a = stages_[s][b];
        BlockPlace p = place(a, b == 0);
        const bool last = b + 1 == stages_[s].size();
        ends_level = last && (s + 1 == stages_.size() || (stages_[s + 1][0].stride > 1 && !folded_));
        p.tap = ends_level;
        stage.add(efficientnet_block(a, p));
        channels_ = p.out;
        if (folded_ == 1) folded_ = 2;
        ++index_;
      }
      out.taps.push_back(ends_level);
      out.blocks.add(std::move(stage));
    }
    out.out = channels_;
    return out;
  }

 private:
  BlockPlace place(BlockArgs& a, bool first_of_stage) {
    BlockPlace p{.in = channels_,
                 .stride = first_of_stage ? a.stride : 1,
                 .expand = a.expand,
                 .se_ratio = a.se_ratio,
                 .drop_path = style_.drop_path_rate * index_ / total_,
                 .padding = style_.padding,
                 .act = a.act.value_or(style_.act),
                 .norm = style_.norm,
                 .anti_alias = style_.anti_alias,
                 .attention = style_.attention,
                 .squeeze = style_.squeeze,
                 .layer_scale = style_.layer_scale};
    fold(a, p);
    stride(p);
    p.out = style_.round(a.out) * (p.space_to_depth > 0 ? 4 : 1);
    if (a.force_in) p.force_in = style_.round(a.force_in);
    if (!style_.se_from_expanded) p.se_ratio /= p.expand;
    if (p.space_to_depth == 1) p.se_ratio /= 4;
    return p;
  }

  // A region where 2x2 pixels live in the channels ends at the first block with a stride, which need not stride any
  // more.
  void fold(const BlockArgs& a, BlockPlace& p) {
    if (!folded_ && a.space_to_depth) {
      folded_ = 1;
      stride_ *= 2;
    }
    if (!folded_) return;
    if (folded_ == 2 && p.stride == 2) {
      p.stride = 1;
      p.expand /= 4;
      folded_ = 0;
    } else {
      p.space_to_depth = folded_;
    }
  }

  // Behind the output stride, a stride becomes dilation of the blocks that follow.
  void stride(BlockPlace& p) {
    p.dilation = dilation_;
    if (p.stride == 1) return;
    if (stride_ * p.stride > style_.output_stride) {
      dilation_ *= p.stride;
      p.stride = 1;
    } else {
      stride_ *= p.stride;
    }
  }

  const StageStyle& style_;
  const std::vector<StageArgs>& stages_;
  int channels_, total_ = 0, index_ = 0;
  int stride_ = 2, dilation_ = 1;                  // the stem has a stride of 2
  int folded_ = 0;                                 // 1: the block that folds; 2: behind it
};

}  // namespace

int ChannelRounding::operator()(int channels) const {
  return multiplier == 0 ? channels : make_divisible(channels * multiplier, divisor, 0, limit);
}

std::vector<StageArgs> decode_stages(std::string_view arch, const DepthScaling& scaling) {
  std::vector<StageArgs> stages(1, StageArgs());
  while (!arch.empty()) {
    const size_t end = arch.find_first_of(" +");
    if (end == 0 && arch[0] == '+') throw Error(Error::Kind::argument, "a stage begins with '+'");
    if (end > 0) {
      BlockArgs a = decode_block(arch.substr(0, end));
      a.experts *= scaling.experts;
      if (!a.group_size) a.group_size = scaling.group_size;
      stages.back().push_back(a);
    }
    if (end == std::string_view::npos) break;
    if (arch[end] == ' ' && !stages.back().empty()) stages.emplace_back();
    arch.remove_prefix(end + 1);
  }
  if (stages.back().empty()) stages.pop_back();
  if (stages.empty()) throw Error(Error::Kind::argument, "a network without blocks");
  for (size_t i = 0; i < stages.size(); ++i) {
    const bool end = i == 0 || i + 1 == stages.size(), late = i + 2 >= stages.size();
    double m = late && scaling.late_multiplier > 0 ? scaling.late_multiplier : scaling.multiplier;
    if (end && scaling.fix_first_last) m = 1;
    stages[i] = scaled(stages[i], m, scaling.round);
  }
  return stages;
}

Stages build_stages(int in, std::vector<StageArgs> stages, const StageStyle& style) {
  return Builder(in, stages, style).build();
}

void init_like_tensorflow(Module& model) {
  const auto fan_out_normal = [](Param& weight, Param& bias, double fan_out) {
    weight.slot().init = init::normal(std::sqrt(2 / fan_out));
    if (bias) bias.slot().init = init::zeros();
  };
  model.visit([&](const std::string& path, Module& m) {
    if (auto* conv = dynamic_cast<Conv2d*>(&m)) {
      const Size2 k = conv->kernel();
      fan_out_normal(conv->weight, conv->bias, k.h * k.w * conv->out_channels() / conv->groups());
    } else if (auto* mixed = dynamic_cast<CondConv2d*>(&m)) {
      fan_out_normal(mixed->weight, mixed->bias, std::floor(mixed->fan_out()));
    } else if (auto* fc = dynamic_cast<Linear*>(&m)) {
      const int fan_in = path.ends_with("routing_fn") ? fc->in_features() : 0;
      const double range = 1 / std::sqrt(static_cast<double>(fan_in + fc->out_features()));
      fc->weight.slot().init = init::uniform(-range, range);
      if (fc->bias) fc->bias.slot().init = init::zeros();
    }
  });
  // Attention has its own way, behind its convolutions' back.
  model.visit([](const std::string&, Module& m) {
    if (auto* attention = dynamic_cast<MultiQueryAttention2d*>(&m)) attention->start_values();
  });
}

}  // namespace fovea::zoo
