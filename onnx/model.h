// SPDX-License-Identifier: Apache-2.0
// onnx/model.h — an ONNX model while it is being put together: nodes, constants, inputs and outputs.
#pragma once
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "engine/core/tensor.h"
#include "onnx/proto.h"

namespace fovea::onnx {

using Ints = std::vector<int64_t>;
using Attribute = std::pair<const char*, std::variant<int64_t, float, std::string, Ints>>;
using Names = std::vector<std::string>;

/// Sizes of an input or output; negative: called "batch".
struct Port {
  std::string name;
  DType dtype;
  Ints sizes;
};

class Model {
 public:
  /// Results are called <scope>/<op>_<number>; empty names among the operands are those that are not given.
  Names node(const char* op, const Names& in, const std::vector<Attribute>& attributes = {}, size_t results = 1);
  std::string one(const char* op, const Names& in, const std::vector<Attribute>& attributes = {}) {
    return node(op, in, attributes)[0];
  }
  /// Under its name; the same tensor is kept once.
  std::string constant(const Tensor& t, const std::string& name);
  std::string ints(const Ints& values);                              // a constant of one dimension
  std::string number(float value);                                   // a constant of none
  void rename_last(const std::string& from, const std::string& to);  // a result, by a node that hands it on
  void scope(std::string path) { scope_ = std::move(path); }         // of the nodes that follow
  std::vector<Port> inputs, outputs;
  std::vector<std::pair<std::string, std::string>> metadata;

  /// Numbers of constants go to <path>.data when all are more than `most_inside` bytes.
  void write(const std::string& path, int opset, const std::string& producer_version, uint64_t most_inside) const;

 private:
  struct Constant {
    std::string name;
    DType dtype;
    Ints sizes;
    std::string own;  // its bytes, or else those of the tensor
    Tensor tensor;
  };
  std::string add(Constant c);
  std::vector<Message> nodes_;
  std::vector<Constant> constants_;
  std::map<std::string, int> used_;           // how often a name was wanted
  std::map<std::string, std::string> known_;  // small constants by their content
  std::map<const void*, std::string> tensors_;
  std::string scope_;
};

/// ONNX's number for it; throws Error(unsupported) where it has none.
int data_type(DType t);

}  // namespace fovea::onnx
