// SPDX-License-Identifier: Apache-2.0
#include "onnx/translate.h"

#include <algorithm>

#include "engine/core/error.h"

namespace fovea::onnx {

std::string Translator::name_of_value(int value) {
  std::string& name = names_[static_cast<size_t>(value)];
  const Value& v = graph_.values[static_cast<size_t>(value)];
  if (name.empty() && v.constant) name = m_.constant(v.constant, v.name);
  if (name.empty()) throw Error(Error::Kind::internal, cat("value ", value, " is used before it is made"));
  return name;
}

void Translator::step(size_t i) {
  step_ = &graph_.steps[i];
  other_step_ = &other_.steps[i];
  std::string path = step_->scope;
  std::replace(path.begin(), path.end(), '.', '/');
  m_.scope(path);
  const Translation translate = find_translation(step_->op->name());
  if (!translate) refuse("it has no counterpart");
  translate(*this);
}

void Translator::refuse(const std::string& why) const {
  throw Error(Error::Kind::unsupported,
              cat("the op ", step_->op->name(), step_->scope.empty() ? "" : " of " + step_->scope,
                  " cannot become ONNX: ", why));
}

bool Translator::is_used(size_t result) const {
  const int value = result < step_->out.size() ? step_->out[result] : -1;
  if (value < 0) return false;
  const std::vector<int> counts = graph_.use_counts();
  return counts[static_cast<size_t>(value)] > 0;
}

std::string Translator::batch() {
  if (batch_.empty()) {
    m_.scope("batch");
    const std::string shape = one("Shape", {name_of_value(graph_.inputs[0])});
    batch_ = one("Slice", {shape, m_.ints({0}), m_.ints({1})});
    std::string path = step_->scope;
    std::replace(path.begin(), path.end(), '.', '/');
    m_.scope(path);
  }
  return batch_;
}

std::string Translator::shape(const Dims& here, const Dims& there) {
  if (here == there) return m_.ints({here.begin(), here.end()});
  const int64_t b = graph_.meta(graph_.inputs[0]).dim(0), other = other_.meta(other_.inputs[0]).dim(0);
  Names parts;
  for (int i = 0; i < here.size(); ++i) {
    if (here[i] == there[i]) {
      parts.push_back(m_.ints({here[i]}));
      continue;
    }
    const int64_t slope = (there[i] - here[i]) / (other - b), rest = here[i] - slope * b;
    if (slope * other + rest != there[i]) refuse("a size that does not grow with the batch");
    std::string size = batch();
    if (slope != 1) size = one("Mul", {size, m_.ints({slope})});
    if (rest != 0) size = one("Add", {size, m_.ints({rest})});
    parts.push_back(size);
  }
  return parts.size() == 1 ? parts[0] : one("Concat", parts, {{"axis", int64_t{0}}});
}

std::string Translator::filled(const Shape& s, float value) {
  const Tensor t = empty(s, DType::f32);
  std::fill_n(reinterpret_cast<float*>(t.bytes()), static_cast<size_t>(t.numel()), value);
  return m_.constant(t, value == 0 ? "zeros" : "ones");
}

}  // namespace fovea::onnx
