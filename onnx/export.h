// SPDX-License-Identifier: Apache-2.0
// onnx/export.h — a traced graph as an ONNX file.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "engine/graph/graph.h"

namespace fovea::onnx {

/// Images as bytes: the graph divides by 255, takes the mean and divides by the deviation.
struct ByteImages {
  std::array<float, 3> mean, std;
};

struct ExportOptions {
  int opset = 18;                    // 18 to 21
  std::vector<std::string> outputs;  // their names; default: "output", "output_1", ...
  std::optional<ByteImages> byte_images{};
  std::string version = "0";  // of the producer
  std::vector<std::pair<std::string, std::string>> metadata{};
  uint64_t most_inside = uint64_t{1} << 30;  // bytes of constants; more go to <path>.data
};

/// The same computation, traced for other images: what differs then follows the images that are fed. Null: they are all
/// alike.
struct Variants {
  const Graph* batch = nullptr;  // another number of images
  const Graph* size = nullptr;   // another height and another width, of all four the only one of its number
};

/// The graph is as trace() wrote it, of one image input, without state. Nodes are named by the modules that they are
/// of.
/// Throws Error(unsupported) that names the op for what ONNX cannot say, or not for images of any number or size.
void write(const std::string& path, const Graph& graph, const Variants& variants = {}, const ExportOptions& o = {});

}  // namespace fovea::onnx
