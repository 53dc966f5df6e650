// SPDX-License-Identifier: Apache-2.0
// zoo/state_lines.cpp — what a model saves, as lines of text that can be compared with timm's.
#include <unordered_set>

#include "nn/hash.h"
#include "zoo/image_model.h"

namespace fovea::zoo {
namespace {

std::string_view torch_name(DType t) {
  switch (t) {
    case DType::f32: return "float32";
    case DType::f64: return "float64";
    case DType::bf16: return "bfloat16";
    case DType::f16: return "float16";
    case DType::i64: return "int64";
    case DType::i32: return "int32";
    case DType::i8: return "int8";
    case DType::u8: return "uint8";
    case DType::boolean: return "bool";
    case DType::none: break;
  }
  return "none";
}

}  // namespace

std::string state_lines(const Module& m) {
  std::string all;
  std::unordered_set<const Parameter*> seen;
  for (const NamedParameter& n : m.named_state()) {
    const bool parameter = n.parameter->kind == Parameter::Kind::parameter && seen.insert(n.parameter).second;
    std::string shape;
    for (const int64_t d : n.tensor().shape()) shape += str_cat(shape.empty() ? "" : ",", d);
    all += str_cat(n.name, '\t', shape, '\t', torch_name(n.tensor().dtype()), '\t', parameter ? 'p' : 'b', '\n');
  }
  return all;
}

uint64_t state_hash(const Module& m) { return hash_text(state_lines(m)); }

}  // namespace fovea::zoo
