// SPDX-License-Identifier: Apache-2.0
#include "onnx/model.h"

#include <cstring>
#include <filesystem>
#include <optional>

#include "engine/core/error.h"
#include "weights_tools/atomic_file.h"

namespace fovea::onnx {
namespace {

// Numbers of fields in onnx.proto.
namespace field {
enum Model {
  ir_version = 1,
  producer_name = 2,
  producer_version = 3,
  graph = 7,
  opset_import = 8,
  metadata_props = 14
};
enum Graph { node = 1, graph_name = 2, initializer = 5, input = 11, output = 12 };
enum Node { node_input = 1, node_output = 2, node_name = 3, op_type = 4, attribute = 5 };
enum Attribute { attribute_name = 1, f = 2, i = 3, s = 4, ints = 8, type = 20 };
enum Tensor { dims = 1, tensor_type = 2, tensor_name = 8, raw_data = 9, external_data = 13, data_location = 14 };
enum Pair { key = 1, value = 2 };
}  // namespace field

Message pair_of(std::string_view key, std::string_view value) {
  Message m;
  m.bytes(field::key, key);
  m.bytes(field::value, value);
  return m;
}

Message attribute_of(const Attribute& a) {
  enum Type { kFloat = 1, kInt = 2, kString = 3, kInts = 7 };
  Message m;
  m.bytes(field::attribute_name, a.first);
  if (const auto* i = std::get_if<int64_t>(&a.second)) m.integer(field::i, *i), m.integer(field::type, kInt);
  if (const auto* f = std::get_if<float>(&a.second)) m.real(field::f, *f), m.integer(field::type, kFloat);
  if (const auto* s = std::get_if<std::string>(&a.second)) m.bytes(field::s, *s), m.integer(field::type, kString);
  if (const auto* list = std::get_if<Ints>(&a.second)) {
    for (const int64_t v : *list) m.integer(field::ints, v);
    m.integer(field::type, kInts);
  }
  return m;
}

Message value_info(const Port& p) {
  Message shape;
  for (const int64_t size : p.sizes) {
    Message dim;
    if (size < 0) dim.bytes(2, "batch");
    else dim.integer(1, size);
    shape.message(1, dim);
  }
  Message tensor, type, info;
  tensor.integer(1, data_type(p.dtype));
  tensor.message(2, shape);
  type.message(1, tensor);
  info.bytes(1, p.name);
  info.message(2, type);
  return info;
}

}  // namespace

int data_type(DType t) {
  switch (t) {
    case DType::f32: return 1;
    case DType::u8: return 2;
    case DType::i8: return 3;
    case DType::i32: return 6;
    case DType::i64: return 7;
    case DType::boolean: return 9;
    case DType::f16: return 10;
    case DType::f64: return 11;
    case DType::bf16: return 16;
    default: throw Error(Error::Kind::unsupported, cat("ONNX has no ", name_of(t)));
  }
}

Names Model::node(const char* op, const Names& in, const std::vector<Attribute>& attributes, size_t results) {
  std::string name = scope_.empty() ? std::string(op) : cat(scope_, "/", op);
  if (const int before = used_[name]++; before > 0) name = cat(name, "_", before);
  Message m;
  for (const std::string& operand : in) m.bytes(field::node_input, operand);
  Names out;
  for (size_t i = 0; i < results; ++i) {
    out.push_back(i == 0 ? name : cat(name, ":", i));
    m.bytes(field::node_output, out.back());
  }
  m.bytes(field::node_name, name);
  m.bytes(field::op_type, op);
  for (const Attribute& a : attributes) m.message(field::attribute, attribute_of(a));
  nodes_.push_back(std::move(m));
  return out;
}

std::string Model::add(Constant c) {
  if (const int before = used_[c.name]++; before > 0) c.name = cat(c.name, "_", before);
  constants_.push_back(std::move(c));
  return constants_.back().name;
}

std::string Model::constant(const Tensor& t, const std::string& name) {
  const auto known = tensors_.find(t.impl());
  if (known != tensors_.end()) return known->second;
  Constant c{.name = name.empty() ? "constant" : name, .dtype = t.dtype(), .sizes = {}, .own = {}, .tensor = t};
  for (int i = 0; i < t.rank(); ++i) c.sizes.push_back(t.dim(i));
  return tensors_[t.impl()] = add(std::move(c));
}

std::string Model::ints(const Ints& values) {
  std::string bytes(values.size() * sizeof(int64_t), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  std::string& name = known_["i" + bytes];
  if (name.empty())
    name = add({.name = "ints",
                .dtype = DType::i64,
                .sizes = {static_cast<int64_t>(values.size())},
                .own = bytes,
                .tensor = {}});
  return name;
}

std::string Model::number(float value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  std::string& name = known_["f" + bytes];
  if (name.empty()) name = add({.name = "number", .dtype = DType::f32, .sizes = {}, .own = bytes, .tensor = {}});
  return name;
}

void Model::rename_last(const std::string& from, const std::string& to) {
  Message m;
  m.bytes(field::node_input, from);
  m.bytes(field::node_output, to);
  m.bytes(field::node_name, to);
  m.bytes(field::op_type, "Identity");
  nodes_.push_back(std::move(m));
}

void Model::write(const std::string& path, int opset, const std::string& version, uint64_t most_inside) const {
  constexpr int kExternal = 1;
  const int ir_version = opset <= 18 ? 8 : opset <= 20 ? 9 : 10;
  constexpr uint64_t kAlignment = 64, kWorthIt = 1024;  // smaller constants stay inside
  uint64_t bytes = 0;
  for (const Constant& c : constants_) bytes += c.tensor ? static_cast<uint64_t>(c.tensor.meta().bytes()) : 0;
  std::optional<AtomicFile> beside;
  const std::string data_path = path + ".data";
  if (bytes > most_inside) beside.emplace(data_path);
  Message graph;
  for (const Message& n : nodes_) graph.message(field::node, n);
  graph.bytes(field::graph_name, "fovea");
  for (const Constant& c : constants_) {
    Message m;
    for (const int64_t d : c.sizes) m.integer(field::dims, d);
    m.integer(field::tensor_type, data_type(c.dtype));
    m.bytes(field::tensor_name, c.name);
    const Tensor rows = c.tensor ? dense(c.tensor) : Tensor();
    const Bytes content = rows ? Bytes(rows.bytes(), static_cast<size_t>(rows.meta().bytes())) : bytes_of(c.own);
    if (beside && content.size() >= kWorthIt) {
      beside->write(std::string((kAlignment - beside->written() % kAlignment) % kAlignment, '\0'));
      m.message(field::external_data, pair_of("location", std::filesystem::path(data_path).filename().string()));
      m.message(field::external_data, pair_of("offset", cat(beside->written())));
      m.message(field::external_data, pair_of("length", cat(content.size())));
      m.integer(field::data_location, kExternal);
      beside->write(content);
    } else {
      m.bytes(field::raw_data, text_of(content));
    }
    graph.message(field::initializer, m);
  }
  for (const Port& p : inputs) graph.message(field::input, value_info(p));
  for (const Port& p : outputs) graph.message(field::output, value_info(p));
  Message model, domain;
  domain.bytes(1, "");
  domain.integer(2, opset);
  model.integer(field::ir_version, ir_version);
  model.bytes(field::producer_name, "fovea");
  model.bytes(field::producer_version, version);
  model.message(field::graph, graph);
  model.message(field::opset_import, domain);
  for (const auto& [key, value] : metadata) model.message(field::metadata_props, pair_of(key, value));
  if (beside) beside->commit();
  AtomicFile file(path);
  file.write(model.text());
  file.commit();
}

}  // namespace fovea::onnx
