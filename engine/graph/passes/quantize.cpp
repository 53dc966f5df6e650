// SPDX-License-Identifier: Apache-2.0
// engine/graph/passes/quantize.cpp — convolutions and products whose ranges were calibrated compute in 8-bit integers;
// values between them live as u8 only.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>

#include "engine/core/finite.h"
#include "engine/graph/calibration.h"
#include "engine/graph/passes/passes.h"
#include "engine/graph/passes/rebuild.h"
#include "engine/ops/lowered/quant.h"

namespace fovea::passes {
namespace {

size_t at(int v) { return static_cast<size_t>(v); }

bool is_image(const Meta& m) { return m.rank() == 4 && m.shape[2] * m.shape[3] > 1; }

// A value of one number for each sample and channel that multiplies an image: squeeze-and-excitation.
bool is_gate_product(const Graph& g, const Step& s) {
  return s.op == &ops::binary && s.attrs.as<BinaryAttrs>().fn == Binary::mul && is_image(g.meta(s.in[0])) !=
                                                                                    is_image(g.meta(s.in[1]));
}
int image_of(const Graph& g, const Step& s) { return is_image(g.meta(s.in[0])) ? s.in[0] : s.in[1]; }
int gate_of(const Graph& g, const Step& s) { return is_image(g.meta(s.in[0])) ? s.in[1] : s.in[0]; }
bool gates_channels(const Graph& g, const Step& s) {
  const Shape &image = g.meta(image_of(g, s)).shape, &gate = g.meta(gate_of(g, s)).shape;
  return gate == Shape{image[0], image[1], 1, 1};
}

bool is_global_mean(const Graph& g, const Step& s) {
  if (s.op != &ops::reduce || !is_image(g.meta(s.in[0]))) return false;
  const auto& a = s.attrs.as<ReduceAttrs>();
  return a.fn == Reduce::mean && a.axes == Dims{2, 3};
}

// One scale for each output channel, a bias in units of its sums, and weights rounded to those.
struct Weights {
  Tensor w, scale, bias;
};

// mean: of each input channel, or empty. Padding and the zero of x concern the first `zeroed` channels of a group only.
Weights quantised(const Tensor& w, const Tensor& b, const Quant& x, const std::vector<float>& mean, int64_t groups,
                  int64_t zeroed) {
  const Tensor from = contiguous(w);
  const std::span<const float> values = from.data<float>();
  const auto outputs = at(static_cast<int>(w.dim(0))), each = values.size() / outputs;
  const auto taps = static_cast<size_t>(w.numel() / w.dim(0) / w.dim(1));
  Weights out{empty(w.shape(), DType::i8), empty({w.dim(0)}), empty({w.dim(0)}, DType::i32)};
  const std::span<int8_t> q = out.w.mutable_data<int8_t>();
  for (size_t o = 0; o < outputs; ++o) {
    const std::span<const float> row = values.subspan(o * each, each);
    float largest = 0;
    for (const float v : row) largest = std::max(largest, std::fabs(v));
    const double bias = b ? static_cast<double>(b.data<float>()[o]) : 0;
    // no smaller than what the bias needs to be a number of 31 bits
    const double step = std::max({static_cast<double>(largest) / 127,
                                  std::fabs(bias) / static_cast<double>(x.scale) / 1e9, 1e-30});
    // what rounding the weights adds on average, the bias takes away again
    double drift = 0;
    int64_t zeros = 0;                             // what the zero of x adds to a sum
    const size_t first =
        mean.empty() ? 0 : o / (outputs / at(static_cast<int>(groups))) * at(static_cast<int>(w.dim(1)));
    for (size_t i = 0; i < each; ++i) {
      const double rounded = std::nearbyint(static_cast<double>(row[i]) / step);
      q[o * each + i] = static_cast<int8_t>(rounded);
      if (i / taps < static_cast<size_t>(zeroed)) zeros += x.zero * static_cast<int64_t>(rounded);
      if (!mean.empty())
        drift += (rounded * step - static_cast<double>(row[i])) * static_cast<double>(mean[first + i / taps]);
    }
    const double scale = step * static_cast<double>(x.scale);
    out.scale.mutable_data<float>()[o] = static_cast<float>(scale);
    out.bias.mutable_data<int32_t>()[o] = static_cast<int32_t>(std::llrint((bias - drift) / scale) - zeros);
  }
  return out;
}

class Quantizer {
 public:
  Quantizer(Graph& g, const Target& t) : g_(g), c_(*t.calibration), device_(t.device), names_(value_names(g)), r_(g) {}

