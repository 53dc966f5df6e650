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
    if (!s.op->takes_weights()) continue;
    const Meta &x = g.meta(s.in[0]), &w = g.meta(s.in[1]), &y = g.meta(s.out[0]);
    // depthwise convolutions compute in f32 anyway
    const bool depthwise = s.op->role == Role::conv && w.shape[1] == 1 && w.shape[0] == x.shape[1];
    const int64_t depth = depthwise ? 0 : w.numel() / w.shape[0], elements = x.numel() + (depthwise ? 0 : y.numel());
    work[names[static_cast<size_t>(s.in[0])]] +=
        static_cast<double>(y.numel()) * static_cast<double>(depth) + kElement * static_cast<double>(elements);
  }
  return work;
}

double squared_difference(const Tensors& a, const Tensors& b) {
  double sum = 0;
  int64_t count = 0;
  for (size_t r = 0; r < a.size(); ++r) {
    const Tensor x = on_host(contiguous(cast(a[r], DType::f32))), y = on_host(contiguous(cast(b[r], DType::f32)));
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

SensitivityMeter::SensitivityMeter(Graph traced, const Target& t, std::vector<Tensor> inputs)
    : traced_(std::move(traced)),
      target_(t),
      inputs_(std::move(inputs)),
      work_(work_of_readers(before_quantize(traced_, t))) {
  if (inputs_.empty())
    throw Error(Error::Kind::argument, "no inputs to measure sensitivities with", "give some of those calibrated with");
  target_.calibration = nullptr;
  Session f32 = compile(traced_, target_);
  for (const Tensor& x : inputs_) wanted_.push_back(f32.run(std::span(&x, 1)));
}

Sensitivity SensitivityMeter::measure(const std::string& value, const Observed& o) const {
  const auto found = work_.find(value);
  if (found == work_.end()) return {value};
  Sensitivity s{value, 0, found->second};
  auto only = std::make_shared<Calibration>();
  only->values[value] = o;
  Target t = target_;
  t.calibration = std::move(only);
  Session int8 = compile(traced_, t);
  for (size_t i = 0; i < inputs_.size(); ++i)
    s.error +=
        squared_difference(int8.run(std::span(&inputs_[i], 1)), wanted_[i]) / static_cast<double>(inputs_.size());
  return s;
}

Calibration spare_most_sensitive(Calibration c, std::vector<Sensitivity> each, double share) {
  double left = 0;
  for (const Sensitivity& s : each) left += share * s.work;
  std::erase_if(each, [](const Sensitivity& s) { return s.error <= 0; });
  std::stable_sort(each.begin(), each.end(), [](const Sensitivity& a, const Sensitivity& b) {
    return a.error * b.work > b.error * a.work;
  });
  for (const Sensitivity& s : each) {
    if (s.work > left) break;
    left -= s.work;
    c.values.erase(s.value);
  }
  return c;
}

}  // namespace fovea
