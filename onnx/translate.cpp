// SPDX-License-Identifier: Apache-2.0
#include "onnx/translate.h"

#include <algorithm>

#include "engine/core/error.h"

namespace fovea::onnx {
namespace {

std::string path_of(const Step& step) {
  std::string path = step.scope;
  std::replace(path.begin(), path.end(), '.', '/');
  return path;
}

std::string key_of(const Step& step) {
  std::string key;
  append_key(key, step.attrs.ref());
  return key;
}

}  // namespace

// From here on its sizes can be read, too.
void Translator::bind(int value, std::string name) {
  names_[static_cast<size_t>(value)] = std::move(name);
  const Meta &m = here().meta(value), &batch = graphs_[kBatch]->meta(value), &size = graphs_[kSize]->meta(value);
  for (int i = 0; i < m.rank(); ++i)
    if (m.dim(i) != size.dim(i) && m.dim(i) == batch.dim(i))
      sources_.emplace(std::pair{m.dim(i), size.dim(i)}, Source{value, i});
}

std::string Translator::name_of_value(int value) {
  std::string& name = names_[static_cast<size_t>(value)];
  const Value& v = here().values[static_cast<size_t>(value)];
  if (name.empty() && v.constant) name = m_.constant(v.constant, v.name);
  if (name.empty()) throw Error(Error::Kind::internal, str_cat("value ", value, " is used before it is made"));
  return name;
}

void Translator::step(size_t i) {
  for (size_t k = 0; k < kCount; ++k) steps_[k] = &graphs_[k]->steps[i];
  m_.scope(path_of(now()));
  const Translation translate = find_translation(now().op->name());
  if (!translate) refuse("it has no counterpart");
  if (!holds_sizes(now().op->name())) want_same_attrs();
  translate(*this);
}

void Translator::want_same_attrs() const {
  const std::string key = key_of(now());
  if (key_of(*steps_[kBatch]) != key) refuse("it computes otherwise for other numbers of images");
  if (key_of(*steps_[kSize]) != key) refuse("it computes otherwise for other sizes of images");
}

void Translator::refuse(const std::string& why) const {
  throw Error(Error::Kind::unsupported,
              str_cat("the op ", now().op->name(), now().scope.empty() ? "" : " of " + now().scope,
                      " cannot become ONNX: ", why));
}

bool Translator::is_used(size_t result) const {
  const int value = result < now().out.size() ? now().out[result] : -1;
  if (value < 0) return false;
  const std::vector<int> counts = here().use_counts();
  return counts[static_cast<size_t>(value)] > 0;
}

bool Translator::varies(size_t operand, int dim) const {
  const int value = now().in[operand];
  const int64_t size = here().meta(value).dim(dim);
  return graphs_[kBatch]->meta(value).dim(dim) != size || graphs_[kSize]->meta(value).dim(dim) != size;
}

std::vector<Size> Translator::sizes_of(int value) {
  const Meta &m = here().meta(value), &batch = graphs_[kBatch]->meta(value), &size = graphs_[kSize]->meta(value);
  const bool image = value == here().inputs[0];
  std::vector<Size> out;
  for (int i = 0; i < m.rank(); ++i) {
    Size one{m.dim(i)};
    const bool by_batch = m.dim(i) != batch.dim(i), by_size = m.dim(i) != size.dim(i);
    if (by_size) {
      std::string& name = size_names_[{m.dim(i), size.dim(i)}];
      if (name.empty()) name = image ? (i + 1 == m.rank() ? "width" : "height") : str_cat("size_", size_names_.size());
      one.name = by_batch ? str_cat("batch_", name) : name;
    } else if (by_batch) {
      one.name = "batch";
    }
    out.push_back(std::move(one));
  }
  return out;
}

std::string Translator::read_size(Source& from) {
  if (!from.name.empty()) return from.name;
  m_.scope(from.dim == 0 ? "batch" : "sizes");
  const std::string all = one("Shape", {name_of_value(from.value)});
  from.name = one("Slice", {all, m_.ints({from.dim}), m_.ints({from.dim + 1})});
  m_.scope(path_of(now()));
  return from.name;
}

std::string Translator::batch() {
  constexpr std::pair<int64_t, int64_t> kOfBatch{-1, -1};
  return read_size(sources_.emplace(kOfBatch, Source{here().inputs[0], 0}).first->second);
}

std::string Translator::along_batch(int64_t here_size, int64_t there) {
  const int64_t b = here().meta(here().inputs[0]).dim(0), other = graphs_[kBatch]->meta(here().inputs[0]).dim(0);
  const int64_t slope = (there - here_size) / (other - b), rest = here_size - slope * b;
  if (slope * other + rest != there) refuse("a size that does not grow with the batch");
  std::string size = batch();
  if (slope != 1) size = one("Mul", {size, m_.ints({slope})});
  if (rest != 0) size = one("Add", {size, m_.ints({rest})});
  return size;
}

std::string Translator::shape(const Varying& s, bool infers) {
  if (s.here == s.batch && s.here == s.size) return m_.ints({s.here.begin(), s.here.end()});
  Names parts;
  for (int i = 0; i < s.here.size(); ++i) {
    const bool by_batch = s.here[i] != s.batch[i], by_size = s.here[i] != s.size[i];
    const auto source = by_size && !by_batch ? sources_.find({s.here[i], s.size[i]}) : sources_.end();
    if (!by_size) {
      parts.push_back(by_batch ? along_batch(s.here[i], s.batch[i]) : m_.ints({s.here[i]}));
    } else if (source != sources_.end()) {
      parts.push_back(read_size(source->second));
    } else if (infers) {
      parts.push_back(m_.ints({-1}));
      infers = false;
    } else {
      refuse("a size that follows that of the images, and cannot be read anywhere");
    }
  }
  return parts.size() == 1 ? parts[0] : one("Concat", parts, {{"axis", int64_t{0}}});
}

std::string Translator::filled(const Shape& s, float value) {
  const Tensor t = empty(s, DType::f32);
  std::fill_n(reinterpret_cast<float*>(t.bytes()), static_cast<size_t>(t.numel()), value);
  return m_.constant(t, value == 0 ? "zeros" : "ones");
}

}  // namespace fovea::onnx
