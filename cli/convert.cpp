// SPDX-License-Identifier: Apache-2.0
// cli/convert.cpp — `fovea convert IN OUT [--model NAME] [--fuse]`: any weight file to safetensors, under the model's
// own names.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "bench/progress.h"
#include "cli/command.h"
#include "cli/common.h"
#include "engine/core/error.h"
#include "nn/fuse.h"
#include "weights_tools/bytes.h"
#include "weights_tools/foreign.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

namespace fovea::cli {
namespace {

struct Arguments {
  std::string in, out, model;
  OpenOptions open;
  bool fuse = false;
  uint64_t most = 0;  // bytes to write at most; 0: what a file of this size may hold
};

// Without the tensors that cannot be written, which are named.
StateDict writable(const StateDict& weights) {
  StateDict out;
  out.metadata = weights.metadata;
  for (const auto& [name, tensor] : weights) {
    if (const std::string* kind = foreign_kind(tensor))
      std::fprintf(stderr, "%s (%s) is left out: fovea cannot read its values\n", printable(name).c_str(),
                   printable(*kind).c_str());
    else out.set(name, tensor);
  }
  if (out.empty() && !weights.empty())
    throw Error(Error::Kind::unsupported, "nothing is left to write: fovea can read the values of no tensor");
  return out;
}

double bytes_of(const StateDict& weights) {
  double bytes = 0;
  for (const auto& [name, tensor] : weights) bytes += static_cast<double>(tensor.meta().bytes());
  return bytes;
}

struct ToldProgress final : WriteListener {
  explicit ToldProgress(int64_t bytes) : counter("convert", bytes, "bytes") {}
  void written(int64_t bytes) override { counter.add(bytes); }
  bench::Counter counter;
};

// Tensors that repeat their elements (stride 0) or share a storage are written whole, each by itself.
void check_size(const Arguments& a, const StateDict& weights) {
  const double bytes = bytes_of(weights);
  constexpr uint64_t kFree = uint64_t{256} << 20, kCopies = 4;
  std::error_code unknown;
  const uintmax_t size = std::filesystem::file_size(a.in, unknown);
  const uint64_t most = a.most ? a.most : kFree + kCopies * (unknown ? 0 : size);
  if (bytes <= static_cast<double>(most)) return;
  throw Error(
      Error::Kind::unsupported,
      str_cat(a.in, " has ", size, " bytes, and its tensors would take ", bytes, "; at most ", most, " are written"),
      str_cat("its tensors repeat elements or share them; --max-size ", bytes, " writes them all"));
}

void run(const Arguments& a) {
  StateDict weights = open_weights(a.in, a.open);
  if (a.model.empty()) {
    weights = writable(weights);
    check_size(a, weights);
  } else {
    const std::unique_ptr<zoo::ImageModel> model = zoo::create(a.model);
    tell_adapted(zoo::load_weights(*model, std::move(weights), a.in, {.headless = true}), a.in);
    if (a.fuse && fuse(*model) == 0)
      throw Error(Error::Kind::unsupported, str_cat(a.model, " has no branches to fuse"), "leave out --fuse");
    weights = model->state_dict();
  }
  ToldProgress progress(static_cast<int64_t>(bytes_of(weights)));
  write_safetensors(a.out, weights, &progress);
  progress.counter.clear();
  std::fprintf(stderr, "%s: %zu tensors\n", printable(a.out).c_str(), weights.size());  // the output may be /dev/stdout
}

}  // namespace

void add_convert(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("convert", "write a weight file as safetensors");
  command->add_option("in", a->in, "safetensors, torch checkpoint (.pth, .bin) or .npz")->required();
  command->add_option("out", a->out, "the safetensors file to write")->required();
  command->add_option("--model", a->model,
                      "give the tensors the names that this model has for them, and check that they fit");
  command->add_flag("--fuse", a->fuse, "write what branches and norms amount to after training, a layer for each")
      ->needs("--model");
  command->add_option("--key", a->open.key,
                      "of a torch checkpoint, the dict under this key: teacher, model/state_dict");
  command->add_option("--prefix", a->open.prefix, "only tensors whose names begin so, without it: backbone.");
  command
      ->add_option("--max-size", a->most,
                   "bytes to write at most, such as 20GB (default: four times the file, and 256 MB)")
      ->transform(CLI::AsSizeValue(false));
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