  void run() {
    if (std::none_of(names_.begin(), names_.end(), [&](const std::string& n) { return c_.values.contains(n); }))
      throw Error(Error::Kind::argument, "the calibration knows none of this graph's values",
                  "calibrate with the model and the version that it is used with");
    find_gates();
    find_wishes();
    u8_.assign(g_.values.size(), {});
    f32_.assign(g_.values.size(), true);
    for (const Step& s : r_.old_steps()) {
      if (is_depthwise(s) || is_product(s)) want_numbers(s);
      if (is_depthwise(s)) depthwise(s);
      else if (is_product(s)) product(s);
      else if (u8_out(s) && s.op == &ops::max_pool) max_pool(s);
      else if (u8_out(s) && is_gate_product(g_, s)) gate(s);
      else if (is_global_mean(g_, s) && u8_[at(s.in[0])]) mean(s);
      else if (is_narrow(s)) narrow(s);
      else plain(s);
    }
    for (int v : g_.outputs) f32(v);
    for (const State& s : g_.state) f32(s.out);
    r_.finish();
  }

 private:
  // Rounding makes some integer of NaN, and nobody would notice.
  void want_numbers(const Step& s) const {
    for (int v : s.in)
      if (g_.is_constant(v))
        if (const auto what = first_not_finite(g_.values[at(v)].constant))
          throw Error(Error::Kind::weights,
                      str_cat("8-bit integers: a constant of ", s.op->name(), " at ", s.scope, " holds ", *what),
                      "only finite weights can be rounded");
  }

  struct Form {                                    // an old value as u8
    int value;
    Quant quant;
  };

  const Observed* seen(int old) const {
    const auto it = c_.values.find(names_[at(old)]);
    return it == c_.values.end() ? nullptr : &it->second;
  }

  // A product that becomes one of integers.
  bool is_product(const Step& s) const {
    if (s.op != &ops::conv && s.op != &ops::linear) return false;
    const Meta &x = r_.was(s.in[0]), &w = g_.meta(s.in[1]);
    if (x.dtype != DType::f32 || gates_[at(s.out[0])] || !seen(s.in[0])) return false;
    if (first_or_last(s) || !has_constants(s)) return false;
    if (s.op == &ops::linear) return x.is_contiguous() && x.rank() >= 2;
    const int64_t groups = s.attrs.as<ConvAttrs>().groups;
    return x.rank() == 4 && (!is_image(x) || x.is_channels_last()) && (groups == 1 || w.shape[1] % 4 == 0);
  }

  // A depthwise convolution that reads u8, or gives it.
  bool is_depthwise(const Step& s) const {
    if (s.op != &ops::conv || gates_[at(s.out[0])]) return false;
    const auto& a = s.attrs.as<ConvAttrs>();
    const Meta &x = r_.was(s.in[0]), &w = g_.meta(s.in[1]);
    if (x.dtype != DType::f32 || x.rank() != 4 || !is_image(x) || !x.is_channels_last()) return false;
    if (a.groups == 1 || a.groups != x.shape[1] || w.shape[0] != a.groups || a.epilogue.residual) return false;
    return has_constants(s) && (reads_u8(s) || (wishes_[at(s.out[0])] && seen(s.out[0])));
  }
  bool reads_u8(const Step& s) const { return seen(s.in[0]) && !is_input(s.in[0]); }

  // Weights, and a bias if there is one.
  bool has_constants(const Step& s) const {
    return g_.is_constant(s.in[1]) && (s.in[2] < 0 || g_.is_constant(s.in[2]));
  }
  bool is_input(int v) const { return std::find(g_.inputs.begin(), g_.inputs.end(), v) != g_.inputs.end(); }

  // What reads an input and what makes an output decides most, and costs little.
  bool first_or_last(const Step& s) const {
    return is_input(s.in[0]) || std::find(g_.outputs.begin(), g_.outputs.end(), s.out[0]) != g_.outputs.end();
  }

  // Gates decide over whole channels: what computes them stays as it is.
  void find_gates() {
    gates_.assign(g_.values.size(), false);
    for (size_t i = r_.old_steps().size(); i-- > 0;) {
      const Step& s = r_.old_steps()[i];
      if (is_gate_product(g_, s)) gates_[at(gate_of(g_, s))] = true;
      else if (gates_[at(s.out[0])] && !is_image(g_.meta(s.in[0]))) gates_[at(s.in[0])] = true;
    }
  }

