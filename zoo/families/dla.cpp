// SPDX-License-Identifier: Apache-2.0
// zoo/families/dla.cpp — Deep Layer Aggregation: trees of blocks whose roots see all of them; timm.models.dla
#include "zoo/blocks/chained.h"
#include "zoo/blocks/first_values.h"
#include "zoo/blocks/res2.h"
#include "zoo/family.h"

namespace fovea::zoo::dla {
namespace {

enum class BlockKind : uint8_t { basic, bottleneck, bottle2neck };  // the last as in Res2Net
constexpr std::string_view name_of(BlockKind k) {
  constexpr std::string_view names[] = {"basic", "bottleneck", "bottle2neck"};
  return static_cast<size_t>(k) < std::size(names) ? names[static_cast<size_t>(k)] : std::string_view();
}

struct Cfg {
  std::array<int, 6> levels{1, 1, 1, 2, 3, 1};  // convolutions of the first two, depths of the trees of the others
  std::array<int, 6> channels{16, 32, 128, 256, 512, 1024};
  BlockKind block = BlockKind::bottleneck;
  int cardinality = 1, base_width = 64;
  bool shortcut_root = false;
};
FOVEA_SETTINGS(Cfg, levels, channels, block, cardinality, base_width, shortcut_root)

struct Block : Module {
  Tensor operator()(const Tensor& x, const Tensor& shortcut) {
    const Scope scope(name());
    return relu(branch(x) + shortcut);
  }
  virtual Tensor branch(const Tensor& x) = 0;
};

struct Basic final : Block {
  Ref<Module> conv1, bn1, conv2, bn2;
  Basic(int in, int out, int stride) {
    conv1 = add("conv1", Conv2d(in, out, 3, {.stride = stride}));
    bn1 = add("bn1", BatchNorm2d(out, {}, act::relu));
    conv2 = add("conv2", Conv2d(out, out, 3));
    bn2 = add("bn2", BatchNorm2d(out));
  }
  Tensor branch(const Tensor& x) override { return bn2(conv2(bn1(conv1(x)))); }
};

int middle_channels(const Cfg& c, int out) { return out * c.base_width / 64 * c.cardinality / 2; }

struct Bottleneck final : Block {
  Ref<Module> conv1, bn1, conv2, bn2, conv3, bn3;
  Bottleneck(const Cfg& c, int in, int out, int stride) {
    const int mid = middle_channels(c, out);
    conv1 = add("conv1", Conv2d(in, mid, 1));
    bn1 = add("bn1", BatchNorm2d(mid, {}, act::relu));
    conv2 = add("conv2", Conv2d(mid, mid, 3, {.stride = stride, .groups = c.cardinality}));
    bn2 = add("bn2", BatchNorm2d(mid, {}, act::relu));
    conv3 = add("conv3", Conv2d(mid, out, 1));
    bn3 = add("bn3", BatchNorm2d(out));
  }
  Tensor branch(const Tensor& x) override { return bn3(conv3(bn2(conv2(bn1(conv1(x)))))); }
};

struct Bottle2neck final : Block {
  Ref<Module> conv1, bn1, conv3, bn3;
  Ref<Sequential> convs, bns;
  Maybe<Module> pool;
  Bottle2neck(const Cfg& c, int in, int out, int stride) {
    constexpr int scale = 4;
    const int width = middle_channels(c, out);
    conv1 = add("conv1", Conv2d(in, width * scale, 1));
    bn1 = add("bn1", BatchNorm2d(width * scale, {}, act::relu));
    Res2Lists lists = res2_lists(width, scale, {.stride = stride, .groups = c.cardinality}, {}, act::relu);
    convs = add("convs", std::move(lists.convs));
    bns = add("bns", std::move(lists.bns));
    if (stride > 1) pool = add("pool", AvgPool2d(3, {.stride = stride, .padding = 1}));
    conv3 = add("conv3", Conv2d(width * scale, out, 1));
    bn3 = add("bn3", BatchNorm2d(out));
  }
  Tensor branch(const Tensor& x) override { return bn3(conv3(res2(bn1(conv1(x)), *convs, *bns, pool))); }
};

std::unique_ptr<Block> block_of(const Cfg& c, int in, int out, int stride) {
  switch (c.block) {
    case BlockKind::basic: return std::make_unique<Basic>(in, out, stride);
    case BlockKind::bottleneck: return std::make_unique<Bottleneck>(c, in, out, stride);
    case BlockKind::bottle2neck: break;
  }
  return std::make_unique<Bottle2neck>(c, in, out, stride);
}

struct Root final : Module {
  Ref<Module> conv, bn;
  bool shortcut;
  Root(int in, int out, bool adds) : shortcut(adds) {
    conv = add("conv", Conv2d(in, out, 1));
    bn = add("bn", BatchNorm2d(out));
  }
  Tensor operator()(const Tensors& nodes) {
    const Scope scope(name());
    const Tensor y = bn(conv(cat(nodes, 1)));
    return relu(shortcut ? y + nodes[0] : y);
  }
};

struct TreePlace {
  int in = 0, out = 0, stride = 1;
  bool level_root = false;  // the root sees the tree's operand, too
  int root_channels = 0;    // that the root sees beside those of the tree's own two nodes
};

// Two blocks and a root, or two trees of which the second has the root.
struct Tree final : Module {
  Maybe<Module> downsample, project;
  Ref<Block> block1, block2;
  Maybe<Tree> tree1, tree2;
  Ref<Root> root;
  bool level_root;

