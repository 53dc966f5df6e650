// SPDX-License-Identifier: Apache-2.0
#include "zoo/activation_stats.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/autograd/autograd.h"
#include "engine/core/eager.h"
#include "engine/core/scope.h"
#include "engine/ops/ops.h"

namespace fovea::zoo {
namespace {

class Watch final : public Executor {
 public:
  Tensors emit(const Site& site, std::span<const Tensor> in, Metas out) override {
    const Tensors results = eager_.emit(site, in, std::move(out));
    if (!site.op.traits.view && is_floating(results[0].dtype())) {
      const UseExecutor plain(eager_);
      look(site, results[0]);
    }
    return results;
  }
  std::vector<ActivationStats> stats;

 private:
  void look(const Site& site, const Tensor& result) {
    const std::string scope = current_scope();
    const auto [at, fresh] = places_.emplace(scope, stats.size());
    if (fresh) stats.emplace_back();
    ActivationStats s{.module = scope, .op = std::string(site.op.name()), .shape = result.shape()};
    const Tensor values = contiguous(cast(result, DType::f32));
    double sum = 0, squares = 0;
    int64_t finite = 0, zeros = 0;
    for (const float v : values.data<float>()) {
      if (!std::isfinite(v)) continue;
      const auto d = static_cast<double>(v);
      sum += d, squares += d * d, s.largest = std::max(s.largest, std::fabs(d));
      ++finite, zeros += v == 0.0f;
    }
    const auto n = static_cast<double>(std::max<int64_t>(1, finite));
    s.mean = sum / n;
    s.deviation = std::sqrt(std::max(0.0, squares / n - s.mean * s.mean));
    s.zeros = static_cast<double>(zeros) / n;
    s.not_finite = values.numel() - finite;
    stats[at->second] = std::move(s);
  }
  Eager eager_;
  std::map<std::string, size_t> places_;
};

}  // namespace

std::vector<ActivationStats> activation_stats(ImageModel& model, const Tensor& images) {
  const NoGrad no_grad;
  const EvalMode eval(model);
  Watch watch;
  const UseExecutor use(watch);
  model(images);
  return std::move(watch.stats);
}

}  // namespace fovea::zoo
