// SPDX-License-Identifier: Apache-2.0
#include "test/support/check_op.h"

#include <cmath>
#include <limits>
#include <optional>

#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/graph/session.h"
#include "engine/graph/trace.h"
#include "test/support/catch.h"
#include "test/support/far_device.h"
#include "test/support/stand_in.h"

namespace fovea::test {
namespace {

uint64_t hash(std::string_view name, uint64_t i) {  // FNV-1a, then SplitMix64
  uint64_t h = 0xcbf29ce484222325u;
  for (char c : name) h = (h ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  h += (i + 1) * 0x9e3779b97f4a7c15u;
  h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9u;
  h = (h ^ (h >> 27)) * 0x94d049bb133111ebu;
  return h ^ (h >> 31);
}
double unit(std::string_view name, uint64_t i) { return static_cast<double>(hash(name, i) >> 11) * 0x1p-53; }

}  // namespace

std::vector<double> values_of(const Tensor& t) {
  const NoGrad off;
  const UseBackend ref("ref");
  const Tensor dense = contiguous(cast(on_host(t), DType::f64));
  const auto data = dense.data<double>();
  return {data.begin(), data.end()};
}

double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  double squares = 0, scale = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return std::numeric_limits<double>::infinity();
    squares += (a[i] - b[i]) * (a[i] - b[i]);
  }
  for (double v : b) scale += std::isfinite(v) ? v * v : 0;
  return std::sqrt(scale > 1e-16 ? squares / scale : squares);
}

Tensor filled(std::string_view name, const Shape& s, DType t, Range r) {
  std::vector<double> v(static_cast<size_t>(numel(s)));
  for (size_t i = 0; i < v.size(); ++i) v[i] = r.lo + (r.hi - r.lo) * unit(name, i);
  const NoGrad off;
  const UseBackend ref("ref");
  return cast(from(std::span<const double>(v), s), t);
}

size_t Vars::entry(std::string_view name, const Shape& s, Entry::Kind kind, Range r, int64_t bound) {
  for (size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].name == name) return i;
  Tensor master;
  if (kind != Entry::other) {
    master = filled(name, s, DType::f64, r);
  } else if (bound > 0) {
    std::vector<int64_t> v(static_cast<size_t>(numel(s)));
    for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<int64_t>(hash(name, i) % static_cast<uint64_t>(bound));
    master = from(std::span<const int64_t>(v), s);
  } else {
    master = zeros(s, DType::boolean);
    for (size_t i = 0; i < static_cast<size_t>(numel(s)); ++i) master.mutable_data<bool>()[i] = unit(name, i) < 0.75;
  }
  entries_.push_back({std::string(name), kind, master});
  return entries_.size() - 1;
}

Tensor Vars::operator()(std::string_view name, const Shape& s, Range r) {
  return value(entry(name, s, Entry::differentiable, r, 0));
}
Tensor Vars::constant(std::string_view name, const Shape& s, Range r) {
  return value(entry(name, s, Entry::floating, r, 0));
}
Tensor Vars::index(std::string_view name, const Shape& s, int64_t bound) {
  return value(entry(name, s, Entry::other, {}, bound));
}
Tensor Vars::mask(std::string_view name, const Shape& s) { return value(entry(name, s, Entry::other, {}, 0)); }

void Vars::begin(const Setting& s, Tensors given) {
  setting_ = s;
  given_ = std::move(given);
}

namespace {

// The same values behind unusual strides.
Tensor laid_out(const Tensor& x, Vars::Layout layout) {
  switch (layout) {
    case Vars::Layout::channels_last: return contiguous(x, Memory::channels_last);
    case Vars::Layout::sliced: {  // every second element of something larger that begins elsewhere
      if (x.rank() == 0) return x;
      Tensor wide = stack({x * 0.0 + 77.0, x}, -1);
      Shape s = x.shape();
      s[s.size() - 1] *= 2;
      wide = reshape(wide, s);
      return slice(wide, -1, 1, wide.dim(-1), 2);
    }
    case Vars::Layout::permuted: {
      Dims reversed;
      for (int i = x.rank() - 1; i >= 0; --i) reversed.push_back(i);
      return permute(contiguous(permute(x, reversed)), reversed);
    }
    default: return x;
  }
}

// Repeats the first element along the first dimension that has several; the others are cut off.
Tensor repeated(const Tensor& x, bool dense) {
  for (int d = 0; d < x.rank(); ++d)
    if (x.dim(d) > 1) {
      const Tensor y = expand(narrow(x, d, 0, 1), x.shape());
      return dense ? contiguous(y) : y;
    }
  return x;
}

}  // namespace

