// SPDX-License-Identifier: Apache-2.0
// test/onnx/export.cpp — ONNX files of small models: well formed, every operand made before it is used, nodes named by
// modules. Whether ONNX Runtime answers as fovea does is asked by ./dev soak.
#include "onnx/export.h"

#include <map>
#include <set>

#include "engine/autograd/autograd.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "onnx/proto.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;

namespace {

// A message as its fields: numbers, or the bytes of what has a length.
struct Field {
  uint64_t number = 0;
  std::string bytes;
};
using Fields = std::multimap<int, Field>;

uint64_t varint(std::string_view& s) {
  uint64_t v = 0;
  for (int shift = 0;; shift += 7) {
    REQUIRE(!s.empty());
    const auto b = static_cast<unsigned char>(s.front());
    s.remove_prefix(1);
    v |= static_cast<uint64_t>(b & 0x7F) << shift;
    if (b < 0x80) return v;
  }
}

Fields parse(std::string_view s) {
  Fields out;
  while (!s.empty()) {
    const uint64_t key = varint(s);
    Field f;
    size_t size = 0;
    if ((key & 7) == 0) f.number = varint(s);
    else if ((key & 7) == 2) size = static_cast<size_t>(varint(s));
    else if ((key & 7) == 5) size = 4;
    else FAIL("wire type " << (key & 7));
    REQUIRE(size <= s.size());
    f.bytes = s.substr(0, size);
    s.remove_prefix(size);
    out.emplace(static_cast<int>(key >> 3), f);
  }
  return out;
}

std::vector<std::string> all(const Fields& f, int number) {
  std::vector<std::string> out;
  for (auto [i, end] = f.equal_range(number); i != end; ++i) out.push_back(i->second.bytes);
  return out;
}
std::string first(const Fields& f, int number) {
  const std::vector<std::string> found = all(f, number);
  return found.empty() ? "" : found[0];
}

struct Read {
  std::set<std::string> names, ops;
  std::vector<std::string> outputs;
  size_t constant_bytes = 0;
  std::string data_file;
  uint64_t opset = 0;
};

// Checks what every reader relies on.
Read check_file(const std::string& path) {
  const Fields model = parse(read_file(path)), graph = parse(first(model, 7));
  Read r;
  r.opset = parse(first(model, 8)).find(2)->second.number;
  std::set<std::string> made;
  for (const std::string& input : all(graph, 11)) made.insert(first(parse(input), 1));
  for (const std::string& text : all(graph, 5)) {
    const Fields constant = parse(text);
    CHECK(made.insert(first(constant, 8)).second);
    r.constant_bytes += first(constant, 9).size();
    for (const std::string& pair : all(constant, 13))
      if (const Fields p = parse(pair); first(p, 1) == "location") r.data_file = first(p, 2);
  }
  for (const std::string& text : all(graph, 1)) {
    const Fields node = parse(text);
    for (const std::string& in : all(node, 1)) {
      INFO(in);
      CHECK((in.empty() || made.contains(in)));
    }
    for (const std::string& out : all(node, 2)) CHECK(made.insert(out).second);
    CHECK(r.names.insert(first(node, 3)).second);
    r.ops.insert(first(node, 4));
  }
  for (const std::string& output : all(graph, 12)) {
    r.outputs.push_back(first(parse(output), 1));
    CHECK(made.contains(r.outputs.back()));
  }
  return r;
}

Graph traced(zoo::ImageModel& m, int batch) { return zoo::trace(m, {.batch = batch}); }

}  // namespace

TEST_CASE("onnx: messages are encoded as protocol buffers have them", "[onnx]") {
  onnx::Message m, inner;
  m.integer(1, 150);
  m.integer(2, -1);
  m.real(3, 1.0f);
  inner.bytes(1, "abc");
  m.message(16, inner);
  CHECK(m.text() ==
        std::string("\x08\x96\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1d\x00\x00\x80\x3f\x82\x01\x05\x0a\x03"
                    "abc",
                              27));
}

TEST_CASE("onnx: every small model becomes a file", "[onnx]") {
  const Scratch scratch;
  const std::string path = scratch / "m.onnx";
  size_t models = 0;
  for (const std::string& name : zoo::list({.patterns = {"test_*"}})) {
    INFO(name);
    const std::unique_ptr<zoo::ImageModel> m = zoo::create(name);
    fill_weights(*m);
    const Graph two = traced(*m, 2), three = traced(*m, 3);
    onnx::write(path, two, &three, {.outputs = {"logits"}});
    const Read r = check_file(path);
    CHECK(r.outputs == std::vector<std::string>{"logits"});
    CHECK(r.opset == 18);
    CHECK(r.constant_bytes >= static_cast<size_t>(m->parameter_count()) * 4);
    ++models;
  }
  CHECK(models > 0);
}

TEST_CASE("onnx: names of modules, bytes as images, weights in a file of their own", "[onnx]") {
  const Scratch scratch;
  const std::string path = scratch / "m.onnx";
  const std::unique_ptr<zoo::ImageModel> m = zoo::create("test_efficientnet");
  fill_weights(*m);
  const Graph one = traced(*m, 1);
  onnx::write(
      path, one, nullptr,
      {.opset = 21, .byte_images = onnx::ByteImages{{0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}}, .most_inside = 1000});
  const Read r = check_file(path);
  CHECK(r.opset == 21);
  CHECK(r.names.contains("conv_stem/Conv"));
  CHECK(r.names.contains("classifier/Gemm"));
  CHECK(r.names.contains("normalize/Cast"));
  CHECK(r.data_file == "m.onnx.data");
  CHECK(read_file(path + ".data").size() > 1'000'000);
  CHECK(read_file(path).size() < 200'000);
}

TEST_CASE("onnx: what it cannot say is told by name", "[onnx]") {
  const Scratch scratch;
  const std::string path = scratch / "m.onnx";
  const auto refused = [&](const Graph& g, const Graph* other = nullptr, const onnx::ExportOptions& o = {}) {
    return error_of([&] { onnx::write(path, g, other, o); });
  };
  const NoGrad no_grad;
  const Graph noise = trace([](const Tensor& x) { return x + rand(x.shape(), 1); }, {make_meta(DType::f32, {2, 3})});
  CHECK(mentions(refused(noise), "random"));
  const Graph two = trace([](const Tensor& x) { return x * 2; }, {make_meta(DType::f32, {2, 3})});
  const Graph three = trace([](const Tensor& x) { return x * 2 + 1; }, {make_meta(DType::f32, {3, 3})});
  CHECK(mentions(refused(two, &three), "other batches"));
  CHECK(mentions(refused(two, nullptr, {.opset = 11}), "18 to 21"));
  CHECK(scratch.names().empty());
}
