// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/byobnet_blocks.cpp — residual blocks are lists of convolutions, which tables describe; blocks of branches
// are BranchedConv.
#include "zoo/blocks/byobnet_blocks.h"

#include <charconv>
#include <span>

#include "nn/layers/attention_pool2d.h"
#include "zoo/blocks/branched_conv.h"
#include "zoo/blocks/downsample.h"
#include "zoo/blocks/first_values.h"

namespace fovea::zoo {
namespace {

// ---- text -------------------------------------------------------------------------------------------------------

[[noreturn]] void fail(std::string_view part, std::string_view whole, std::string_view why) {
  throw Error(Error::Kind::argument, str_cat("'", part, "' in the blocks '", whole, "' ", why),
              "a block looks like bottle_d6_c640_s2_gs32_br0.25");
}

template <class T>
T number(std::string_view text, std::string_view part, std::string_view whole) {
  T v{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc() || end != text.data() + text.size() || v < 0) fail(part, whole, "has no number");
  return v;
}

// The parts of a text between separators.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t from = 0; from <= text.size();) {
    const size_t to = std::min(text.find(separator, from), text.size());
    parts.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return parts;
}

std::vector<ByobBlock> blocks_of(std::string_view text, std::string_view whole) {
  const std::vector<std::string_view> parts = split(text, '_');
  ByobBlock b;
  int repeats = 1;
  if (!read_setting(parts[0], b.kind)) fail(text, whole, "is of no known kind");
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string_view key = parts[i].substr(0, parts[i].find_first_of("0123456789"));
    const std::string_view value = parts[i].substr(key.size());
    const auto integer = [&] { return number<int>(value, parts[i], whole); };
    if (key == "d") repeats = integer();
    else if (key == "c") b.out = integer();
    else if (key == "s") b.stride = integer();
    else if (key == "gs") b.group_size = integer();
    else if (key == "br") b.ratio = number<double>(value, parts[i], whole);
    else if (key == "k") b.kernel = integer();
    else if (key == "n") b.branches = integer();
    else if (key == "h") b.attention.heads = integer();
    else if (key == "hd") b.attention.head_dim = integer();
    else if (key == "qk") b.attention.qk_ratio = number<double>(value, parts[i], whole);
    else if (key == "bs") b.attention.block = integer();
    else if (key == "hs") b.attention.halo = integer();
    else if (key == "r") b.attention.radius = integer();
    else if (key == "t") b.tokens = integer();
    else if (key == "td") b.depth = integer();
    else if (key == "p") b.patch = integer();
    else if (key == "se" && value.empty()) b.squeezes = true;
    else fail(parts[i], whole, "is not known");
  }
  for (const int n : {repeats, b.stride, b.kernel, b.branches, b.attention.block, b.depth, b.patch})
    if (n < 1) fail(text, whole, "has a 0 where there is none");
  return std::vector<ByobBlock>(static_cast<size_t>(repeats), b);
}

// ---- blocks -----------------------------------------------------------------------------------------------------

std::unique_ptr<Module> attention(const ByobCfg& c, const ByobBlock& b, int channels) {
  const SqueezeOptions o{.ratio = c.attn_rd_ratio, .divisor = c.attn_rd_divisor, .blocks = c.attn_block_size};
  return channel_attention(b.squeezes ? "se" : c.attn_layer, channels, o);
}

NormSpec norm_of(const ByobCfg& c) { return {.kind = c.norm_layer, .group_size = c.norm_group_size}; }

// A pool and then a convolution.
struct DownsampleAvg final : Module {
  Ref<Module> pool, conv;
  DownsampleAvg(const ByobCfg& c, const ByobPlace& p) {
    pool = add("pool", shortcut_pool(p.stride, p.first_dilation));
    conv = add("conv", ConvNormAct(p.in, p.out, 1, byob_conv(c, {}, false)));
  }
  Tensor forward(const Tensor& x) override { return conv(pool(x)); }
};

// One convolution of a residual block.
struct Part {
  const char* name;
  bool large = false, strided = false, grouped = false, drops = false;
};
// clang-format off
constexpr Part kBasic[] = {{"conv1_kxk", true, true}, {"conv2_kxk", true, false, true, true}};
constexpr Part kBottle[] = {{"conv1_1x1"}, {"conv2_kxk", true, true, true, true}, {"conv3_1x1"}};
constexpr Part kBottleExtra[] = {{"conv1_1x1"}, {"conv2_kxk", true, true, true, true},
                                 {"conv2b_kxk", true, false, true}, {"conv3_1x1"}};