Tensor Vars::value(size_t i) {
  if (given_.size() < entries_.size()) given_.resize(entries_.size());
  if (given_[i]) return given_[i];
  const NoGrad off;
  const UseBackend ref("ref");
  const Entry& e = entries_[i];
  Tensor x = e.master;
  if (e.kind != Entry::other) x = cast(cast(x, setting_.rounded), setting_.dtype);
  if (e.kind != Entry::other || x.dtype() == DType::i64) {
    if (setting_.layout == Layout::broadcast) x = e.kind == Entry::other ? x : repeated(x, setting_.dense);
    else if (!setting_.dense) x = laid_out(x, setting_.layout);
  }
  x = x.to(setting_.device);
  if (setting_.leaves && e.kind == Entry::differentiable) {
    if (x.same(e.master)) x = x.detach();
    x.set_requires_grad();
  }
  return given_[i] = x;
}

namespace {

using Setting = Vars::Setting;

// What the gradient starts from; the same at every call.
Tensor cotangent(const Tensor& y, size_t i) {
  return filled(str_cat("cotangent", i), y.shape(), y.dtype(), {0.25, 1.25}).to(y.device());
}

bool differentiable(const Tensor& y) { return is_floating(y.dtype()) && y.requires_grad(); }

class Checker {
 public:
  Checker(const Description& d, const CheckOptions& o) : describe_(d), options_(o) {}

  std::vector<std::string> all() {
    run(Setting{}, "ref");
    backends_agree(DType::f32, options_.f32);
    if (options_.half) backends_agree(DType::bf16, options_.bf16);
    if (options_.layouts) layouts_agree();
    if (options_.gradient) gradient_is_slope();
    if (options_.traced) traced_agrees(Setting{});
    if (options_.far) far_agrees();
    if (options_.cuda) cuda_agrees();
    return std::move(problems_);
  }

 private:
  // backend "": whichever the planner picks.
  Tensors run(const Setting& s, const std::string& backend, Tensors given = {}) {
    vars_.begin(s, std::move(given));
    if (backend.empty()) return describe_(vars_);
    const UseBackend only(backend);
    return describe_(vars_);
  }

  Tensors gradients(const Setting& s, const std::string& backend, bool create_graph = false) {
    Setting leaves = s;
    leaves.leaves = true;
    const Tensors ys = run(leaves, backend);
    Tensors outputs, seeds, inputs;
    for (size_t i = 0; i < ys.size(); ++i)
      if (differentiable(ys[i])) outputs.push_back(ys[i]), seeds.push_back(cotangent(ys[i], i));
    for (size_t i : wanted()) inputs.push_back(vars_.value(i));
    if (inputs.empty() || outputs.empty()) return {};
    if (backend.empty()) return grad(outputs, inputs, seeds, create_graph);
    const UseBackend only(backend);
    return grad(outputs, inputs, seeds, create_graph);
  }

  std::vector<size_t> wanted() const {
    std::vector<size_t> out;
    for (size_t i = 0; i < vars_.entries().size(); ++i)
      if (vars_.entries()[i].kind == Vars::Entry::differentiable) out.push_back(i);
    return out;
  }

  void compare(const Tensors& got, const Tensors& want, double tolerance, bool exact_integers, const std::string& how) {
    if (got.size() != want.size()) return fail(how, str_cat(got.size(), " results, not ", want.size()));
    for (size_t i = 0; i < got.size(); ++i) {
      const bool floating = is_floating(want[i].dtype());
      if (!floating && !exact_integers) continue;
      const std::string one = str_cat(how, ", result ", i, ": ", got[i].meta());
      if (got[i].shape() != want[i].shape()) return fail(one, str_cat("expected ", want[i].meta()));
      const double error = relative_error(values_of(got[i]), values_of(want[i])), most = floating ? tolerance : 0;
      if (!(error <= most)) fail(one, str_cat("differs by ", error, ", allowed ", most));
    }
  }

  void backends_agree(DType t, double tolerance) {
    const bool exact = t == DType::f32;
    Setting wide, narrow;
    wide.rounded = narrow.rounded = narrow.dtype = t;
    const Tensors want = run(wide, "ref");
    compare(run(narrow, ""), want, tolerance, exact, str_cat("as planned, ", name_of(t)));
    for (const Backend* b : backends()) {
      if (b->device != Device::Kind::cpu) continue;
      try {
        compare(run(narrow, b->name), want, tolerance, exact, str_cat(b->name, ", ", name_of(t)));
      } catch (const Error& e) {
        if (e.kind() != Error::Kind::unsupported) throw;
      }
    }
    if (options_.gradient)
      compare(gradients(narrow, ""), gradients(wide, "ref"), tolerance * 5, false,
              str_cat("gradient as planned, ", name_of(t)));
  }