  // What stays f32 although it was calibrated, and has one row an image, so that reading weights is all its work.
  bool is_narrow(const Step& s) const {
    const bool linear = s.op == &ops::linear;
    if ((!linear && s.op != &ops::conv) || s.in.size() > 3 || !has_constants(s) || !seen(s.in[0]))
      return false;
    const Meta &x = r_.was(s.in[0]), &w = g_.meta(s.in[1]);
    if (x.dtype != DType::f32 || x.numel() == 0 || x.numel() != x.shape[0] * w.shape[1]) return false;
    return w.numel() == w.shape[0] * w.shape[1] &&
           r_.was(s.out[0]).numel() == x.shape[0] * w.shape[0] &&
           (linear || s.attrs.as<ConvAttrs>().groups == 1) && fits_half(g_.values[at(s.in[1])].constant);
  }
  static bool fits_half(const Tensor& w) {
    constexpr float kMost = 65504;
    const Tensor dense = contiguous(on_host(w));
    const std::span<const float> v = dense.data<float>();
    return std::all_of(v.begin(), v.end(), [](float x) { return std::abs(x) <= kMost; });
  }

  // Which values somebody would like to have as u8.
  void find_wishes() {
    wishes_.assign(g_.values.size(), false);
    carried_.assign(g_.values.size(), false);
    const std::vector<int> uses = uses_of_old();
    for (size_t i = r_.old_steps().size(); i-- > 0;) {
      const Step& s = r_.old_steps()[i];
      if (is_depthwise(s)) {
        if (reads_u8(s)) wishes_[at(s.in[0])] = true;
      } else if (is_product(s)) {
        if (!may_be_fine(s)) wishes_[at(s.in[0])] = true;
        if (s.in.size() > 3 && s.in[3] >= 0) carried_[at(s.in[3])] = true;
      }
      if (s.op == &ops::max_pool && uses[at(s.out[1])] == 0 && wishes_[at(s.out[0])]) wishes_[at(s.in[0])] = true;
      else if (is_gate_product(g_, s) && gates_channels(g_, s) && wishes_[at(s.out[0])])
        wishes_[at(image_of(g_, s))] = true;
    }
  }
  std::vector<int> uses_of_old() const {
    std::vector<int> uses(g_.values.size(), 0);
    for (const Step& s : r_.old_steps())
      for (int v : s.in)
        if (v >= 0) ++uses[at(v)];
    for (int v : g_.outputs) ++uses[at(v)];
    return uses;
  }

  // May a max_pool or a gate's product take its operand as u8 and give u8?
  bool u8_out(const Step& s) const {
    if (!wishes_[at(s.out[0])]) return false;
    if (s.op == &ops::max_pool) return wishes_[at(s.in[0])] && (u8_[at(s.in[0])] || seen(s.in[0]));
    return is_gate_product(g_, s) && gates_channels(g_, s) && u8_[at(image_of(g_, s))] && seen(s.out[0]);
  }

  Quant quant_of(int old) const { return quant_for(seen(old)->lo, seen(old)->hi); }

  // The f32 form of an old value; made once.
  int f32(int old) {
    if (old < 0) return -1;
    if (!f32_[at(old)]) {
      const Form& u = *u8_[at(old)];
      r_.redirect(old, r_.emit({&ops::dequantize, AttrsRef::of(QuantAttrs{u.quant}), {u.value}, {}, {}}));
      f32_[at(old)] = true;
    }
    return r_.now(old);
  }
  Form u8(int old) {
    std::optional<Form>& form = u8_[at(old)];
    if (!form) {
      const Quant q = quant_of(old);
      form = Form{r_.emit({&ops::quantize, AttrsRef::of(QuantAttrs{q}), {r_.now(old)}, {}, {}}), q};
    }
    return *form;
  }
  void gives_u8(int old, int value, const Quant& q) {
    u8_[at(old)] = Form{value, q};
    f32_[at(old)] = false;
  }

  // Computed on the host, used where the graph runs.
  int add_constant(const Tensor& t, const std::string& name) { return g_.add_constant(t.to(device_), name); }

  int reshaped(int v, const Shape& s, const std::string& scope) {
    return g_.meta(v).shape == s ? v : r_.emit({&ops::reshape, AttrsRef::of(ShapeAttrs{s}), {v}, {}, scope});
  }

