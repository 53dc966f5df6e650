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

/// The graph is as trace() wrote it, of one image input, without state. `larger`: the same computation traced for
/// another batch; sizes in which the two differ then follow the batch of what is fed. Nodes are named by the modules
/// that they are of. Throws Error(unsupported) that names the op for what ONNX cannot say.
void write(const std::string& path, const Graph& graph, const Graph* larger, const ExportOptions& o = {});

}  // namespace fovea::onnx
