// SPDX-License-Identifier: Apache-2.0
// zoo/families/nasnet.cpp — NASNet-A: cells of two operands that a search found; timm.models.nasnet
#include "zoo/blocks/nas_cells.h"
#include "zoo/family.h"

namespace fovea::zoo::nasnet {
namespace {

struct Cfg {
  int stem_size = 96, channel_multiplier = 2, num_features = 4032;
  Padding pad_type = Padding::Kind::same;
};
FOVEA_SETTINGS(Cfg, stem_size, channel_multiplier, num_features, pad_type)

// What becomes of a cell's second operand: projected to as many channels; halved in size as well; nothing.
enum class Before : uint8_t { projected, halved, same };

struct CellOptions {
  int in, in_before, channels;
  Before before = Before::projected;
  bool reduces = false;
};

// Operands: the last value and the one before it.
struct Cell final : Joint {
  Maybe<Module> conv_prev_1x1, path_1, path_2, final_path_bn;
  Ref<Module> conv_1x1;
  std::array<std::array<Maybe<Module>, 2>, 5> comb_iter;  // left, right
  bool reduces;
  Before before;

  Cell(const Cfg& c, const CellOptions& p) : reduces(p.reduces), before(p.before) {
    if (before == Before::projected) conv_prev_1x1 = add("conv_prev_1x1", ActConvBn(p.in_before, p.channels));
    conv_1x1 = add("conv_1x1", ActConvBn(p.in, p.channels));
    if (before == Before::halved) {
      path_1 = add("path_1", every_other_pixel(p.in_before, p.channels / 2, false));
      path_2 = add("path_2", every_other_pixel(p.in_before, p.channels / 2, true));
      final_path_bn = add("final_path_bn", BatchNorm2d(p.channels / 2 * 2, {.eps = 1e-3}));
    }
    const int other = before == Before::same ? p.in : p.channels;  // channels of the second operand
    if (reduces) add_reducing(c, p.channels, other);
    else add_normal(c, p.channels);
  }

 protected:
  Tensors pass(std::span<const Tensor> x) override {
    const Tensor a = conv_1x1(x[0]), b = second(x);
    const auto left = [this](size_t i, const Tensor& t) { return comb_iter[i][0](t); };
    const auto right = [this](size_t i, const Tensor& t) { return comb_iter[i][1](t); };
    if (!reduces)
      return {cat({b, left(0, a) + right(0, b), left(1, b) + right(1, b), left(2, a) + b, left(3, b) + right(3, b),
                   left(4, a) + a},
                  1)};
    const Tensor c0 = left(0, a) + right(0, b), c1 = left(1, a) + right(1, b);
    return {cat({c1, left(2, a) + right(2, b), right(3, c0) + c1, left(4, c0) + right(4, a)}, 1)};
  }

 private:
  Tensor second(std::span<const Tensor> x) {
    if (before == Before::same) return x[0];
    if (before == Before::projected) return conv_prev_1x1(x[1]);
    const Tensor y = relu(x[1]);
    return final_path_bn(cat({path_1(y), path_2(y)}, 1));
  }
  template <class M>
  void put(size_t i, size_t side, M part) {
    comb_iter[i][side] = add(str_cat("comb_iter_", i, side == 0 ? "_left" : "_right"), std::move(part));
  }
  void add_reducing(const Cfg& c, int n, int other) {
    const Padding& same = c.pad_type;
    put(0, 0, BranchSeparables(n, n, 5, 2, same));
    put(0, 1, BranchSeparables(other, n, 7, 2, same));
    put(1, 0, nas_max_pool(2, same));
    put(1, 1, BranchSeparables(other, n, 7, 2, same));
    put(2, 0, nas_avg_pool(2, same));
    put(2, 1, BranchSeparables(other, n, 5, 2, same));
    put(3, 1, nas_avg_pool(1, same));
    put(4, 0, BranchSeparables(n, n, 3, 1, same));
    put(4, 1, nas_max_pool(2, same));
  }
  void add_normal(const Cfg& c, int n) {
    const Padding& same = c.pad_type;
    put(0, 0, BranchSeparables(n, n, 5, 1, same));
    put(0, 1, BranchSeparables(n, n, 3, 1, same));
    put(1, 0, BranchSeparables(n, n, 5, 1, same));
    put(1, 1, BranchSeparables(n, n, 3, 1, same));
    put(2, 0, nas_avg_pool(1, same));
    put(3, 0, nas_avg_pool(1, same));
    put(3, 1, nas_avg_pool(1, same));
    put(4, 0, BranchSeparables(n, n, 3, 1, same));
  }
};

class NasNet final : public CellNet {
 public:
  NasNet(const Cfg& c, const ModelOptions& o) : CellNet(o) {
    const int n = c.num_features / 24, m = c.channel_multiplier, narrow = n / (m * m);
    stem("conv0", o.in_chans.value_or(3), c.stem_size);
    const auto put = [&](const std::string& name, const CellOptions& p, AfterCell after = {}) {
      cell(add(name, Cell(c, p)), std::move(after));
    };
    put("cell_stem_0",
        {.in = c.stem_size, .in_before = c.stem_size, .channels = narrow, .before = Before::same, .reduces = true},
        {.level = "cell_stem_1.conv_1x1.act"});
    put("cell_stem_1",
        {.in = 4 * narrow, .in_before = c.stem_size, .channels = n / m, .before = Before::halved, .reduces = true});
    int in = 4 * (n / m), in_before = 4 * narrow;
    for (int stage = 0; stage < 3; ++stage) {
      const int width = n << stage;
      if (stage > 0) {
        put(str_cat("reduction_cell_", stage - 1),
            {.in = in, .in_before = in_before, .channels = width, .reduces = true}, {.keeps_before = true});
        in = 4 * width;
      }
      for (int i = 0; i < 6; ++i) {
        const bool level = i == 5 && stage < 2;
        put(str_cat("cell_", 6 * stage + i),
            {.in = in,
             .in_before = in_before,
             .channels = width,
             .before = i == 0 ? Before::halved : Before::projected},
            {.level = level ? str_cat("reduction_cell_", stage, ".conv_1x1.act") : ""});
        in_before = in;
        in = 6 * width;
      }
    }
    end(in);
  }

  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^conv0"},
            {0, "^cell_stem_0"},
            {0, "^cell_stem_1"},
            {1, "^cell_#"},
            {.group = 1, .pattern = "^reduction_cell_0", .number = 6},
            {.group = 1, .pattern = "^reduction_cell_1", .number = 12}};
  }
};

constexpr Variant<Cfg> variants[] = {{"nasnetalarge", {}}};

}  // namespace

FOVEA_FAMILY(nasnet, NasNet, variants, .accepts = {.drop_path_rate = false})
}  // namespace fovea::zoo::nasnet
