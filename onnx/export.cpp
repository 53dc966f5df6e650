// SPDX-License-Identifier: Apache-2.0
#include "onnx/export.h"

#include "engine/core/error.h"
#include "onnx/translate.h"

namespace fovea::onnx {
namespace {

Ints sizes_of(const Meta& a, const Meta& b) {
  Ints out;
  for (int i = 0; i < a.rank(); ++i) out.push_back(a.dim(i) == b.dim(i) ? a.dim(i) : -1);
  return out;
}

void want_alike(const Graph& a, const Graph& b) {
  bool alike = a.steps.size() == b.steps.size() && a.values.size() == b.values.size() && a.outputs == b.outputs;
  for (size_t i = 0; alike && i < a.steps.size(); ++i)
    alike = a.steps[i].op == b.steps[i].op && a.steps[i].in == b.steps[i].in && a.steps[i].out == b.steps[i].out;
  for (size_t i = 0; alike && i < a.values.size(); ++i)
    alike = a.is_constant(static_cast<int>(i)) == b.is_constant(static_cast<int>(i)) &&
            (!a.values[i].constant || a.values[i].meta.shape == b.values[i].meta.shape);
  if (!alike)
    throw Error(Error::Kind::unsupported, "the model computes otherwise for other batches", "export it for one batch");
}

// Bytes N,C,H,W become what the graph takes.
std::string normalised(Model& m, const std::string& bytes, const ByteImages& o) {
  const auto channels = [&](const std::array<float, 3>& v, const char* name) {
    Tensor t = empty({3, 1, 1}, DType::f32);
    std::copy(v.begin(), v.end(), reinterpret_cast<float*>(t.bytes()));
    return m.constant(t, name);
  };
  m.scope("normalize");
  const std::string real = m.one("Cast", {bytes}, {{"to", int64_t{data_type(DType::f32)}}});
  const std::string unit = m.one("Div", {real, m.number(255)});
  return m.one("Div", {m.one("Sub", {unit, channels(o.mean, "mean")}), channels(o.std, "std")});
}

}  // namespace

void write(const std::string& path, const Graph& graph, const Graph* larger, const ExportOptions& o) {
  if (o.opset < 18 || o.opset > 21) throw Error(Error::Kind::argument, cat("opset ", o.opset), "fovea writes 18 to 21");
  if (graph.inputs.size() != 1 || !graph.state.empty())
    throw Error(Error::Kind::unsupported, "only graphs of one input and without state become ONNX files");
  if (larger) want_alike(graph, *larger);
  const Graph& other = larger ? *larger : graph;
  Model m;
  m.metadata = o.metadata;
  const int input = graph.inputs[0];
  const Value& image = graph.values[static_cast<size_t>(input)];
  const Meta& image_other = other.values[static_cast<size_t>(other.inputs[0])].meta;
  m.inputs.push_back({image.name, o.byte_images ? DType::u8 : image.meta.dtype, sizes_of(image.meta, image_other)});
  if (o.byte_images && image.meta.dim(1) != 3)
    throw Error(Error::Kind::argument, cat("bytes of ", image.meta.dim(1), " channels have no mean and deviation"));

  Translator t(m, graph, other, o.opset);
  t.bind(input, o.byte_images ? normalised(m, image.name, *o.byte_images) : image.name);
  for (size_t i = 0; i < graph.steps.size(); ++i) t.step(i);
  m.scope("");
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const int value = graph.outputs[i];
    const std::string name = i < o.outputs.size() ? o.outputs[i] : i == 0 ? "output" : cat("output_", i);
    m.rename_last(t.name_of_value(value), name);
    m.outputs.push_back({name, graph.meta(value).dtype, sizes_of(graph.meta(value), other.meta(other.outputs[i]))});
  }
  m.write(path, o.opset, o.version, o.most_inside);
}

}  // namespace fovea::onnx