  void layouts_agree() {
    static constexpr std::pair<Vars::Layout, const char*> kLayouts[] = {{Vars::Layout::channels_last, "channels-last"},
                                                                        {Vars::Layout::sliced, "sliced"},
                                                                        {Vars::Layout::permuted, "permuted"},
                                                                        {Vars::Layout::broadcast, "broadcast"}};
    for (const auto& [layout, name] : kLayouts) {
      Setting wide, narrow;
      wide.rounded = narrow.rounded = narrow.dtype = DType::f32;
      wide.layout = narrow.layout = layout;
      wide.dense = true;
      compare(run(narrow, ""), run(wide, "ref"), options_.f32, true, str_cat(name, " operands"));
      if (!options_.gradient || layout == Vars::Layout::broadcast) continue;
      compare(gradients(narrow, ""), gradients(wide, "ref"), options_.f32 * 5, false,
              str_cat("gradient with ", name, " operands"));
    }
  }

  // sum of results times cotangents, at operands moved by `step` along `direction` of one of them.
  double loss(size_t entry, const Tensor& direction, double step) {
    const NoGrad off;
    const UseBackend ref("ref");
    Tensors given(vars_.entries().size());
    given[entry] = vars_.entries()[entry].master + direction * step;
    const Tensors ys = run(Setting{}, "ref", given);
    double total = 0;
    for (size_t i = 0; i < ys.size(); ++i)
      if (is_floating(ys[i].dtype())) total += sum(ys[i] * cotangent(ys[i], i)).item();
    return total;
  }

  void fail(const std::string& how, const std::string& what) { problems_.push_back(str_cat(how, ": ", what)); }

  void check_slope(const Tensor& gradient, const Tensor& direction, double difference, const std::string& how) {
    const std::vector<double> g = values_of(gradient), d = values_of(direction);
    double slope = 0, scale = 0;
    for (size_t i = 0; i < g.size(); ++i) {
      slope += g[i] * d[i];
      scale += g[i] * g[i] * d[i] * d[i];
    }
    if (!(std::abs(slope - difference) <= 1e-6 * (std::sqrt(scale) + std::abs(difference)) + 1e-8))
      fail(how, str_cat("the vjp gives ", slope, ", differences give ", difference));
  }

  static constexpr double kStep = 2e-6;

  void gradient_is_slope() {
    const UseBackend ref("ref");
    const Tensors gs = gradients(Setting{}, "ref");
    const std::vector<size_t> entries = wanted();
    for (size_t k = 0; k < gs.size(); ++k)
      for (int n = 0; n < 2; ++n) {
        const Vars::Entry& e = vars_.entries()[entries[k]];
        const Tensor direction = filled(str_cat("direction", n, e.name), e.master.shape(), DType::f64);
        const double difference =
            (loss(entries[k], direction, kStep) - loss(entries[k], direction, -kStep)) / (2 * kStep);
        check_slope(gs[k], direction, difference, "gradient of " + e.name);
      }
    if (options_.second && !gs.empty()) second_is_slope(entries);
  }

  // The slope of the loss along fixed directions of all operands; where asked, its gradient for operands and
  // cotangents. `moved` is one of those, by number.
  double slope(size_t moved, const Tensor& direction, double step, Tensors* gradients, Tensors* at) {
    const UseBackend ref("ref");
    const std::vector<size_t> entries = wanted();
    Tensors given(vars_.entries().size()), inputs, outputs, seeds;
    for (size_t k = 0; k < entries.size(); ++k) {
      Tensor x = vars_.entries()[entries[k]].master.detach();
      if (moved == k && direction) x = x + direction * step;
      given[entries[k]] = x.set_requires_grad();
      inputs.push_back(x);
    }
    const Tensors ys = run(Setting{}, "ref", given);
    for (size_t i = 0; i < ys.size(); ++i) {
      if (!differentiable(ys[i])) continue;
      Tensor c = cotangent(ys[i], i);
      if (moved == entries.size() + seeds.size() && direction) c = c + direction * step;
      outputs.push_back(ys[i]);
      seeds.push_back(c.set_requires_grad());
    }
    const Tensors first = grad(outputs, inputs, seeds, true);
    Tensor total = scalar(0, DType::f64);
    for (size_t k = 0; k < first.size(); ++k)
      total = total + sum(first[k] * filled("second" + vars_.entries()[entries[k]].name, first[k].shape(), DType::f64));
    if (gradients) {
      *at = inputs;
      at->insert(at->end(), seeds.begin(), seeds.end());
      if (total.requires_grad()) *gradients = grad(std::vector{total}, *at);
    }
    return total.item();
  }

