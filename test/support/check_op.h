// SPDX-License-Identifier: Apache-2.0
// test/support/check_op.h — one description of an op's use, checked in every way that ops are used.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/ops/ops.h"

namespace fovea::test {

struct Range {
  double lo = -1, hi = 1;
};

/// The operands of a description. A name always stands for the same values, whatever the dtype and layout of a run.
class Vars {
 public:
  Tensor operator()(std::string_view name, const Shape& s, Range r = {});  // its gradient is checked, too
  Tensor constant(std::string_view name, const Shape& s, Range r = {});    // floating, without gradient
  Tensor index(std::string_view name, const Shape& s, int64_t bound);      // i64, from 0 to bound - 1
  Tensor mask(std::string_view name, const Shape& s);                      // bool, three of four true
  DType dtype() const { return setting_.dtype; }
  Device device() const { return setting_.device; }   // where a description makes what it does not get from here

  enum class Layout { contiguous, channels_last, sliced, permuted, broadcast };
  struct Setting {
    DType dtype = DType::f64;
    DType rounded = DType::f64;  // values are those that this dtype can hold
    Layout layout = Layout::contiguous;
    bool dense = false;   // the layout's values in plain row-major order, to compare with
    bool leaves = false;  // operands require gradients
    Device device{};
  };
  struct Entry {
    std::string name;
    enum Kind { differentiable, floating, other } kind;
    Tensor master;  // f64, i64 or bool
  };

  void begin(const Setting& s, Tensors given = {});  // given: by entry; absent ones are made
  const std::vector<Entry>& entries() const { return entries_; }
  Tensor value(size_t entry);  // as the description sees it in this run

 private:
  size_t entry(std::string_view name, const Shape& s, Entry::Kind kind, Range r, int64_t bound);
  std::vector<Entry> entries_;
  Tensors given_;
  Setting setting_;
};

struct CheckOptions {
  bool gradient = true;  // against differences, on ref in f64
  bool second = true;    // the gradient's gradient likewise
  bool half = true;      // bf16
  bool layouts = true;
  bool traced = true;
  bool far = true;       // all of this on a far device, where it gives the numbers of ref
  bool cuda = true;      // and on the stand-in of a GPU, by the kernels of kernels/cuda
  double f32 = 2e-6, bf16 = 2e-2;  // largest root of the normalised squared error
};

struct Description {
  virtual ~Description() = default;
  virtual Tensors operator()(Vars& v) const = 0;
};
/// What is wrong, one line each; empty when every check holds.
std::vector<std::string> problems_of(const Description& d, const CheckOptions& o);
void report(const std::vector<std::string>& problems);  // fails the running test case for each

/// f takes Vars& and returns Tensor, Tensors or a pair of Tensors.
template <class F>
requires(!std::is_base_of_v<Description, F>) std::vector<std::string> problems_of(const F& f,
                                                                                  const CheckOptions& o = {}) {
  struct Borrows final : Description {
    explicit Borrows(const F& g) : f(g) {}
    Tensors operator()(Vars& v) const override { return list(f(v)); }
    static Tensors list(Tensors many) { return many; }
    static Tensors list(const Tensor& one) { return {one}; }
    static Tensors list(const std::pair<Tensor, Tensor>& two) { return {two.first, two.second}; }
    const F& f;
  };
  return problems_of(static_cast<const Description&>(Borrows(f)), o);
}
template <class F>
void check_op(const F& f, const CheckOptions& o = {}) {
  report(problems_of(f, o));
}

std::vector<double> values_of(const Tensor& t);  // row-major
/// Deterministic values in [lo, hi) of a name.
Tensor filled(std::string_view name, const Shape& s, DType t = DType::f32, Range r = {});
/// Root of sum (a - b)^2 / sum b^2, or of sum (a - b)^2 where b is nearly zero; infinite where only one is finite.
double relative_error(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace fovea::test
