// SPDX-License-Identifier: Apache-2.0
#include "test/nn/figures.h"

#include <cmath>
#include <fstream>
#include <map>
#include <span>
#include <sstream>
#include <vector>

#include "engine/ops/ops.h"
#include "test/support/catch.h"

namespace fovea {
namespace {

struct Row {
  std::string shape;
  std::vector<double> values;
};

const std::map<std::string, Row>& rows() {
  static const std::map<std::string, Row> all = [] {
    std::map<std::string, Row> r;
    std::ifstream in(std::string(FOVEA_SOURCE_DIR) + "/test/golden/layers.tsv");
    for (std::string line; std::getline(in, line);) {
      std::istringstream fields(line);
      std::string name, value;
      std::getline(fields, name, '\t');
      Row row;
      std::getline(fields, row.shape, '\t');
      while (std::getline(fields, value, '\t')) row.values.push_back(std::stod(value));
      r.emplace(name, row);
    }
    return r;
  }();
  return all;
}

}  // namespace

void check_figure(const std::string& name, const Tensor& t) {
  INFO(name);
  REQUIRE(rows().count(name) == 1);
  const Row& row = rows().at(name);
  std::string shape;
  for (const int64_t d : t.shape()) shape += str_cat(shape.empty() ? "" : ",", d);
  CHECK(shape == row.shape);
  const Tensor dense = contiguous(t);
  const std::span<const float> v = dense.data<float>();
  for (size_t i = 0; i < 8; ++i) {
    const double ours = static_cast<double>(v[i * (v.size() - 1) / 7]);
    INFO("sample " << i << ": " << ours << ", recorded " << row.values[i]);
    CHECK(std::abs(ours - row.values[i]) <= 2e-5 * (1 + std::abs(row.values[i])));
  }
}

}  // namespace fovea
