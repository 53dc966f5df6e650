// SPDX-License-Identifier: Apache-2.0
// zoo/load.cpp — weights into a model: foreign names translated, the first convolution and the classifier adapted.
#include <cstdlib>
#include <filesystem>

#include "weights_tools/adapt.h"
#include "weights_tools/open_weights.h"
#include "zoo/family.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

// How many of the model's names are among these.
size_t known_names(const ImageModel& model, const StateDict& weights) {
  size_t n = 0;
  for (const NamedParameter& p : model.named_state()) n += weights.contains(p.name) ? 1 : 0;
  return n;
}

StateDict translated(ImageModel& model, StateDict weights) {
  const Family& f = model.family();
  if (!f.renames.empty()) {
    StateDict renamed = rename(weights, f.renames);
    if (known_names(model, renamed) > known_names(model, weights)) weights = std::move(renamed);
  }
  return f.adapt ? f.adapt(model, std::move(weights)) : weights;
}

// What the file was made for, read off its own tensors.
int64_t source_channels(const StateDict& weights, const std::vector<std::string>& first_convs, int64_t otherwise) {
  for (const std::string& name : first_convs)
    if (const Tensor* w = weights.find(name + ".weight"); w && w->rank() == 4) return w->dim(1);
  return otherwise;
}
int64_t source_classes(const StateDict& weights, const std::vector<std::string>& classifiers, int64_t otherwise) {
  for (const std::string& name : classifiers)
    if (const Tensor* w = weights.find(name + ".weight"); w && w->rank() >= 1) return w->dim(0);
  return otherwise;
}

struct Adapted {
  StateDict weights;
  std::vector<std::string> dropped;                // the model keeps its own values for these
};

Adapted adapted(ImageModel& model, StateDict weights) {
  Adapted a{.weights = translated(model, std::move(weights)), .dropped = {}};
  const PretrainedCfg& row = model.pretrained_cfg();
  Adapt how{.first_convs = split_list(row.first_conv),
            .channels = model.input_size()[0],
            .classifiers = split_list(row.classifier.empty() ? model.classifier_name() : row.classifier),
            .classes = model.num_classes()};
  how.source_channels = source_channels(a.weights, how.first_convs, how.channels);
  how.source_classes = source_classes(a.weights, how.classifiers, how.classes);
  a.dropped = adapt(a.weights, how);
  return a;
}

std::filesystem::path home(const char* variable, const char* below) {
  if (const char* set = std::getenv(variable); set && *set) return set;
  const char* h = std::getenv("HOME");
  return std::filesystem::path(h ? h : ".") / below;
}

std::string replaced(std::string s, char from, std::string_view to) {
  for (size_t at = s.find(from); at != std::string::npos; at = s.find(from, at + to.size())) s.replace(at, 1, to);
  return s;
}

// As huggingface_hub keeps files: models--org--name/snapshots/<revision>/<file>.
std::string in_hub_cache(const PretrainedCfg& row) {
  namespace fs = std::filesystem;
  if (row.hf_hub_id.empty()) return {};
  const fs::path hub = std::getenv("HF_HUB_CACHE") ? fs::path(std::getenv("HF_HUB_CACHE"))
                                                   : home("HF_HOME", ".cache/huggingface") / "hub";
  const fs::path snapshots = hub / ("models--" + replaced(std::string(row.hf_hub_id), '/', "--")) / "snapshots";
  std::vector<std::string> files = {"model.safetensors", "pytorch_model.bin"};
  if (!row.hf_hub_filename.empty()) files.insert(files.begin(), std::string(row.hf_hub_filename));
  std::error_code ignored;
  for (const auto& revision : fs::directory_iterator(snapshots, ignored))
    for (const std::string& file : files)
      if (fs::exists(revision.path() / file, ignored)) return (revision.path() / file).string();
  return {};
}

// As torch.hub keeps files: hub/checkpoints/<last part of the URL>.
std::string in_torch_cache(const PretrainedCfg& row) {
  if (row.url.empty()) return {};
  const std::string_view file = row.url.substr(row.url.rfind('/') + 1);
  const std::filesystem::path path = home("TORCH_HOME", ".cache/torch") / "hub" / "checkpoints" / file;
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? path.string() : std::string();
}

}  // namespace

StateDict adapt_weights(ImageModel& model, StateDict weights) { return adapted(model, std::move(weights)).weights; }

LoadReport load_weights(ImageModel& model, StateDict weights, std::string_view source, Strict strict) {
  Adapted a = adapted(model, std::move(weights));
  StateDict own = model.state_dict();
  for (const std::string& name : a.dropped)
    if (const Tensor* t = own.find(name)) a.weights.set(name, *t);
  LoadReport report = model.load(a.weights, strict, source, model.full_name());
  if (!a.dropped.empty()) model.materialise();     // a new classifier starts from its own first values
  return report;
}

LoadReport load_weights(ImageModel& model, const std::string& path, Strict strict) {
  return load_weights(model, open_weights(path), path, strict);
}

LoadReport load_pretrained(ImageModel& model) {
  const PretrainedCfg& row = model.pretrained_cfg();
  if (!row.has_weights())
    throw Error(Error::Kind::not_found, cat("nobody published weights of ", model.full_name()),
                "materialise() starts from random ones");
  std::string path = in_hub_cache(row);
  if (path.empty()) path = in_torch_cache(row);
  if (!path.empty()) return load_weights(model, path);
  const std::string from = row.hf_hub_id.empty() ? std::string(row.url) : cat("https://huggingface.co/", row.hf_hub_id);
  throw Error(Error::Kind::not_found, cat("the weights of ", model.full_name(), " are not on this machine"),
              cat("get them from ", from, " and name the file"));
}

}  // namespace fovea::zoo
