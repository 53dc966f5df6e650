// SPDX-License-Identifier: Apache-2.0
#include "engine/graph/sensitivity.h"

#include <algorithm>

#include "engine/graph/passes/passes.h"
#include "engine/ops/ops.h"

namespace fovea {
namespace {

// How many multiply-adds take about as long as one element that is read or written.
constexpr double kElement = 16;

std::map<std::string, double> work_of_readers(const Graph& g) {
  const std::vector<std::string> names = value_names(g);
  std::map<std::string, double> work;
  for (const Step& s : g.steps) {
    if (s.op != &ops::conv && s.op != &ops::linear) continue;
    const Meta &x = g.meta(s.in[0]), &w = g.meta(s.in[1]), &y = g.meta(s.out[0]);
    work[names[static_cast<size_t>(s.in[0])]] +=
        static_cast<double>(y.numel()) * static_cast<double>(w.numel() / w.dim(0)) +
        kElement * static_cast<double>(x.numel() + y.numel());
  }
  return work;
}

double squared_difference(const Tensors& a, const Tensors& b) {
  double sum = 0;
  int64_t count = 0;
  for (size_t r = 0; r < a.size(); ++r) {
    const Tensor x = contiguous(cast(a[r], DType::f32)), y = contiguous(cast(b[r], DType::f32));
    const std::span<const float> p = x.data<float>(), q = y.data<float>();
    for (size_t i = 0; i < p.size(); ++i) {
      const double off = static_cast<double>(p[i]) - static_cast<double>(q[i]);
      sum += off * off;
    }
    count += x.numel();
  }
  return sum / static_cast<double>(std::max<int64_t>(count, 1));
}

}  // namespace

std::vector<Sensitivity> sensitivities(const Graph& traced, const Target& t, const Calibration& c,
                                       std::span<const Tensor> inputs,
                                       const std::function<void(size_t, size_t)>& shown) {
  if (inputs.empty())
    throw Error(Error::Kind::argument, "no inputs to measure sensitivities with", "give some of those calibrated with");
  const std::map<std::string, double> work = work_of_readers(before_quantize(traced, t));
  Target target = t;
  target.calibration = nullptr;
  Session f32 = compile(traced, target);
  std::vector<Tensors> wanted;
  for (const Tensor& x : inputs) wanted.push_back(f32.run(std::span(&x, 1)));
  std::vector<Sensitivity> out;
  for (const auto& [name, observed] : c.values) {
    if (shown) shown(out.size(), c.values.size());
    const auto found = work.find(name);
    Sensitivity s{name, 0, found == work.end() ? 0 : found->second};
    if (s.work > 0) {
      auto only = std::make_shared<Calibration>();
      only->values[name] = observed;
      target.calibration = std::move(only);
      Session int8 = compile(traced, target);
      for (size_t i = 0; i < inputs.size(); ++i)
        s.error += squared_difference(int8.run(std::span(&inputs[i], 1)), wanted[i]) / static_cast<double>(inputs.size());
    }
    out.push_back(std::move(s));
  }
  return out;
}

Calibration spare_most_sensitive(Calibration c, std::vector<Sensitivity> s, double share) {
  double all = 0, spared = 0;
  for (const Sensitivity& v : s) all += v.work;
  std::erase_if(s, [](const Sensitivity& v) { return v.error <= 0; });
  std::stable_sort(s.begin(), s.end(),
                   [](const Sensitivity& a, const Sensitivity& b) { return a.error * b.work > b.error * a.work; });
  for (const Sensitivity& v : s) {
    if (spared + v.work > share * all) break;
    spared += v.work;
    c.values.erase(v.value);
  }
  return c;
}

}  // namespace fovea
