// SPDX-License-Identifier: Apache-2.0
// cli/convert.cpp — `fovea convert IN OUT [--model NAME]`: any weight file to safetensors, under the model's own names.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/command.h"
#include "cli/common.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

namespace fovea::cli {
namespace {

struct Arguments {
  std::string in, out, model;
  OpenOptions open;
};

void run(const Arguments& a) {
  StateDict weights = open_weights(a.in, a.open);
  if (!a.model.empty()) {
    const std::unique_ptr<zoo::ImageModel> model = zoo::create(a.model);
    tell_adapted(zoo::load_weights(*model, std::move(weights), a.in, {.headless = true}), a.in);
    weights = model->state_dict();
  }
  write_safetensors(a.out, weights);
  std::printf("%s: %zu tensors\n", a.out.c_str(), weights.size());
}

}  // namespace

void add_convert(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("convert", "write a weight file as safetensors");
  command->add_option("in", a->in, "safetensors, torch checkpoint (.pth, .bin) or .npz")->required();
  command->add_option("out", a->out, "the safetensors file to write")->required();
  command->add_option("--model", a->model,
                      "give the tensors the names that this model has for them, and check that they fit");
  command->add_option("--key", a->open.key,
                      "of a torch checkpoint, the dict under this key: teacher, model/state_dict");
  command->add_option("--prefix", a->open.prefix, "only tensors whose names begin so, without it: backbone.");
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