  // Sums over few channels do not average roundings out, and cost little even when they are over twice as many: the
  // narrow ends of inverted bottlenecks have twelve bits.
  bool may_be_fine(const Step& s) const {
    constexpr int64_t kFew = 48;
    if (s.op != &ops::conv || !is_product(s)) return false;
    const Shape &x = r_.was(s.in[0]).shape, &w = g_.meta(s.in[1]).shape;
    const auto& a = s.attrs.as<ConvAttrs>();
    const bool pads = a.pad_lo != Dims{0, 0} || a.pad_hi != Dims{0, 0};
    return is_image(r_.was(s.in[0])) && seen(s.in[0])->lo < 0 && x[1] <= kFew && x[1] % 2 == 0 && w[1] == x[1] &&
           w[2] * w[3] == 1 && !pads;
  }
  bool is_fine(const Step& s) const { return may_be_fine(s) && !wishes_[at(s.in[0])]; }
  Form fine(int old) {
    const auto [it, first] = fine_.try_emplace(old);
    if (first) {
      const Quant q = quant_of(old);
      it->second = {r_.emit({&ops::quantize_fine, AttrsRef::of(QuantAttrs{q}), {f32(old)}, {}, {}}), q};
    }
    return it->second;
  }
  // A sixteenth of the weights is for what is left of each channel, which has the mean of 0 to 15 sixteenths.
  static Weights quantised_fine(const Tensor& w, const Tensor& b, const Quant& x, const std::vector<float>& mean) {
    std::vector<float> means;
    const float rest = x.scale * 7.5f;
    for (const float m : mean) means.push_back(m - rest / 16);
    means.resize(2 * mean.size(), rest);
    return quantised(cat({w, w * (1.0 / 16)}, 1), b, x, means, 1, w.dim(1));
  }

  // Linear layers are convolutions of images with one place.
  void product(const Step& s) {
    const bool linear = s.op == &ops::linear;
    const Meta result = r_.was(s.out[0]);
    const Tensor w = on_host(g_.values[at(s.in[1])].constant);
    const bool finely = is_fine(s);
    const Form x = finely ? fine(s.in[0]) : u8(s.in[0]);
    QuantConvAttrs a;
    a.x = x.quant;
    if (linear) {
      a.conv.stride = a.conv.dilation = {1};
      a.conv.pad_lo = a.conv.pad_hi = {0};
      a.conv.epilogue = s.attrs.as<LinearAttrs>().epilogue;
    } else {
      a.conv = s.attrs.as<ConvAttrs>();
    }
    // a sum that residuals go on adding to is kept exact: roundings of each block would add up, too
    const bool running_sum = carried_[at(s.out[0])] && a.conv.epilogue.act == Unary::identity;
    if (wishes_[at(s.out[0])] && seen(s.out[0]) && !running_sum) a.y = quant_of(s.out[0]);
    const Tensor bias = s.in[2] < 0 ? Tensor() : contiguous(on_host(g_.values[at(s.in[2])].constant));
    const std::vector<float>& mean = seen(s.in[0])->mean;
    if (const int64_t channels = w.dim(1) * a.conv.groups; !mean.empty() && std::ssize(mean) != channels)
      throw Error(Error::Kind::argument,
                  str_cat("the calibration has the means of ", mean.size(), " channels for ",
                          names_[at(s.in[0])], ", which has ", channels),
                  "calibrate with the model and the version that it is used with");
    const Weights q = finely ? quantised_fine(w, bias, x.quant, mean)
                             : quantised(linear ? reshape(w, {w.dim(0), w.dim(1), 1}) : w, bias, x.quant, mean,
                                         a.conv.groups, w.dim(1));
    const int64_t rows = linear ? result.numel() / w.dim(0) : 0;
    const auto wide = [&](int v, int64_t channels) { return linear ? reshaped(v, {rows, channels, 1}, s.scope) : v; };
    const std::string name = g_.values[at(s.in[1])].name;   // a copy: constants are added below
    Step step{&ops::quant_conv,
              {},
              {wide(x.value, w.dim(1)), add_constant(q.w, name), add_constant(q.scale, str_cat(name, ".scale")),
               add_constant(q.bias, str_cat(name, ".bias"))},
              {},
              s.scope};
    if (a.conv.epilogue.residual) {
      const int old = s.in[3];
      if (!f32_[at(old)]) a.residual = u8_[at(old)]->quant;
      step.in.push_back(wide(f32_[at(old)] ? r_.now(old) : u8_[at(old)]->value, w.dim(0)));
    }
    step.attrs = AttrsRef::of(a);
    const int y = linear ? reshaped(r_.emit(step), result.shape, s.scope) : r_.emit(step);
    if (a.y) gives_u8(s.out[0], y, a.y);
    else r_.redirect(s.out[0], y);
  }

