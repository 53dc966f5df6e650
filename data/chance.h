// SPDX-License-Identifier: Apache-2.0
// data/chance.h — Chance: random numbers for images, a function of a key; whoever draws takes it by reference, so that
// numbers from elsewhere can be fed in.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fovea::data {

/// Equal keys give equal numbers.
class Chance {
 public:
  explicit Chance(uint64_t key) : key_(key) {}
  virtual ~Chance() = default;
  virtual double uniform();                        // in [0, 1)
  virtual int upto(int most);                      // 0 ... most
  virtual double normal();                         // mean 0, deviation 1
  virtual double gamma(double shape);              // scale 1
  virtual double beta(double a, double b);         // in [0, 1]
  /// The same distribution as normal(), many at a time.
  virtual void normals(std::span<float> out);

  double between(double lo, double hi) { return lo + (hi - lo) * uniform(); }
  bool below(double prob) { return uniform() < prob; }
  /// Shares that add up to 1, all alike in distribution (Dirichlet's, of one concentration).
  std::vector<double> shares(int count, double concentration);
  /// `count` different numbers below weights.size(), the heavier the likelier; NumPy's choice(replace=False,
  /// p=weights), draw for draw. The weights add up to 1, and at least `count` of them are not 0.
  std::vector<int> distinct(std::vector<double> weights, int count);

 private:
  uint64_t key_, drawn_ = 0;
};

}  // namespace fovea::data
