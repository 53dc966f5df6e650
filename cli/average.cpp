// SPDX-License-Identifier: Apache-2.0
// cli/average.cpp — `fovea average FILES… -o OUT`: the mean of several weights of one model.
#include <cstdio>

#include "cli/command.h"
#include "cli/options.h"
#include "engine/core/error.h"
#include "weights_tools/average.h"
#include "weights_tools/bytes.h"
#include "weights_tools/safetensors.h"
#include "zoo/source.h"

namespace fovea::cli {
namespace {

struct Arguments {
  std::vector<std::string> files;
  std::string out;
  OpenOptions open;
};

void run(const Arguments& a) {
  Average average;
  for (const std::string& file : a.files) average.add(zoo::open_weights(file, a.open), file);
  const StateDict mean = average.mean();
  write_safetensors(a.out, mean);
  std::fprintf(stderr, "%s: %zu tensors, the mean of %d\n", printable(a.out).c_str(), mean.size(), average.count());
}

}  // namespace

void add_average(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("average", "write the mean of several weights of one model");
  command.add_option("files", a->files, "safetensors, torch checkpoints (.pth, .bin) or .npz").required();
  command.add_option("-o,--output", a->out, "the safetensors file to write").required();
  command.add_flag("--ema,!--no-ema", a->open.ema,
                   "of training checkpoints, the averaged weights (the default) or the last ones");
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
