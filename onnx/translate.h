// SPDX-License-Identifier: Apache-2.0
// onnx/translate.h — steps of a graph as nodes of ONNX.
#pragma once
#include <string>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/ops/attrs.h"
#include "onnx/model.h"

namespace fovea::onnx {

class Translator {
 public:
  /// `other`: the same steps for another batch, or the same graph.
  Translator(Model& m, const Graph& graph, const Graph& other, int opset)
      : m_(m),
        graph_(graph),
        other_(other),
        opset_(opset),
        names_(graph.values.size()) {}
  void bind(int value, std::string name) { names_[static_cast<size_t>(value)] = std::move(name); }
  std::string name_of_value(int value);  // of a constant: which becomes one of the file
  void step(size_t i);

  // What translations of ops use.
  const Step& now() const { return *step_; }
  template <class A>
  const A& attrs() const {
    return step_->attrs.as<A>();
  }
  template <class A>
  const A& other_attrs() const {
    return other_step_->attrs.as<A>();
  }
  bool has(size_t operand) const { return operand < step_->in.size() && step_->in[operand] >= 0; }
  std::string in(size_t operand) { return has(operand) ? name_of_value(step_->in[operand]) : ""; }
  const Meta& meta(size_t operand) const { return graph_.meta(step_->in[operand]); }
  const Meta& result(size_t i = 0) const { return graph_.meta(step_->out[i]); }
  bool is_used(size_t result) const;
  void give(const std::string& name, size_t result = 0) { bind(step_->out[result], name); }
  [[noreturn]] void refuse(const std::string& why) const;
  Model& model() { return m_; }
  int opset() const { return opset_; }

  std::string one(const char* op, const Names& in, const std::vector<Attribute>& a = {}) { return m_.one(op, in, a); }
  std::string times(const std::string& x, float v) { return v == 1 ? x : one("Mul", {x, m_.number(v)}); }
  std::string plus(const std::string& x, float v) { return one("Add", {x, m_.number(v)}); }
  std::string as(const std::string& x, DType t) { return one("Cast", {x}, {{"to", int64_t{data_type(t)}}}); }
  /// A shape as an operand: what differs between the two batches is computed from that of the image.
  std::string shape(const Dims& here, const Dims& there);
  /// Zeros or ones of a shape, for operands that ONNX wants.
  std::string filled(const Shape& s, float value);

 private:
  std::string batch();
  Model& m_;
  const Graph &graph_, &other_;
  int opset_;
  Names names_;
  const Step *step_ = nullptr, *other_step_ = nullptr;
  std::string batch_;
};

/// One op; null where there is no translation.
using Translation = void (*)(Translator& t);
Translation find_translation(std::string_view op);

}  // namespace fovea::onnx
