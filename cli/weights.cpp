// SPDX-License-Identifier: Apache-2.0
// cli/weights.cpp — `fovea weights FILE`: what a weight file holds, and what its pickles would have Python run.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/command.h"
#include "weights_tools/bytes.h"
#include "weights_tools/foreign.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/torch_checkpoint.h"

namespace fovea::cli {
namespace {

void run(const std::string& path) {
  const std::vector<std::string> named = inspect_pickle(path);
  if (!named.empty()) std::printf("its pickles name (fovea runs nothing of it):\n");
  for (const std::string& line : named) std::printf("  %s\n", printable(line).c_str());
  std::fflush(stdout);                             // what follows may be an error
  const StateDict weights = open_weights(path);
  std::printf("%zu tensors\n", weights.size());
  for (const auto& [name, tensor] : weights) {
    const std::string* foreign = foreign_kind(tensor);
    const std::string dtype = foreign ? printable(*foreign) : std::string(name_of(tensor.dtype()));
    std::printf("  %s  %s%s%s\n", printable(name).c_str(), dtype.c_str(), to_string(tensor.shape()).c_str(),
                foreign ? "  (fovea cannot read its values)" : "");
  }
}

}  // namespace

void add_weights(CLI::App& app) {
  auto path = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("weights", "list what a weight file holds, without running anything in it");
  command->add_option("file", *path, "safetensors, torch checkpoint (.pth, .bin) or .npz")->required();
  command->callback([path] { run(*path); });
}

}  // namespace fovea::cli