constexpr Part kDark[] = {{"conv1_1x1"}, {"conv2_kxk", true, true, true, true}};
constexpr Part kEdge[] = {{"conv1_kxk", true, true, true, true}, {"conv2_1x1"}};
constexpr Part kAttends[] = {{"conv1_1x1"}, {"conv3_1x1"}};
constexpr Part kAttendsExtra[] = {{"conv1_1x1"}, {"conv2_kxk", true, true, true, true}, {"conv3_1x1"}};
// clang-format on

std::span<const Part> parts_of(const ByobCfg& c, ByobBlockKind k) {
  switch (k) {
    case ByobBlockKind::basic: return kBasic;
    case ByobBlockKind::dark: return kDark;
    case ByobBlockKind::edge: return kEdge;
    case ByobBlockKind::bot:
    case ByobBlockKind::halo:
    case ByobBlockKind::lambda: return c.extra_conv ? std::span<const Part>(kAttendsExtra) : kAttends;
    default: return c.extra_conv ? std::span<const Part>(kBottleExtra) : kBottle;
  }
}

// Attention of pixels to pixels, which strides unless a convolution did; null for kinds without.
std::unique_ptr<PixelAttention> pixel_attention(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p,
                                                int channels) {
  PixelAttentionOptions o = b.attention;
  o.stride = c.extra_conv ? 1 : p.stride;
  o.map = c.extra_conv ? Size2(p.map.h / p.stride, p.map.w / p.stride) : p.map;
  switch (b.kind) {
    case ByobBlockKind::bot: return bottleneck_attention(channels, o);
    case ByobBlockKind::halo: return halo_attention(channels, o);
    case ByobBlockKind::lambda: return lambda_layer(channels, o);
    default: return nullptr;
  }
}

struct Residual final : Module {
  std::vector<Ref<Module>> convs;  // the attention, where it is not the last, stands in front of the last convolution
  Maybe<Module> shortcut, attn, post_attn, attn_last, drop_path, act;
  bool residual;
  Residual(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p) {
    const bool changes = p.in != p.out || p.stride != 1 || p.first_dilation != p.dilation;
    residual = !changes || !c.downsample.empty();
    if (changes) add_shortcut(c, p);
    const bool attends_last = b.kind == ByobBlockKind::basic || b.kind == ByobBlockKind::dark;
    const bool attends = b.kind >= ByobBlockKind::bot && b.kind <= ByobBlockKind::lambda;
    const bool from_in = (b.kind == ByobBlockKind::bottle || attends) && c.bottle_in;
    const int mid = make_divisible((from_in ? p.in : p.out) * b.ratio), groups = byob_groups(b, mid);
    const std::span<const Part> parts = parts_of(c, b.kind);
    for (const Part& part : parts) {
      const bool last = &part == &parts.back();
      if (last && attends) {
        attn = add("self_attn", pixel_attention(c, b, p, mid));
        post_attn = add("post_attn", norm_act2d(norm_of(c), mid, c.act_layer));
      } else if (last && !attends_last) {
        attn = add("attn", attention(c, b, mid));
      }
      Conv2dOptions o{.stride = part.strided ? p.stride : 1, .groups = part.grouped ? groups : 1};
      if (part.large) o.dilation = part.strided ? p.first_dilation : p.dilation;
      ConvNormActOptions options = byob_conv(c, o, !last);
      if (part.drops) options.drop = p.drop_block;
      convs.push_back(add(
          part.name, ConvNormAct(convs.empty() ? p.in : mid, last ? p.out : mid, part.large ? b.kernel : 1, options)));
    }
    if (residual && c.zero_init_last) zero_norm_weight(*convs.back()->find("bn"));
    if (attends_last) attn_last = add("attn_last", attention(c, b, p.out));
    if (p.drop_path > 0) drop_path = add("drop_path", DropPath(p.drop_path));
    if (!c.linear_out) act = add("act", Activation(c.act_layer));
  }
  void add_shortcut(const ByobCfg& c, const ByobPlace& p) {
    if (c.downsample == "avg") {
      shortcut = add("shortcut", DownsampleAvg(c, p));
    } else if (c.downsample == "conv1x1") {
      const Conv2dOptions o{.stride = p.stride, .dilation = p.first_dilation};
      shortcut = add("shortcut", ConvNormAct(p.in, p.out, 1, byob_conv(c, o, false)));
    } else if (!c.downsample.empty()) {
      throw Error(Error::Kind::argument, str_cat("no downsample '", c.downsample, "'"),
                  "there are conv1x1, avg and ''");
    }
  }
  Tensor forward(const Tensor& x) override {
    Tensor y = x;
    for (const Ref<Module>& conv : convs) y = conv(&conv == &convs.back() ? post_attn(attn(y)) : y);
    y = drop_path(attn_last(y));
    return act(residual ? y + shortcut(x) : y);
  }
};