  // Weights take the scale of x, the bias what its zero adds.
  void depthwise(const Step& s) {
    QuantConvAttrs a;
    a.conv = s.attrs.as<ConvAttrs>();
    Tensor w = contiguous(on_host(g_.values[at(s.in[1])].constant));
    Tensor bias = s.in[2] < 0 ? zeros({w.dim(0)}) : contiguous(on_host(g_.values[at(s.in[2])].constant));
    int x = -1;
    if (reads_u8(s)) {
      const Form form = u8(s.in[0]);
      a.x = form.quant;
      x = form.value;
      w = w * static_cast<double>(a.x.scale);
      bias = bias - sum(reshape(w, {w.dim(0), -1}), {1}) * static_cast<double>(a.x.zero);
    } else {
      x = f32(s.in[0]);
    }
    if (wishes_[at(s.out[0])] && seen(s.out[0])) a.y = quant_of(s.out[0]);
    const std::string name = g_.values[at(s.in[1])].name;   // a copy: constants are added below
    const int y = r_.emit({&ops::quant_depthwise,
                           AttrsRef::of(a),
                           {x, add_constant(w, name), add_constant(bias, str_cat(name, ".bias"))},
                           {},
                           s.scope});
    if (a.y) gives_u8(s.out[0], y, a.y);
    else r_.redirect(s.out[0], y);
  }

  void max_pool(const Step& s) {
    const Form x = u8(s.in[0]);
    gives_u8(s.out[0], r_.emit({&ops::quant_max_pool, s.attrs, {x.value}, {}, s.scope}), x.quant);
  }

  void gate(const Step& s) {
    const Form x = u8(image_of(g_, s));
    const Quant y = quant_of(s.out[0]);
    const QuantGateAttrs a{x.quant, y};
    gives_u8(s.out[0],
             r_.emit({&ops::quant_gate, AttrsRef::of(a), {x.value, f32(gate_of(g_, s))}, {}, s.scope}), y);
  }

  void mean(const Step& s) {
    const Form x = u8(s.in[0]);
    const int y = r_.emit({&ops::quant_mean, AttrsRef::of(QuantAttrs{x.quant}), {x.value}, {}, s.scope});
    r_.redirect(s.out[0], reshaped(y, r_.was(s.out[0]).shape, s.scope));
  }

  // Half the bytes of weights, for a rounding that is small beside those of eight bits.
  void narrow(const Step& s) {
    const bool linear = s.op == &ops::linear;
    const Tensor w = g_.values[at(s.in[1])].constant;
    const std::string name = g_.values[at(s.in[1])].name;   // a copy: constants are added below
    const int64_t rows = r_.was(s.in[0]).shape[0];
    const LinearAttrs a{linear ? s.attrs.as<LinearAttrs>().epilogue : s.attrs.as<ConvAttrs>().epilogue};
    const int x = reshaped(f32(s.in[0]), {rows, w.dim(1)}, s.scope);
    const int half = g_.add_constant(cast(reshape(contiguous(w), {w.dim(0), w.dim(1)}), DType::f16), name);
    const int y = r_.emit({&ops::half_linear, AttrsRef::of(a), {x, half, f32(s.in[2])}, {}, s.scope});
    r_.redirect(s.out[0], reshaped(y, r_.was(s.out[0]).shape, s.scope));
  }

  void plain(const Step& from) {
    Step s = from;
    for (int& v : s.in) v = f32(v);
    r_.emit(s, from.out);
  }

  Graph& g_;
  const Calibration& c_;
  const Device device_;
  const std::vector<std::string> names_;
  Rebuild r_;
  // By old values. carried_: a residual of later steps; f32_: there is an f32 form.
  std::vector<bool> gates_, wishes_, carried_, f32_;
  std::vector<std::optional<Form>> u8_;
  std::map<int, Form> fine_;                       // by old value: quantize_fine of it
};

}  // namespace

void quantize(Graph& g, const Target& t) {
  if (t.calibration) Quantizer(g, t).run();
}

}  // namespace fovea::passes