  Tree(const Cfg& c, int levels, const TreePlace& p) : level_root(p.level_root) {
    if (p.stride > 1) downsample = add("downsample", MaxPool2d(p.stride));
    const int more = p.root_channels + (p.level_root ? p.in : 0);
    if (levels > 1) {
      tree1 = add("tree1", Tree(c, levels - 1, {.in = p.in, .out = p.out, .stride = p.stride}));
      tree2 = add("tree2", Tree(c, levels - 1, {.in = p.out, .out = p.out, .root_channels = more + p.out}));
      return;
    }
    if (p.in != p.out) {
      Sequential fit;
      fit.add(Conv2d(p.in, p.out, 1));
      fit.add(BatchNorm2d(p.out));
      project = add("project", std::move(fit));
    }
    block1 = add("tree1", block_of(c, p.in, p.out, p.stride));
    block2 = add("tree2", block_of(c, p.out, p.out, 1));
    root = add("root", Root(2 * p.out + more, p.out, c.shortcut_root));
  }

  Tensor forward(const Tensor& x) override { return grow(x, {}); }

  // `nodes` are those of the trees above that this one's root sees.
  Tensor grow(const Tensor& x, Tensors nodes) {
    const Tensor bottom = downsample(x);
    if (level_root) nodes.push_back(bottom);
    if (tree2) {
      const Tensor first = tree1(x);
      nodes.push_back(first);
      const Scope scope(tree2->name());
      return tree2->grow(first, std::move(nodes));
    }
    const Tensor first = block1(x, project(bottom)), second = block2(first, first);
    nodes.insert(nodes.begin(), {second, first});
    return root(nodes);
  }
};

Sequential conv_level(int in, int out, int depth, int stride) {
  Sequential s;
  for (int i = 0; i < depth; ++i) {
    s.add(Conv2d(i == 0 ? in : out, out, 3, {.stride = i == 0 ? stride : 1}));
    s.add(BatchNorm2d(out));
    s.add(Activation(act::relu));
  }
  return s;
}

class Dla final : public Chained<ImageModel> {
 public:
  Dla(const Cfg& c, const ModelOptions& o) : Chained(o) {
    default_levels_ = 5;
    const auto& width = c.channels;
    Sequential base;
    base.add(Conv2d(o.in_chans.value_or(3), width[0], 7));
    base.add(BatchNorm2d(width[0]));
    base.add(Activation(act::relu));
    add("base_layer", std::move(base));
    part("base_layer");
    add("level0", conv_level(width[0], width[0], c.levels[0], 1));
    add("level1", conv_level(width[0], width[1], c.levels[1], 2));
    for (size_t i = 2; i < 6; ++i)
      add(str_cat("level", i),
          Tree(c, c.levels[i], {.in = width[i - 1], .out = width[i], .stride = 2, .level_root = i > 2}));
    for (size_t i = 0; i < 6; ++i) level(str_cat("level", i));
    classifier("fc", width[5], "avg", Classifier::convolution);
    he_normal_convs(*this, Fan::out);
  }

  std::vector<LayerGroup> group_matcher(bool coarse) const override {
    if (coarse) return {{0, "^base_layer"}, {1, "^level#"}};
    return {{0, "^base_layer"},
            {1, "^level#.tree#"},
            {.group = 1, .pattern = "^level#.root", .number = 2},
            {.group = 1, .pattern = "^level#", .number = 1}};
  }
};

// Original weights have projections that nothing reads, of trees that hold trees.
StateDict adapt(ImageModel& model, StateDict weights) {
  const StateDict own = model.state_dict();
  StateDict w;
  for (const auto& [name, t] : weights)
    if (own.contains(name) || name.find(".project.") == std::string::npos) w.set(name, t);
  return w;
}

constexpr std::array<int, 6> kSmall{16, 32, 64, 64, 128, 256};

constexpr Variant<Cfg> variants[] = {
    {"dla102", {.levels{1, 1, 1, 3, 4, 1}, .shortcut_root = true}},
    {"dla102x", {.levels{1, 1, 1, 3, 4, 1}, .cardinality = 32, .base_width = 4, .shortcut_root = true}},
    {"dla102x2", {.levels{1, 1, 1, 3, 4, 1}, .cardinality = 64, .base_width = 4, .shortcut_root = true}},
    {"dla169", {.levels{1, 1, 2, 3, 5, 1}, .shortcut_root = true}},
    {"dla34", {.levels{1, 1, 1, 2, 2, 1}, .channels{16, 32, 64, 128, 256, 512}, .block = BlockKind::basic}},
    {"dla46_c", {.levels{1, 1, 1, 2, 2, 1}, .channels = kSmall}},
    {"dla46x_c", {.levels{1, 1, 1, 2, 2, 1}, .channels = kSmall, .cardinality = 32, .base_width = 4}},
    {"dla60", {}},
    {"dla60_res2net", {.block = BlockKind::bottle2neck, .base_width = 28}},
    {"dla60_res2next", {.block = BlockKind::bottle2neck, .cardinality = 8, .base_width = 4}},
    {"dla60x", {.cardinality = 32, .base_width = 4}},
    {"dla60x_c", {.channels = kSmall, .cardinality = 32, .base_width = 4}},
};

}  // namespace

FOVEA_FAMILY(dla, Dla, variants, .accepts = {.drop_path_rate = false}, .adapt = adapt)
}  // namespace fovea::zoo::dla
