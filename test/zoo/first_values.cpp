// SPDX-License-Identifier: Apache-2.0
// test/zoo/first_values.cpp — a fresh model of each family has first values as timm draws them.
#include <algorithm>
#include <cmath>

#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/recorded.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

using nlohmann::json;

struct Moments {
  double mean = 0, deviation = 0, kurtosis = 0;
};

Moments moments(const std::vector<double>& v) {
  Moments m;
  const double n = static_cast<double>(v.size());
  double squares = 0, fourths = 0;
  for (const double x : v) m.mean += x / n;
  for (const double x : v) {
    const double square = (x - m.mean) * (x - m.mean);
    squares += square;
    fourths += square * square;
  }
  m.deviation = std::sqrt(squares / n);
  m.kurtosis = fourths / n / std::pow(m.deviation, 4);
  return m;
}

// Both sides are samples of n values, so a figure differs by about sqrt(2) times its standard error; five of
// these are allowed. The errors are those of normal values: of the mean s / sqrt(n), of the deviation s / sqrt(2 n), of
// the kurtosis sqrt(24 / n); values within bounds scatter less. The kurtosis of few values says nothing.
void check_moments(const std::vector<double>& ours, const Moments& theirs) {
  const double n = static_cast<double>(ours.size()), allowed = 5 * std::sqrt(2 / n);
  const Moments m = moments(ours);
  if (n < 8) return;                               // so few say nothing of how they were drawn
  const double unit = theirs.deviation;
  CHECK(std::abs(m.mean - theirs.mean) <= allowed * unit);
  CHECK(std::abs(m.deviation - theirs.deviation) <= allowed * unit / std::sqrt(2));
  if (n >= 1000) CHECK(std::abs(m.kurtosis - theirs.kurtosis) <= allowed * std::sqrt(24));
}

void check_value(const std::vector<double>& ours, const json& figures) {
  if (figures.size() == 1) {
    const auto [least, most] = std::ranges::minmax(ours);
    CHECK(least == figures[0].get<double>());
    CHECK(most == figures[0].get<double>());
  } else {
    check_moments(ours, {figures[0].get<double>(), figures[1].get<double>(), figures[2].get<double>()});
  }
}

}  // namespace

TEST_CASE("first values of whole networks are distributed as timm's", "[zoo][slow]") {
  for (const json& e : recorded_cases("first_values")) {
    const std::string name = e.at("name");
    const auto m = create(name, recorded_options(e));
    m->materialise(1);
    const StateDict state = m->state_dict();
    for (const auto& [key, figures] : e.at("values").items()) {
      INFO(name << " " << key);
      const Tensor* t = state.find(key);
      REQUIRE(t);
      check_value(test::values_of(*t), figures);
    }
  }
}

}  // namespace fovea::zoo
