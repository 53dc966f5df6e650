// SPDX-License-Identifier: Apache-2.0
// test/zoo/gradients.cpp — the gradients of all parameters of one small member of each family are PyTorch's.
#include <cmath>
#include <set>

#include "engine/autograd/autograd.h"
#include "engine/core/backend.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "test/support/recorded.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

using nlohmann::json;

double norm_of(const std::vector<double>& v) {
  double squares = 0;
  for (const double x : v) squares += x * x;
  return std::sqrt(squares);
}

// The larger of two relative errors: of the norm, and of the worst sample in units of the root mean square, so
// that a single wrong element of a large parameter counts as one. Where the recorded gradient vanishes, our norm stands
// against the network's largest.
double error_of(const std::vector<double>& ours, const std::vector<double>& figures, double largest_norm) {
  const double norm = figures[0];
  if (norm == 0) return norm_of(ours) / largest_norm;
  double worst = std::abs(norm_of(ours) - norm) / norm;
  const double unit = norm / std::sqrt(static_cast<double>(ours.size()));
  const size_t k = figures.size() - 1;
  for (size_t i = 0; i < k; ++i) {
    const size_t at = k == 1 ? 0 : i * (ours.size() - 1) / (k - 1);
    worst = std::max(worst, std::abs(ours[at] - figures[i + 1]) / unit);
  }
  return worst;
}

// As test/golden/record/gradients.py does it.
std::unique_ptr<ImageModel> differentiated(const json& c, DType dtype) {
  auto m = create(c.at("name").get<std::string>(), recorded_options(c));
  fill_weights(*m);
  m->to(dtype);
  m->train(c.at("train").get<bool>()).set_requires_grad();
  const auto size = c.at("input").get<std::array<int64_t, 4>>();
  const Tensor x = cast(golden_input({size[0], size[1], size[2], size[3]}), dtype);
  std::vector<int64_t> targets;
  for (int64_t i = 0; i < size[0]; ++i) targets.push_back((3 * i + 1) % m->num_classes());
  const Tensor loss = cross_entropy((*m)(x), from(std::span<const int64_t>(targets), {size[0]}));
  CHECK(loss.item() == Approx(c.at("loss").get<double>()).epsilon(dtype == DType::f64 ? 1e-8 : 1e-4));
  backward(loss);
  return m;
}

void check_case(const json& c, DType dtype, double tolerance) {
  const auto m = differentiated(c, dtype);
  const std::vector<NamedParameter> parameters = m->named_parameters();
  const json& recorded = c.at("gradients");
  REQUIRE(parameters.size() == recorded.size());
  double largest = 0;
  for (const auto& [name, figures] : recorded.items()) largest = std::max(largest, figures[0].get<double>());
  for (const NamedParameter& p : parameters) {
    INFO(p.name);
    const Tensor slope = p.tensor().grad();
    REQUIRE(slope);
    REQUIRE(slope.shape() == p.tensor().shape());
    const double error = error_of(test::values_of(slope), recorded.at(p.name).get<std::vector<double>>(), largest);
    CHECK(error <= tolerance);                     // also fails for what is not a number
  }
}

void check_cases(DType dtype, double tolerance) {
  for (const json& c : recorded_cases("gradients")) {
    if (dtype != DType::f64 && !c.at("steady").get<bool>()) continue;
    INFO(c.at("name") << (c.at("train").get<bool>() ? " in train mode" : " in eval mode"));
    check_case(c, dtype, tolerance);
  }
}

}  // namespace

TEST_CASE("each family that is built in has recorded gradients that f32 can be compared with", "[zoo]") {
  std::set<std::string> recorded;
  for (const json& c : recorded_cases("gradients"))
    if (c.at("steady").get<bool>()) recorded.emplace(module_of(c.at("name").get<std::string>()));
  for (const std::string& module : modules()) {
    CAPTURE(module);
    CHECK(recorded.contains(module));
  }
}

TEST_CASE("gradients of whole networks in f64 on ref are PyTorch's", "[zoo][slow]") {
  const UseBackend ref("ref");
  check_cases(DType::f64, 1e-6);
}

TEST_CASE("gradients of whole networks in f32 are PyTorch's", "[zoo][slow]") { check_cases(DType::f32, 1e-3); }

}  // namespace fovea::zoo
