// SPDX-License-Identifier: Apache-2.0
// onnx/translate.h — steps of a graph as nodes of ONNX.
#pragma once
#include <array>
#include <map>
#include <string>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/ops/attrs.h"
#include "onnx/export.h"
#include "onnx/model.h"

namespace fovea::onnx {

class Translator {
  enum Which { kHere, kBatch, kSize, kCount };

 public:
  Translator(Model& m, const Graph& graph, const Variants& variants, int opset)
      : m_(m),
        graphs_{&graph, variants.batch ? variants.batch : &graph, variants.size ? variants.size : &graph},
        opset_(opset),
        names_(graph.values.size()) {}
  void bind(int value, std::string name);
  std::string name_of_value(int value);  // of a constant: which becomes one of the file
  void step(size_t i);
  std::vector<Size> sizes_of(int value);

  // What translations of ops use.
  const Step& now() const { return *steps_[kHere]; }
  template <class A>
  const A& attrs() const {
    return now().attrs.as<A>();
  }
  bool has(size_t operand) const { return operand < now().in.size() && now().in[operand] >= 0; }
  std::string in(size_t operand) { return has(operand) ? name_of_value(now().in[operand]) : ""; }
  const Meta& meta(size_t operand) const { return here().meta(now().in[operand]); }
  const Meta& result(size_t i = 0) const { return here().meta(now().out[i]); }
  bool is_used(size_t result) const;
  /// Does this size of an operand follow the images that are fed?
  bool varies(size_t operand, int dim) const;
  void give(const std::string& name, size_t result = 0) { bind(now().out[result], name); }
  [[noreturn]] void refuse(const std::string& why) const;
  Model& model() { return m_; }
  int opset() const { return opset_; }

  std::string one(const char* op, const Names& in, const std::vector<Attribute>& a = {}) { return m_.one(op, in, a); }
  std::string times(const std::string& x, float v) { return v == 1 ? x : one("Mul", {x, m_.number(v)}); }
  std::string plus(const std::string& x, float v) { return one("Add", {x, m_.number(v)}); }
  std::string as(const std::string& x, DType t) { return one("Cast", {x}, {{"to", int64_t{data_type(t)}}}); }

  /// Sizes as the graph and its variants have them.
  struct Varying {
    Dims here, batch, size;
  };
  /// What the attributes of this step say, as `of` tells it.
  template <class A, class F>
  Varying varying(const F& of) const {
    return {of(steps_[kHere]->attrs.as<A>()), of(steps_[kBatch]->attrs.as<A>()), of(steps_[kSize]->attrs.as<A>())};
  }
  /// The shape of this step's first result.
  Varying result_shape() const {
    const auto of = [&](Which w) { return graphs_[w]->meta(now().out[0]).shape; };
    return {of(kHere), of(kBatch), of(kSize)};
  }
  /// Sizes as an operand: what differs is computed from the images that are fed. `infers`: one of them may be left to
  /// whoever reads them.
  std::string shape(const Varying& sizes, bool infers = false);
  /// Zeros or ones of a shape, for operands that ONNX wants.
  std::string filled(const Shape& s, float value);

 private:
  struct Source {
    int value, dim;
    std::string name{};  // the node that reads it
  };
  const Graph& here() const { return *graphs_[kHere]; }
  void want_same_attrs() const;
  std::string read_size(Source& from);
  std::string batch();
  std::string along_batch(int64_t here, int64_t there);
  Model& m_;
  std::array<const Graph*, kCount> graphs_;
  int opset_;
  Names names_;
  std::array<const Step*, kCount> steps_{};
  // by the two sizes, where one can be read that follows images
  std::map<std::pair<int64_t, int64_t>, Source> sources_;
  std::map<std::pair<int64_t, int64_t>, std::string> size_names_;
};

/// One op; null where there is no translation.
using Translation = void (*)(Translator& t);
Translation find_translation(std::string_view op);
/// Do its attributes hold sizes that may follow the images?
bool holds_sizes(std::string_view op);

}  // namespace fovea::onnx