  void second_is_slope(const std::vector<size_t>& entries) {
    Tensors gs, at;
    slope(0, {}, 0, &gs, &at);
    if (gs.empty()) fail("gradient of the gradient", "there is none, not even for the gradient that came in");
    for (size_t k = 0; k < gs.size(); ++k) {
      const std::string name =
          k < entries.size() ? vars_.entries()[entries[k]].name : str_cat("cotangent ", k - entries.size());
      const Tensor direction = filled("direction" + name, at[k].shape(), DType::f64);
      const double difference =
          (slope(k, direction, kStep, nullptr, nullptr) - slope(k, direction, -kStep, nullptr, nullptr)) / (2 * kStep);
      check_slope(gs[k], direction, difference, "gradient of the gradient, of " + name);
    }
  }

  // The gradients of the gradients' sum: for operands, and for the gradients that it starts from.
  Tensors second_gradients(Setting s, const std::string& backend) {
    s.leaves = true;
    const Tensors ys = run(s, backend);
    Tensors outputs, inputs, seeds;
    for (size_t i : wanted()) inputs.push_back(vars_.value(i));
    for (size_t i = 0; i < ys.size(); ++i)
      if (differentiable(ys[i])) outputs.push_back(ys[i]), seeds.push_back(cotangent(ys[i], i).set_requires_grad());
    std::optional<UseBackend> only;
    if (!backend.empty()) only.emplace(backend);
    Tensor total;
    for (const Tensor& g : grad(outputs, inputs, seeds, true)) {
      const Tensor part = sum(g * filled("second", g.shape(), g.dtype()).to(g.device()));
      total = total ? total + part : part;
    }
    inputs.insert(inputs.end(), seeds.begin(), seeds.end());
    return total && total.requires_grad() ? grad(std::vector{total}, inputs) : Tensors{};
  }

  // The kernels are ref's, so every bit is the same.
  void far_agrees() {
    add_far_devices();
    for (const DType t : {DType::f32, DType::bf16}) {
      if (t == DType::bf16 && !options_.half) continue;
      Setting here, there;
      here.rounded = here.dtype = there.rounded = there.dtype = t;
      there.device = far_device(t == DType::bf16);
      const std::string how = str_cat(there.device, ", ", name_of(t));
      compare(run(there, ""), run(here, "ref"), 0, true, how);
      if (options_.gradient) compare(gradients(there, ""), gradients(here, "ref"), 0, true, "gradient on " + how);
    }
    Setting here, there;
    there.device = far_device();
    if (options_.gradient && options_.second)
      compare(second_gradients(there, ""), second_gradients(here, "ref"), 0, true, "gradient of the gradient on far:0");
    if (options_.layouts) {
      there.dtype = here.dtype = DType::f32;
      there.layout = here.layout = Vars::Layout::sliced;
      compare(run(there, ""), run(here, "ref"), 0, true, "sliced operands on far:0");
    }
    if (options_.traced) traced_agrees(there);
  }

  // The bodies are a GPU's, so they may differ from ref as other backends do.
  void cuda_agrees() {
    add_stand_in();
    Setting here, there;
    there.device = stand_in();
    for (const auto& [t, tolerance] : {std::pair{DType::f32, options_.f32}, std::pair{DType::bf16, options_.bf16}}) {
      if (t == DType::bf16 && !options_.half) continue;
      here.rounded = there.rounded = there.dtype = t;
      const std::string how = str_cat("on the stand-in, ", name_of(t));
      compare(run(there, ""), run(here, "ref"), tolerance, t == DType::f32, how);
      if (options_.gradient && t == DType::f32)
        compare(gradients(there, ""), gradients(here, "ref"), tolerance * 5, false, "gradient " + how);
    }
    if (!options_.layouts) return;
    there.rounded = here.rounded = there.dtype = here.dtype = DType::f32;
    there.layout = here.layout = Vars::Layout::sliced;
    compare(run(there, ""), run(here, "ref"), options_.f32, true, "sliced operands on the stand-in");
  }

  void traced_agrees(Setting s) {
    const NoGrad off;
    s.layout = Vars::Layout::contiguous;
    s.rounded = s.dtype = DType::f32;
    const Tensors want = run(s, "");
    Metas metas;
    Tensors values;
    for (size_t i = 0; i < vars_.entries().size(); ++i) {
      values.push_back(vars_.value(i));
      metas.push_back(values.back().meta());
    }
    const Graph g = trace(
        [&](std::span<const Tensor> in) {
          vars_.begin(s, Tensors(in.begin(), in.end()));
          return describe_(vars_);
        },
        metas);
    compare(compile(g, {.device = s.device}).run(values), want, options_.f32, true,
            str_cat("traced and compiled for ", s.device));
  }

  const Description& describe_;
  const CheckOptions& options_;
  Vars vars_;
  std::vector<std::string> problems_;
};

}  // namespace

std::vector<std::string> problems_of(const Description& d, const CheckOptions& o) { return Checker(d, o).all(); }

void report(const std::vector<std::string>& problems) {
  for (const std::string& p : problems) FAIL_CHECK(p);
  CHECK(problems.empty());
}

}  // namespace fovea::test
