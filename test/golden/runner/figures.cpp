// SPDX-License-Identifier: Apache-2.0
#include "test/golden/runner/figures.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/error.h"
#include "engine/ops/ops.h"

namespace fovea::golden {

std::string compare(const std::string& what, const nlohmann::json& figure, const Tensor& t, double tol,
                    double* most) {
  const auto recorded = figure.at("shape").get<std::vector<int64_t>>();
  const Shape shape(recorded.begin(), recorded.end());
  if (t.shape() != shape) return str_cat(what, ": shape ", t.shape(), ", recorded ", shape);
  const Tensor dense = contiguous(cast(t, DType::f32));
  const std::span<const float> v = dense.data<float>();
  double sum = 0, squares = 0, largest = 0;
  for (const float x : v) {
    if (!std::isfinite(x)) return str_cat(what, ": holds ", x);
    sum += static_cast<double>(x);
    largest = std::max(largest, std::abs(static_cast<double>(x)));
  }
  const double n = static_cast<double>(v.size()), mean = sum / n;
  for (const float x : v) squares += (static_cast<double>(x) - mean) * (static_cast<double>(x) - mean);
  const double absmax = figure.at("absmax").get<double>(), scale = absmax > 0 ? absmax : 1;
  double worst = 0;
  std::string text;
  const auto check = [&](const std::string& name, double ours, double theirs) {
    const double off = std::abs(ours - theirs) / scale;
    if (off <= worst) return;
    worst = off;
    if (off > tol)
      text = str_cat(what, ": ", name, " ", ours, ", recorded ", theirs, " (off by ", off, " of absmax, allowed ", tol,
                     ")");
  };
  check("mean", mean, figure.at("mean"));
  check("std", std::sqrt(squares / n), figure.at("std"));
  check("absmax", largest, absmax);
  const nlohmann::json& samples = figure.at("v");
  const size_t k = samples.size();
  for (size_t i = 0; i < k; ++i) {
    const size_t at = k == 1 ? 0 : i * (v.size() - 1) / (k - 1);
    check(str_cat("element ", at), static_cast<double>(v[at]), samples[i].get<double>());
  }
  if (most) *most = std::max(*most, worst);
  return text;
}

std::string compare_all(const std::string& what, const nlohmann::json& figures, const Tensors& ts, double tol,
                        double* most) {
  if (!figures.is_array())
    return ts.size() == 1 ? compare(what, figures, ts[0], tol, most)
                          : str_cat(what, ": ", ts.size(), " tensors, recorded one");
  if (figures.size() != ts.size()) return str_cat(what, ": ", ts.size(), " tensors, recorded ", figures.size());
  for (size_t i = 0; i < ts.size(); ++i)
    if (std::string text = compare(str_cat(what, "[", i, "]"), figures[i], ts[i], tol, most); !text.empty())
      return text;
  return {};
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const Tensor left = contiguous(cast(a, DType::f32)), right = contiguous(cast(b, DType::f32));
  const std::span<const float> l = left.data<float>(), r = right.data<float>();
  double apart = 0, scale = 0;
  for (size_t i = 0; i < r.size(); ++i) {
    if (!std::isfinite(l[i]) || !std::isfinite(r[i])) return std::numeric_limits<double>::infinity();
    apart = std::max(apart, std::abs(static_cast<double>(l[i]) - static_cast<double>(r[i])));
    scale = std::max(scale, std::abs(static_cast<double>(r[i])));
  }
  return scale > 0 ? apart / scale : apart;
}

}  // namespace fovea::golden
