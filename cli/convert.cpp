// SPDX-License-Identifier: Apache-2.0
// cli/convert.cpp — `fovea convert IN OUT [--model NAME] [--fuse]`: any weight file to safetensors, under the model's
// own names.
#include <cstdio>
#include <filesystem>

#include "api/labels.h"
#include "bench/progress.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/options.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "nn/fuse.h"
#include "weights_tools/bytes.h"
#include "weights_tools/foreign.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/safetensors.h"
#include "weights_tools/sha256.h"
#include "zoo/hub_folder.h"
#include "zoo/source.h"
#include "zoo/zoo.h"

namespace fovea::cli {
namespace {

struct Arguments {
  std::string in, out, model, dtype, labels, license;
  zoo::ModelOptions options;
  OpenOptions open;
  bool fuse = false;
  uint64_t most = 0;  // bytes to write at most; 0: what a file of this size may hold
  bool hash = false, remap = false, no_aux_bn = false;
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

// The file's tensors under the names that the model has in their places, in its shapes.
StateDict remapped(const StateDict& weights, const zoo::ImageModel& model) {
  const std::vector<NamedParameter> ours = model.named_state();
  if (ours.size() != weights.size())
    throw Error(Error::Kind::weights, str_cat("--remap: the file has ", weights.size(), " tensors, ",
                                              model.architecture(), " has ", ours.size()));
  StateDict out;
  out.metadata = weights.metadata;
  size_t i = 0;
  for (const auto& [name, tensor] : weights) {
    const NamedParameter& to = ours[i++];
    if (tensor.numel() != to.tensor().numel())
      throw Error(Error::Kind::weights, str_cat("--remap: ", name, " has ", tensor.numel(), " elements, ", to.name,
                                                " has ", to.tensor().numel()));
    out.set(to.name, reshape(contiguous(tensor), to.tensor().shape()));
  }
  return out;
}

// Batch norms that a network trained with several of them keeps beside the one it uses.
StateDict without_aux_bn(const StateDict& weights) {
  StateDict out;
  out.metadata = weights.metadata;
  for (const auto& [name, tensor] : weights)
    if (name.find("aux_bn") == name.npos) out.set(name, tensor);
  return out;
}

StateDict in_dtype(const StateDict& weights, DType dtype) {
  StateDict out;
  out.metadata = weights.metadata;
  for (const auto& [name, tensor] : weights)
    out.set(name, is_floating(tensor.dtype()) ? dense(tensor, dtype) : tensor);
  return out;
}

// "w.safetensors" -> "w-1234abcd.safetensors", by what is in it
std::string with_hash(const std::string& path) {
  const std::filesystem::path before(path);
  const std::string hash = sha256(MappedFile::open(path)->bytes()).substr(0, 8);
  const std::filesystem::path after =
      before.parent_path() / str_cat(before.stem().string(), "-", hash, before.extension().string());
  std::filesystem::rename(before, after);
  return after.string();
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return path.ends_with('/') || std::filesystem::is_directory(path, ignored);
}

void write_folder(const Arguments& a, zoo::ImageModel& model) {
  const LabelSources from{.given = a.labels, .weights = a.in, .tag_given = !model.tag().empty(), .type = "detail"};
  const Labels labels(from, model, model.num_classes());
  zoo::HubFolderOptions o{.made_with = a.options, .label_names = labels.names(), .license = a.license};
  for (size_t i = 0; i < labels.descriptions().size(); ++i)
    o.label_descriptions.emplace_back(labels.names()[i], labels.descriptions()[i]);
  if (!labels.note().empty()) tell(labels.note());
  zoo::write_hub_folder(model, a.out, o);
  std::fprintf(stderr, "%s: config.json, model.safetensors, README.md\n", printable(a.out).c_str());
}

void run(Arguments a) {
  const bool folder = is_folder(a.out);
  if (folder && a.model.empty())
    throw Error(Error::Kind::argument, str_cat(a.out, " is a folder"),
                "--model NAME says of which model the weights are");
  if ((a.remap || folder) && a.model.empty()) throw Error(Error::Kind::argument, "--remap is for a --model");
  if (a.fuse && folder)
    throw Error(Error::Kind::argument,
                str_cat(a.out, " is a folder, and its config.json would not say what --fuse did"),
                "write a file, or leave out --fuse");
  const std::unique_ptr<zoo::ImageModel> model = a.model.empty() ? nullptr : zoo::create(a.model, a.options);
  a.in = zoo::weights_path(a.in);
  StateDict weights = open_weights(a.in, a.open);
  if (a.no_aux_bn) weights = without_aux_bn(weights);
  if (a.remap) weights = remapped(weights, *model);
  if (!a.dtype.empty()) weights = in_dtype(weights, parse_dtype(a.dtype));
  if (!model) {
    weights = writable(weights);
    check_size(a, weights);
  } else {
    tell_adapted(zoo::load_weights(*model, std::move(weights), a.in, {.headless = true}), a.in);
    if (a.fuse && fuse(*model) == 0)
      throw Error(Error::Kind::unsupported, str_cat(a.model, " has no branches to fuse"), "leave out --fuse");
    if (!a.dtype.empty()) model->to(parse_dtype(a.dtype));
    if (folder) return write_folder(a, *model);
    weights = model->state_dict();
  }
  ToldProgress progress(static_cast<int64_t>(bytes_of(weights)));
  write_safetensors(a.out, weights, &progress);
  progress.counter.clear();
  if (a.hash) a.out = with_hash(a.out);
  std::fprintf(stderr, "%s: %zu tensors\n", printable(a.out).c_str(), weights.size());  // the output may be /dev/stdout
}

}  // namespace

void add_convert(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("convert", "write weights as safetensors, or as a folder for the hub");
  command.add_option("in", a->in, "safetensors, torch checkpoint (.pth, .bin), .npz, or any name of weights")
      .required();
  command
      .add_option("out", a->out,
                  "the safetensors file to write; with --model also a folder: config.json, weights and a card")
      .required();
  command.add_option("--model", a->model,
                     "give the tensors the names that this model has for them, and check that they fit");
  add_create_arguments(command, a->options);
  command.add_option("--dtype", a->dtype, "write f32, f16 or bf16").check(one_of({"f32", "f16", "bf16"}));
  command.add_flag("--ema,!--no-ema", a->open.ema,
                   "of training checkpoints, the averaged weights (the default) or the last ones");
  command.add_flag("--remap", a->remap, "with --model: tensors by their order instead of their names");
  command.add_flag("--no-aux-bn", a->no_aux_bn, "without the batch norms that were for other images in training");
  command.add_flag("--hash", a->hash, "the first 8 digits of the file's SHA-256 become part of its name");
  command.add_option("--labels", a->labels, "of a folder: the names of its classes, or none");
  command.add_option("--license", a->license, "of a folder: what its card says");
  command.add_flag("--fuse", a->fuse, "write what branches and norms amount to after training, a layer for each")
      .needs("--model");
  command.add_option("--key", a->open.key, "of a torch checkpoint, the dict under this key: teacher, model/state_dict");
  command.add_option("--prefix", a->open.prefix, "only tensors whose names begin so, without it: backbone.");
  command
      .add_option("--max-size", a->most,
                  "bytes to write at most, such as 20GB (default: four times the file, and 256 MB)")
      .transform(size_value());
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
