// SPDX-License-Identifier: Apache-2.0
#include "onnx/export.h"

#include <algorithm>

#include "engine/core/error.h"
#include "onnx/translate.h"
#include "weights_tools/bytes.h"

namespace fovea::onnx {
namespace {

bool same_content(const Tensor& a, const Tensor& b) {
  if (a.impl() == b.impl()) return true;
  if (a.dtype() != b.dtype() || a.shape() != b.shape() || a.has_bytes() != b.has_bytes()) return false;
  if (!a.has_bytes() || a.numel() == 0) return true;
  const Tensor x = dense(a), y = dense(b);
  return std::equal(x.bytes(), x.bytes() + x.meta().bytes(), y.bytes());
}

void want_alike(const Graph& a, const Graph& b, const char* what) {
  bool alike = a.steps.size() == b.steps.size() && a.values.size() == b.values.size() && a.outputs == b.outputs;
  for (size_t i = 0; alike && i < a.steps.size(); ++i)
    alike = a.steps[i].op == b.steps[i].op && a.steps[i].in == b.steps[i].in && a.steps[i].out == b.steps[i].out;
  std::string constant;
  for (size_t i = 0; alike && i < a.values.size(); ++i) {
    const Tensor &x = a.values[i].constant, &y = b.values[i].constant;
    alike = static_cast<bool>(x) == static_cast<bool>(y) && (!x || same_content(x, y));
    if (!alike) constant = a.values[i].name;
  }
  if (!alike)
    throw Error(Error::Kind::unsupported,
                str_cat("the model computes otherwise for other ", what,
                        constant.empty() ? "" : str_cat(": '", constant, "' is another")),
                "export it without that --dynamic");
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

void write(const std::string& path, const Graph& graph, const Variants& variants, const ExportOptions& o) {
  if (o.opset < 18 || o.opset > 21)
    throw Error(Error::Kind::argument, str_cat("opset ", o.opset), "fovea writes 18 to 21");
  if (graph.inputs.size() != 1 || !graph.state.empty())
    throw Error(Error::Kind::unsupported, "only graphs of one input and without state become ONNX files");
  if (variants.batch) want_alike(graph, *variants.batch, "batches");
  if (variants.size) want_alike(graph, *variants.size, "sizes of images");
  Model m;
  m.metadata = o.metadata;
  Translator t(m, graph, variants, o.opset);
  const int input = graph.inputs[0];
  const Value& image = graph.values[static_cast<size_t>(input)];
  m.inputs.push_back({image.name, o.byte_images ? DType::u8 : image.meta.dtype, t.sizes_of(input)});
  if (o.byte_images && image.meta.dim(1) != 3)
    throw Error(Error::Kind::argument, str_cat("bytes of ", image.meta.dim(1), " channels have no mean and deviation"));

  t.bind(input, o.byte_images ? normalised(m, image.name, *o.byte_images) : image.name);
  for (size_t i = 0; i < graph.steps.size(); ++i) t.step(i);
  m.scope("");
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    const int value = graph.outputs[i];
    const std::string name = i < o.outputs.size() ? o.outputs[i] : i == 0 ? "output" : str_cat("output_", i);
    m.rename_last(t.name_of_value(value), name);
    m.outputs.push_back({name, graph.meta(value).dtype, t.sizes_of(value)});
  }
  m.write(path, o.opset, o.version, o.most_inside);
}

}  // namespace fovea::onnx
