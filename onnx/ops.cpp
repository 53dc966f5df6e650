// SPDX-License-Identifier: Apache-2.0
// onnx/ops.cpp — every op that models in eval mode are made of, in ONNX's terms.
#include <algorithm>
#include <numeric>

#include "engine/core/error.h"
#include "onnx/pointwise.h"

namespace fovea::onnx {
namespace {

Ints ints_of(const Dims& d) { return {d.begin(), d.end()}; }

Ints joined(const Dims& lo, const Dims& hi) {
  Ints out = ints_of(lo);
  out.insert(out.end(), hi.begin(), hi.end());
  return out;
}

std::string transposed_last(Translator& t, const std::string& x, int rank) {
  Ints order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return t.one("Transpose", {x}, {{"perm", order}});
}

// ---- shapes -------------------------------------------------------------------------------------------------------

Translator::Varying wanted_shape(Translator& t) {
  return t.varying<ShapeAttrs>([](const ShapeAttrs& a) { return a.shape; });
}

void reshape(Translator& t) { t.give(t.one("Reshape", {t.in(0), t.shape(wanted_shape(t), true)})); }

void expand(Translator& t) { t.give(t.one("Expand", {t.in(0), t.shape(wanted_shape(t))})); }

void permute(Translator& t) {
  t.give(t.one("Transpose", {t.in(0)}, {{"perm", ints_of(t.attrs<PermuteAttrs>().order)}}));
}

std::string cut(Translator& t, const std::string& x, int64_t axis, int64_t start, int64_t stop, int64_t step = 1) {
  Model& m = t.model();
  return t.one("Slice", {x, m.ints({start}), m.ints({stop}), m.ints({axis}), m.ints({step})});
}

void slice(Translator& t) {
  const auto& a = t.attrs<SliceAttrs>();
  Model& m = t.model();
  const std::string start = t.shape(t.varying<SliceAttrs>([](const SliceAttrs& s) { return Dims{s.start}; }));
  const std::string stop = t.shape(t.varying<SliceAttrs>([](const SliceAttrs& s) { return Dims{s.stop}; }));
  t.give(t.one("Slice", {t.in(0), start, stop, m.ints({a.dim}), m.ints({a.step})}));
}

void copy(Translator& t) { t.give(t.in(0)); }

void cat_op(Translator& t) {
  Names in;
  for (size_t i = 0; i < t.now().in.size(); ++i) in.push_back(t.in(i));
  t.give(t.one("Concat", in, {{"axis", int64_t{t.attrs<AxisAttrs>().dim}}}));
}

void pad(Translator& t) {
  const auto& a = t.attrs<PadAttrs>();
  const char* modes[] = {"constant", "reflect", "edge", "wrap"};
  if (a.mode == PadMode::circular && t.opset() < 19) t.refuse("circular padding is of opset 19");
  Names in{t.in(0), t.model().ints(joined(a.lo, a.hi))};
  if (a.mode == PadMode::constant && a.value != 0) in.push_back(t.model().number(a.value));
  t.give(t.one("Pad", in, {{"mode", std::string(modes[static_cast<size_t>(a.mode)])}}));
}

void flip(Translator& t) {
  std::string x = t.in(0);
  for (const int64_t axis : t.attrs<DimsAttrs>().axes) x = cut(t, x, axis, -1, INT64_MIN + 1, -1);
  t.give(x);
}

void roll(Translator& t) {
  const auto& a = t.attrs<DimsAttrs>();
  std::string x = t.in(0);
  for (int i = 0; i < a.axes.size(); ++i) {
    const int64_t axis = a.axes[i], size = t.meta(0).dim(static_cast<int>(axis)), shift = a.shifts[i] % size;
    if (shift == 0) continue;
    // counted from the end where it goes that way, so that it holds for other sizes, too
    x = t.one("Concat", {cut(t, x, axis, -shift, INT64_MAX), cut(t, x, axis, 0, -shift)}, {{"axis", axis}});
  }
  t.give(x);
}

// ---- indices and reductions -----------------------------------------------------------------------------------------

void gather(Translator& t) {
  t.give(t.one("GatherElements", {t.in(0), t.in(1)}, {{"axis", int64_t{t.attrs<AxisAttrs>().dim}}}));
}

void index_select(Translator& t) {
  t.give(t.one("Gather", {t.in(0), t.in(1)}, {{"axis", int64_t{t.attrs<AxisAttrs>().dim}}}));
}

void scatter_add(Translator& t) {
  t.give(t.one("ScatterElements", {t.in(0), t.in(1), t.in(2)},
               {{"axis", int64_t{t.attrs<AxisAttrs>().dim}}, {"reduction", std::string("add")}}));
}

std::string reduced(Translator& t, const char* op, const std::string& x, const Ints& axes, bool keep) {
  return t.one(op, {x, t.model().ints(axes)}, {{"keepdims", int64_t{keep}}});
}

void reduce(Translator& t) {
  const auto& a = t.attrs<ReduceAttrs>();
  const char* names[] = {"ReduceSum",  "ReduceMean", "ReduceMax", "ReduceMin",
                         "ReduceProd", "ReduceMax",  "ReduceMin", "ReduceSumSquare"};
  const bool truth = a.fn == Reduce::any || a.fn == Reduce::all;
  const std::string x = truth ? t.as(t.in(0), DType::i32) : t.in(0);
  const std::string y = reduced(t, names[static_cast<size_t>(a.fn)], x, ints_of(a.axes), a.keepdim);
  t.give(truth ? t.as(y, DType::boolean) : y);
}

void argreduce(Translator& t) {
  const auto& a = t.attrs<ArgReduceAttrs>();
  t.give(
      t.one(a.largest ? "ArgMax" : "ArgMin", {t.in(0)}, {{"axis", int64_t{a.dim}}, {"keepdims", int64_t{a.keepdim}}}));
}

void cumsum(Translator& t) { t.give(t.one("CumSum", {t.in(0), t.model().ints({t.attrs<AxisAttrs>().dim})})); }

void topk(Translator& t) {
  const auto& a = t.attrs<TopkAttrs>();
  const Names out =
      t.model().node("TopK", {t.in(0), t.model().ints({a.k})},
                     {{"axis", int64_t{a.dim}}, {"largest", int64_t{a.largest}}, {"sorted", int64_t{1}}}, 2);
  t.give(out[0], 0);
  t.give(out[1], 1);
}

void softmax(Translator& t) { t.give(t.one("Softmax", {t.in(0)}, {{"axis", int64_t{t.attrs<AxisAttrs>().dim}}})); }
void log_softmax(Translator& t) {
  t.give(t.one("LogSoftmax", {t.in(0)}, {{"axis", int64_t{t.attrs<AxisAttrs>().dim}}}));
}

void cast(Translator& t) { t.give(t.as(t.in(0), t.attrs<CastAttrs>().to)); }

void where(Translator& t) {
  std::string a = t.in(1), b = t.in(2);
  if (t.meta(1).dtype != t.result().dtype) a = t.as(a, t.result().dtype);
  if (t.meta(2).dtype != t.result().dtype) b = t.as(b, t.result().dtype);
  t.give(t.one("Where", {t.in(0), a, b}));
}

// ---- products -------------------------------------------------------------------------------------------------------

void matmul(Translator& t) {
  const auto& a = t.attrs<MatmulAttrs>();
  const std::string x = a.transpose_a ? transposed_last(t, t.in(0), t.meta(0).rank()) : t.in(0);
  const std::string y = a.transpose_b ? transposed_last(t, t.in(1), t.meta(1).rank()) : t.in(1);
  t.give(t.times(t.one("MatMul", {x, y}), a.scale));
}

void want_bare(Translator& t, const Epilogue& e) {
  if (!e.empty()) t.refuse("it was fused: export the graph as it was traced");
}

void linear(Translator& t) {
  want_bare(t, t.attrs<LinearAttrs>().epilogue);
  if (t.meta(0).rank() == 2) {
    Names in{t.in(0), t.in(1)};
    if (t.has(2)) in.push_back(t.in(2));
    return t.give(t.one("Gemm", in, {{"transB", int64_t{1}}}));
  }
  const std::string y = t.one("MatMul", {t.in(0), transposed_last(t, t.in(1), 2)});
  t.give(t.has(2) ? t.one("Add", {y, t.in(2)}) : y);
}

void conv(Translator& t) {
  const auto& a = t.attrs<ConvAttrs>();
  want_bare(t, a.epilogue);
  Names in{t.in(0), t.in(1)};
  if (t.has(2)) in.push_back(t.in(2));
  t.give(t.one("Conv", in,
               {{"strides", ints_of(a.stride)},
                {"dilations", ints_of(a.dilation)},
                {"pads", joined(a.pad_lo, a.pad_hi)},
                {"group", a.groups}}));
}

void conv_dx(Translator& t) {
  const auto& a = t.attrs<ConvAttrs>();
  const Meta &y = t.meta(0), &w = t.meta(1);
  Ints more;  // rows that no window begins at
  for (int i = 0; i < a.stride.size(); ++i) {
    const int64_t reach = a.dilation[i] * (w.dim(i + 2) - 1) + 1;
    more.push_back(a.size[i] - ((y.dim(i + 2) - 1) * a.stride[i] + reach - a.pad_lo[i] - a.pad_hi[i]));
    if (t.varies(0, i + 2) && (more.back() < 0 || more.back() >= a.stride[i]))
      t.refuse("its size does not follow from that of its operand");
  }
  t.give(t.one("ConvTranspose", {t.in(0), t.in(1)},
               {{"strides", ints_of(a.stride)},
                {"dilations", ints_of(a.dilation)},
                {"pads", joined(a.pad_lo, a.pad_hi)},
                {"group", a.groups},
                {"output_padding", more}}));
}

// ---- norms ----------------------------------------------------------------------------------------------------------

void batch_norm_eval(Translator& t) {
  const Shape channels{t.meta(0).dim(1)};
  t.give(t.one("BatchNormalization",
               {t.in(0), t.has(1) ? t.in(1) : t.filled(channels, 1), t.has(2) ? t.in(2) : t.filled(channels, 0),
                t.in(3), t.in(4)},
               {{"epsilon", t.attrs<NormAttrs>().eps}}));
}

void layer_norm(Translator& t) {
  const auto& a = t.attrs<NormAttrs>();
  const Meta& x = t.meta(0);
  const Shape last(x.shape.end() - a.dims, x.shape.end());
  for (int i = x.rank() - a.dims; i < x.rank(); ++i)
    if (t.varies(0, i)) t.refuse("it is over a size that follows the images");
  Names in{t.in(0), t.has(1) ? t.in(1) : t.filled(last, 1)};
  if (t.has(2)) in.push_back(t.in(2));
  t.give(t.one("LayerNormalization", in, {{"axis", int64_t{-a.dims}}, {"epsilon", a.eps}}));
}

void rms_norm(Translator& t) {
  const auto& a = t.attrs<NormAttrs>();
  Ints axes;
  for (int i = a.dims; i > 0; --i) axes.push_back(-i);
  const std::string squares = reduced(t, "ReduceMean", t.one("Mul", {t.in(0), t.in(0)}), axes, true);
  const std::string y = t.one("Div", {t.in(0), t.one("Sqrt", {t.plus(squares, a.eps)})});
  t.give(t.has(1) ? t.one("Mul", {y, t.in(1)}) : y);
}

void group_norm(Translator& t) {
  const auto& a = t.attrs<NormAttrs>();
  const Meta& x = t.meta(0);
  Model& m = t.model();
  const Shape groups{a.groups};
  const std::string split = t.one("Reshape", {t.in(0), m.ints({0, a.groups, -1})});
  const std::string y =
      t.one("InstanceNormalization", {split, t.filled(groups, 1), t.filled(groups, 0)}, {{"epsilon", a.eps}});
  Ints whole{0};
  Ints per_channel{1};
  bool varies = false;
  for (int i = 1; i < x.rank(); ++i) {
    whole.push_back(x.dim(i)), per_channel.push_back(i == 1 ? x.dim(1) : 1);
    varies = varies || t.varies(0, i);
  }
  std::string out = t.one("Reshape", {y, varies ? t.one("Shape", {t.in(0)}) : m.ints(whole)});
  if (t.has(1)) out = t.one("Mul", {out, t.one("Reshape", {t.in(1), m.ints(per_channel)})});
  if (t.has(2)) out = t.one("Add", {out, t.one("Reshape", {t.in(2), m.ints(per_channel)})});
  t.give(out);
}

void sdpa(Translator& t) {
  const auto& a = t.attrs<AttentionAttrs>();
  if (a.causal) t.refuse("causal attention");
  constexpr float kLowest = -3e38f;
  const std::string keys = transposed_last(t, t.in(1), t.meta(1).rank());
  std::string scores = t.one("MatMul", {t.times(t.in(0), a.scale), keys});
  const bool truth = t.has(3) && t.meta(3).dtype == DType::boolean;
  if (truth) scores = t.one("Where", {t.in(3), scores, t.model().number(kLowest)});
  else if (t.has(3)) scores = t.one("Add", {scores, t.in(3)});
  std::string weights = t.one("Softmax", {scores}, {{"axis", int64_t{-1}}});
  if (truth) weights = t.one("Where", {t.in(3), weights, t.model().number(0)});
  t.give(t.one("MatMul", {weights, t.in(2)}));
}

// Gates as they are go through a product that picks them, in ONNX's order: input, output, forget, cell.
void lstm(Translator& t) {
  const Meta &x = t.meta(0), &w = t.meta(1);
  Model& m = t.model();
  const int64_t directions = w.dim(0), hidden = w.dim(2), gates = 4 * hidden;
  Tensor picks = empty({directions, gates, directions * gates});
  Ints order;
  float* at = picks.mutable_data<float>().data();
  std::fill_n(at, picks.numel(), 0.f);
  for (int64_t d = 0; d < directions; ++d)
    for (const int64_t gate : {0, 3, 1, 2})
      for (int64_t h = 0; h < hidden; ++h, at += directions * gates) {
        at[d * gates + gate * hidden + h] = 1;
        if (d == 0) order.push_back(gate * hidden + h);
      }
  // steps first, then all sequences
  Ints first{t.attrs<AxisAttrs>().dim}, back(static_cast<size_t>(x.rank()));
  for (int i = 0; i < x.rank(); ++i)
    if (i != first[0]) first.push_back(i);
  for (size_t i = 0; i < first.size(); ++i) back[static_cast<size_t>(first[i])] = static_cast<int64_t>(i);
  const std::string turned = t.one("Transpose", {t.in(0)}, {{"perm", first}});
  const std::string rows = t.one("Reshape", {turned, m.ints({0, -1, directions * gates})});
  const std::string weights = t.one("Gather", {t.in(1), m.ints(order)}, {{"axis", int64_t{1}}});
  const std::string direction = directions == 2 ? "bidirectional" : "forward";
  const std::string y =
      t.one("LSTM", {rows, m.constant(picks, "picks"), weights}, {{"hidden_size", hidden}, {"direction", direction}});
  const std::string each = t.one("Transpose", {y}, {{"perm", Ints{0, 2, 1, 3}}});
  const std::string sizes = cut(t, t.one("Shape", {turned}), 0, 0, x.rank() - 1);
  const std::string shape = t.one("Concat", {sizes, m.ints({directions * hidden})}, {{"axis", int64_t{0}}});
  t.give(t.one("Transpose", {t.one("Reshape", {each, shape})}, {{"perm", back}}));
}

// ---- pooling and resizing -------------------------------------------------------------------------------------------

std::vector<Attribute> windows(const PoolAttrs& a) {
  return {{"kernel_shape", ints_of(a.kernel)},
          {"strides", ints_of(a.stride)},
          {"pads", joined(a.pad_lo, a.pad_hi)},
          {"ceil_mode", int64_t{a.ceil_mode}}};
}

void max_pool(Translator& t) {
  const auto& a = t.attrs<PoolAttrs>();
  if (!a.values_only && t.is_used(1)) t.refuse("the places of the largest are wanted");
  std::vector<Attribute> attributes = windows(a);
  attributes.emplace_back("dilations", ints_of(a.dilation));
  t.give(t.one("MaxPool", {t.in(0)}, attributes));
}

void avg_pool(Translator& t) {
  const auto& a = t.attrs<PoolAttrs>();
  std::vector<Attribute> attributes = windows(a);
  attributes.emplace_back("count_include_pad", int64_t{a.count_include_pad || a.divisor != 0});
  if (a.divisor != 0 && a.ceil_mode) t.refuse("a divisor of its own with windows that end outside");
  const std::string y = t.one("AveragePool", {t.in(0)}, attributes);
  int64_t area = 1;
  for (const int64_t k : a.kernel) area *= k;
  t.give(a.divisor == 0 ? y : t.times(y, static_cast<float>(area) / static_cast<float>(a.divisor)));
}

bool is_one(const Dims& size) {
  return std::all_of(size.begin(), size.end(), [](int64_t s) { return s == 1; });
}

Ints spatial_axes(const Meta& x) {
  Ints axes;
  for (int i = 2; i < x.rank(); ++i) axes.push_back(i);
  return axes;
}

// Means over windows of uneven sizes, as a product with shares.
std::string shares(Translator& t, int64_t from, int64_t to, bool transposed) {
  const Tensor m = empty(transposed ? Shape{from, to} : Shape{to, from}, DType::f32);
  auto* v = reinterpret_cast<float*>(m.bytes());
  std::fill_n(v, static_cast<size_t>(m.numel()), 0.0f);
  for (int64_t i = 0; i < to; ++i) {
    const int64_t first = i * from / to, last = ((i + 1) * from + to - 1) / to;
    for (int64_t k = first; k < last; ++k)
      v[transposed ? k * to + i : i * from + k] = 1 / static_cast<float>(last - first);
  }
  return t.model().constant(m, "shares");
}

void adaptive_avg_pool(Translator& t) {
  const Dims& size = t.attrs<AdaptivePoolAttrs>().size;
  const Meta& x = t.meta(0);
  if (is_one(size)) return t.give(reduced(t, "ReduceMean", t.in(0), spatial_axes(x), true));
  if (size.size() != 2) t.refuse("its operand has other than two spatial dimensions");
  if (t.varies(0, 2) || t.varies(0, 3)) t.refuse("its windows follow the size of the images");
  const std::string columns = t.one("MatMul", {t.in(0), shares(t, x.dim(3), size[1], true)});
  t.give(t.one("MatMul", {shares(t, x.dim(2), size[0], false), columns}));
}

void adaptive_max_pool(Translator& t) {
  if (!is_one(t.attrs<AdaptivePoolAttrs>().size)) t.refuse("more than one value a map is wanted");
  t.give(reduced(t, "ReduceMax", t.in(0), spatial_axes(t.meta(0)), true));
}

void interpolate(Translator& t) {
  const auto& a = t.attrs<InterpolateAttrs>();
  constexpr float kPyTorch = -0.75f, kPillow = -0.5f;
  const char* modes[] = {"nearest", "linear", "cubic"};
  const bool nearest = a.mode == Interpolation::nearest;
  std::vector<Attribute> attributes{
      {"mode", std::string(modes[static_cast<size_t>(a.mode)])},
      {"coordinate_transformation_mode", std::string(nearest           ? "asymmetric"
                                                     : a.align_corners ? "align_corners"
                                                                       : "pytorch_half_pixel")}};
  if (nearest) attributes.emplace_back("nearest_mode", std::string("floor"));
  if (a.mode == Interpolation::cubic) attributes.emplace_back("cubic_coeff_a", a.antialias ? kPillow : kPyTorch);
  if (a.antialias) attributes.emplace_back("antialias", int64_t{1});
  for (int i = 0; i < a.size.size(); ++i)
    if (const double scale = a.scale[static_cast<size_t>(i)];
        scale != 0 && scale * static_cast<double>(t.meta(0).dim(i + 2)) != static_cast<double>(a.size[i]))
      t.refuse("its coordinates follow a scale that is not that of the sizes");
  // Sizes of all axes: ONNX Runtime fails to move transposes past those of some (the attribute `axes`).
  t.give(t.one("Resize", {t.in(0), "", "", t.shape(t.result_shape())}, attributes));
}

struct Row {
  std::string_view op;
  Translation translate;
};
constexpr Row kRows[] = {{"cast", cast},
                         {"unary", unary},
                         {"binary", binary},
                         {"where", where},
                         {"reduce", reduce},
                         {"argreduce", argreduce},
                         {"cumsum", cumsum},
                         {"topk", topk},
                         {"softmax", softmax},
                         {"log_softmax", log_softmax},
                         {"reshape", reshape},
                         {"permute", permute},
                         {"slice", slice},
                         {"expand", expand},
                         {"copy", copy},
                         {"cat", cat_op},
                         {"pad", pad},
                         {"flip", flip},
                         {"roll", roll},
                         {"gather", gather},
                         {"scatter_add", scatter_add},
                         {"index_select", index_select},
                         {"matmul", matmul},
                         {"linear", linear},
                         {"conv", conv},
                         {"conv_dx", conv_dx},
                         {"batch_norm_eval", batch_norm_eval},
                         {"layer_norm", layer_norm},
                         {"rms_norm", rms_norm},
                         {"group_norm", group_norm},
                         {"sdpa", sdpa},
                         {"lstm", lstm},
                         {"max_pool", max_pool},
                         {"avg_pool", avg_pool},
                         {"adaptive_avg_pool", adaptive_avg_pool},
                         {"adaptive_max_pool", adaptive_max_pool},
                         {"interpolate", interpolate}};

}  // namespace

bool holds_sizes(std::string_view op) {
  constexpr std::string_view kHolders[] = {"reshape", "expand", "slice", "interpolate", "conv_dx"};
  return std::find(std::begin(kHolders), std::end(kHolders), op) != std::end(kHolders);
}

Translation find_translation(std::string_view op) {
  const Row* found = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return r.op == op; });
  return found == std::end(kRows) ? nullptr : found->translate;
}

}  // namespace fovea::onnx
