// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/ghost.cpp — bottlenecks, stages and head of ghost networks.
#include "zoo/blocks/ghost.h"

#include <utility>

#include "zoo/blocks/efficientnet_blocks.h"

namespace fovea::zoo {
namespace {

struct Row {
  int kernel, out;
  double se_ratio;
  int stride, stage;
};
constexpr std::array<Row, kGhostBlocks> kRows{{{3, 16, 0, 1, 0},
                                               {3, 24, 0, 2, 1},
                                               {3, 24, 0, 1, 2},
                                               {5, 40, 0.25, 2, 3},
                                               {5, 40, 0.25, 1, 4},
                                               {3, 80, 0, 2, 5},
                                               {3, 80, 0, 1, 6},
                                               {3, 80, 0, 1, 6},
                                               {3, 80, 0, 1, 6},
                                               {3, 112, 0.25, 1, 6},
                                               {3, 112, 0.25, 1, 6},
                                               {5, 160, 0.25, 2, 7},
                                               {5, 160, 0, 1, 8},
                                               {5, 160, 0.25, 1, 8},
                                               {5, 160, 0, 1, 8},
                                               {5, 160, 0.25, 1, 8}}};

}  // namespace

GhostBottleneck::GhostBottleneck(const GhostPlace& p, std::unique_ptr<Module> ghost1, std::unique_ptr<Module> ghost2) {
  begin(std::move(ghost1));
  if (p.stride > 1) {
    conv_dw_ = add("conv_dw", Conv2d(p.mid, p.mid, p.kernel, {.stride = p.stride, .groups = p.mid}));
    bn_dw_ = add("bn_dw", BatchNorm2d(p.mid));
  }
  end(p, std::move(ghost2));
}

void GhostBottleneck::begin(std::unique_ptr<Module> ghost1) { ghost1_ = add("ghost1", std::move(ghost1)); }

void GhostBottleneck::end(const GhostPlace& p, std::unique_ptr<Module> ghost2) {
  if (p.se_ratio > 0)
    se_ = add("se", SqueezeExcite(p.mid, {.ratio = p.se_ratio, .divisor = 4, .gate = act::hard_sigmoid}));
  ghost2_ = add("ghost2", std::move(ghost2));
  if (p.in == p.out && p.stride == 1) return;
  Sequential fit;
  fit.add(Conv2d(p.in, p.in, p.kernel, {.stride = p.stride, .groups = p.in}));
  fit.add(BatchNorm2d(p.in));
  fit.add(Conv2d(p.in, p.out, 1));
  fit.add(BatchNorm2d(p.out));
  shortcut_ = add("shortcut", std::move(fit));
}

std::vector<GhostPlace> ghost_places(double width, const std::array<int, kGhostBlocks>& expanded) {
  std::vector<GhostPlace> places;
  int channels = make_divisible(16 * width, 4);
  for (size_t i = 0; i < kGhostBlocks; ++i) {
    const Row& r = kRows[i];
    places.push_back({.in = channels,
                      .mid = make_divisible(expanded[i] * width, 4),
                      .out = make_divisible(r.out * width, 4),
                      .kernel = r.kernel,
                      .stride = r.stride,
                      .se_ratio = r.se_ratio});
    channels = places.back().out;
  }
  return places;
}

void GhostModel::build(const ModelOptions& o, const std::vector<GhostPlace>& places,
                       std::vector<std::unique_ptr<Module>> blocks, int last) {
  drop_rate_ = o.drop_rate.value_or(0.2f);
  const int first = places.front().in, channels = places.back().out;
  add("conv_stem", Conv2d(o.in_chans.value_or(3), first, 3, {.stride = 2}));
  add("bn1", BatchNorm2d(first, {}, act::relu));
  stem("conv_stem", Level::yes);
  stem("bn1");
  std::vector<Sequential> stages(static_cast<size_t>(kRows.back().stage) + 1);
  for (size_t i = 0; i < kGhostBlocks; ++i) stages[static_cast<size_t>(kRows[i].stage)].add(std::move(blocks[i]));
  Sequential all, end;
  for (Sequential& stage : stages) all.add(std::move(stage));
  end.add(efficientnet_block({.type = BlockArgs::Type::conv, .kernel{1}},
                             {.in = channels, .out = last, .act = act::relu, .anti_alias{}, .attention{}, .squeeze{}}));
  all.add(std::move(end));
  add("blocks", std::move(all));
  parts("blocks", {1, 3, 5, 7});
  conv_head(last, {});
}

std::vector<LayerGroup> GhostModel::group_matcher(bool coarse) const {
  return {{0, "^conv_stem"},
          {0, "^bn1"},
          {1, coarse ? "^blocks.#" : "^blocks.#.#"},
          {.group = 1, .pattern = "^conv_head", .joins_previous = true}};
}

}  // namespace fovea::zoo
