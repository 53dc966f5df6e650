// SPDX-License-Identifier: Apache-2.0
// zoo/families/pnasnet.cpp — PNASNet-5: one cell of two operands, found step by step; timm.models.pnasnet
#include "zoo/blocks/nas_cells.h"
#include "zoo/family.h"

namespace fovea::zoo::pnasnet {
namespace {

struct Cfg {
  Padding pad_type = Padding::Kind::same;
};
FOVEA_SETTINGS(Cfg, pad_type)

// Half the size: one half of the channels from every other pixel, the other from those between them.
struct FactorizedReduction final : Module {
  Ref<Module> act, path_1, path_2, final_path_bn;
  FactorizedReduction(int in, int out) {
    act = add("act", Activation(act::relu));
    path_1 = add("path_1", every_other_pixel(in, out / 2, false));
    path_2 = add("path_2", every_other_pixel(in, out / 2, true));
    final_path_bn = add("final_path_bn", BatchNorm2d(out, {.eps = 1e-3}));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor y = act(x);
    return final_path_bn(cat({path_1(y), path_2(y)}, 1));
  }
};

struct CellOptions {
  int in_before = 0, in = 0, channels = 0;
  bool stem = false;  // the one operand is both
  bool reduces = false, halves_before = false;
};

// Operands: the last value and the one before it.
struct Cell final : Joint {
  Maybe<Module> conv_prev_1x1;
  Ref<Module> conv_1x1;
  std::array<std::array<Maybe<Module>, 2>, 5> comb_iter;  // left, right

  Cell(const Cfg& c, const CellOptions& p) {
    const int n = p.channels, first = p.stem ? p.in : n, stride = p.reduces ? 2 : 1;
    const Padding& pad = c.pad_type;
    if (p.halves_before) conv_prev_1x1 = add("conv_prev_1x1", FactorizedReduction(p.in_before, n));
    else if (!p.stem) conv_prev_1x1 = add("conv_prev_1x1", ActConvBn(p.in_before, n));
    conv_1x1 = add("conv_1x1", ActConvBn(p.in, n));
    put(0, 0, BranchSeparables(first, n, 5, stride, pad));
    if (p.stem) put(0, 1, pooled_projection(first, n, pad));
    else put(0, 1, nas_max_pool(stride, pad));
    put(1, 0, BranchSeparables(n, n, 7, stride, pad));
    put(1, 1, nas_max_pool(stride, pad));
    put(2, 0, BranchSeparables(n, n, 5, stride, pad));
    put(2, 1, BranchSeparables(n, n, 3, stride, pad));
    put(3, 0, BranchSeparables(n, n, 3, 1, pad));
    put(3, 1, nas_max_pool(stride, pad));
    put(4, 0, BranchSeparables(first, n, 3, stride, pad));
    if (p.reduces) put(4, 1, ActConvBn(n, n, stride));
  }

 protected:
  Tensors pass(std::span<const Tensor> x) override {
    const Tensor a = conv_prev_1x1(x[1]), b = conv_1x1(x[0]);
    const auto sum = [this](size_t i, const Tensor& l, const Tensor& r) {
      return comb_iter[i][0](l) + comb_iter[i][1](r);
    };
    const Tensor c2 = sum(2, b, b);
    return {cat({sum(0, a, a), sum(1, b, b), c2, sum(3, c2, b), sum(4, a, b)}, 1)};
  }

 private:
  static Sequential pooled_projection(int in, int out, const Padding& pad) {
    Sequential s;
    s.add("max_pool", nas_max_pool(2, pad));
    s.add("conv", Conv2d(in, out, 1));
    s.add("bn", BatchNorm2d(out, {.eps = 1e-3}));
    return s;
  }
  template <class M>
  void put(size_t i, size_t side, M part) {
    comb_iter[i][side] = add(str_cat("comb_iter_", i, side == 0 ? "_left" : "_right"), std::move(part));
  }
};

class PnasNet final : public CellNet {
 public:
  PnasNet(const Cfg& c, const ModelOptions& o) : CellNet(o) {
    int in = 96, before = in;
    stem("conv_0", o.in_chans.value_or(3), in);
    const auto put = [&](const std::string& name, CellOptions p, const std::string& level = {}) {
      p.in_before = before;
      p.in = in;
      cell(add(name, Cell(c, p)), {.level = level});
      before = in;
      in = 5 * p.channels;
    };
    put("cell_stem_0", {.channels = 54, .stem = true, .reduces = true}, "cell_stem_1.conv_1x1.act");
    put("cell_stem_1", {.channels = 108, .reduces = true, .halves_before = true});
    for (int i = 0; i < 12; ++i)  // behind a cell that reduces the value before it is too large
      put(str_cat("cell_", i),
          {.channels = 216 << (i / 4),
           .reduces = i > 0 && i % 4 == 0,
           .halves_before = i == 0 || (i > 1 && i % 4 == 1)},
          i == 3 || i == 7 ? str_cat("cell_", i + 1, ".conv_1x1.act") : "");
    end(in);
  }

  std::vector<LayerGroup> group_matcher(bool) const override {
    return {{0, "^conv_0"}, {0, "^cell_stem_0"}, {0, "^cell_stem_1"}, {1, "^cell_#"}};
  }
};

constexpr Variant<Cfg> variants[] = {{"pnasnet5large", {}}};

}  // namespace

FOVEA_FAMILY(pnasnet, PnasNet, variants, .accepts = {.drop_path_rate = false})
}  // namespace fovea::zoo::pnasnet