// RepVGG's and MobileOne's blocks. MobileOne's do not dilate.
struct RepBlock final : BranchedConv {
  ByobBlockKind kind;
  Maybe<Module> attn;
  Ref<Module> act;
  RepBlock(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p)
      : BranchedConv(p.in, p.out, options(c, b, p)),
        kind(b.kind) {
    attn = add("attn", attention(c, b, p.out));
    act = add("act", Activation(c.act_layer));
  }
  static BranchedConvOptions options(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p) {
    const bool one = b.kind == ByobBlockKind::one;
    BranchedConvOptions o{.kernel = b.kernel,
                          .stride = p.stride,
                          .dilation = one ? 1 : p.first_dilation,
                          .groups = byob_groups(b, p.in),
                          .branches = one ? b.branches : 0,
                          .pointwise = one ? "conv_scale" : "conv_1x1",
                          .identity = p.first_dilation == p.dilation,
                          .norm = norm_of(c),
                          .drop_block = one ? DropBlockOptions{} : p.drop_block,
                          .drop_path = p.drop_path};
    if (one && b.kernel == 1) o.pointwise = "";
    return o;
  }
  Tensor forward(const Tensor& x) override { return act(attn(BranchedConv::forward(x))); }
};

void start_norms(Module& block) {
  block.visit([](const std::string&, Module& m) {
    auto* norm = dynamic_cast<BatchNorm2d*>(&m);
    if (!norm) return;
    norm->weight.slot().init = init::normal(0.1, 0.1);
    norm->bias.slot().init = init::normal(0.1);
  });
}

}  // namespace

std::string_view name_of(ByobBlockKind k) {
  constexpr std::string_view names[] = {"basic", "bottle", "dark",   "edge", "rep",  "one",
                                        "bot",   "halo",   "lambda", "mvit", "mvit2"};
  return static_cast<size_t>(k) < std::size(names) ? names[static_cast<size_t>(k)] : std::string_view();
}

std::vector<std::vector<ByobBlock>> byob_stages(std::string_view text) {
  std::vector<std::vector<ByobBlock>> stages;
  for (const std::string_view stage : split(text, ' ')) {
    stages.emplace_back();
    for (std::string_view list : split(stage, '/')) {
      int repeats = 1;
      if (const size_t star = list.find('*'); star != std::string_view::npos) {
        repeats = number<int>(list.substr(0, star), list, text);
        list.remove_prefix(star + 1);
      }
      for (int r = 0; r < repeats; ++r)
        for (const std::string_view part : split(list, '+'))
          for (const ByobBlock& b : blocks_of(part, text)) stages.back().push_back(b);
    }
    if (stages.back().empty()) fail(stage, text, "is an empty stage");
  }
  return stages;
}

int byob_groups(const ByobBlock& b, int channels) {
  if (b.group_size == 0) return 1;
  if (channels % b.group_size != 0)
    throw Error(Error::Kind::argument, str_cat("groups of ", b.group_size, " do not divide ", channels, " channels"),
                current_scope());
  return channels / b.group_size;
}

ConvNormActOptions byob_conv(const ByobCfg& c, const Conv2dOptions& conv, bool activated) {
  return {.conv = conv, .norm = norm_of(c), .act = activated ? c.act_layer : act::none, .anti_alias = c.aa_layer};
}

std::unique_ptr<Module> byob_block(const ByobCfg& c, const ByobBlock& b, const ByobPlace& p) {
  if (b.kind == ByobBlockKind::rep || b.kind == ByobBlockKind::one) return std::make_unique<RepBlock>(c, b, p);
  if (b.kind >= ByobBlockKind::mvit)
    throw Error(Error::Kind::argument, str_cat("this network has no blocks '", name_of(b.kind), "'"), "MobileViT has");
  return std::make_unique<Residual>(c, b, p);
}

void start_byob_values(Module& model) {
  he_normal_convs(model, Fan::group_out);
  zero_biases(model);
  model.visit([](const std::string&, Module& m) {
    if (auto* fc = dynamic_cast<Linear*>(&m)) fc->weight.slot().init = init::normal(0.01);
  });
  model.visit([](const std::string&, Module& m) {  // what layers and blocks want otherwise
    if (auto* context = dynamic_cast<GlobalContext*>(&m)) context->start_values();
    if (auto* pool = dynamic_cast<AttentionPool2d*>(&m)) pool->start_values();
    if (auto* attends = dynamic_cast<PixelAttention*>(&m)) attends->start_values();
    if (auto* block = dynamic_cast<RepBlock*>(&m); block && block->kind == ByobBlockKind::rep) start_norms(m);
  });
}

}  // namespace fovea::zoo
