// SPDX-License-Identifier: Apache-2.0
// cli/features.cpp — `fovea features MODEL IMAGE|DIR… -o FILE`: one row of features an image, in the input's order.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/images.h"
#include "cli/text.h"
#include "engine/core/error.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "weights_tools/npz_writer.h"

namespace fovea::cli {
namespace {

struct Arguments {
  ModelArguments model;
  ImageArguments images;
  std::string out;
  bool pre_logits = false;
  zoo::FeatureOptions maps;                        // of --out-indices
  std::string format;
};

// One tensor for each wanted level, and its prefix tokens where they are wanted; or the pre-logits alone.
struct Features final : Computation {
  explicit Features(zoo::FeatureOptions o) : maps(std::move(o)) { maps.stop_early = true; }
  Graph trace(zoo::ImageModel& model) const override {
    const auto [channels, height, width] = model.input_size();
    return fovea::trace([&](const Tensor& x) { return run(model, x); },
                        {make_meta(DType::f32, {1, channels, height, width})});
  }
  Tensors run(zoo::ImageModel& model, const Tensor& images) const override {
    if (maps.indices.empty()) return {model.forward_head(model.forward_features(images), true)};
    zoo::Intermediates found = model.forward_intermediates(images, maps);
    for (Tensor& prefix : found.prefix) found.features.push_back(std::move(prefix));
    return std::move(found.features);
  }
  bool needs_classifier() const override { return false; }
  std::optional<zoo::FeatureOptions> levels() const override {
    if (maps.indices.empty()) return {};
    return maps;
  }
  zoo::FeatureOptions maps;
};

// Of what Features gives: maps come in their order, each once, under the first number that was given for them.
std::vector<std::string> names_of(zoo::ImageModel& model, const zoo::FeatureOptions& maps) {
  if (maps.indices.empty()) return {"features"};
  const int count = static_cast<int>(model.feature_info().size());
  std::map<int, int> said;
  for (const int level : maps.indices) said.emplace(level < 0 ? level + count : level, level);
  std::vector<std::string> out;
  for (const auto& [level, as] : said) out.push_back(str_cat("features_", as));
  if (maps.prefix_tokens)
    for (const auto& [level, as] : said) out.push_back(str_cat("prefix_", as));
  return out;
}

// The file that grows by rows and appears when it is whole.
class Table {
 public:
  virtual ~Table() = default;
  virtual void add(std::span<const std::string> paths, std::span<const std::string> names, const Tensors& rows) = 0;
  virtual void finish() = 0;
};

class Csv final : public Table {
 public:
  explicit Csv(const std::string& path) : file_(path) {}
  void add(std::span<const std::string> paths, std::span<const std::string>, const Tensors& rows) override {
    const int64_t width = rows[0].dim(1);
    std::string text;
    if (file_.written() == 0) {
      text = "path";
      for (int64_t i = 0; i < width; ++i) text += str_cat(",f", i);
      text += '\n';
    }
    const std::span<const float> v = rows[0].data<float>();
    for (size_t r = 0; r < paths.size(); ++r) {
      text += csv_text(paths[r]);
      for (const float f : v.subspan(r * static_cast<size_t>(width), static_cast<size_t>(width)))
        text += str_cat(',', f);
      text += '\n';
    }
    file_.write(text);
  }
  void finish() override { file_.commit(); }

 private:
  AtomicFile file_;
};

class Npz final : public Table {
 public:
  explicit Npz(const std::string& path) : file_(path) {}
  void add(std::span<const std::string> paths, std::span<const std::string> names, const Tensors& rows) override {
    for (size_t i = 0; i < rows.size(); ++i) file_.append(names[i], rows[i]);
    for (const std::string& p : paths) file_.append("paths", p);
  }
  void finish() override { file_.finish(); }

 private:
  NpzWriter file_;
};

std::unique_ptr<Table> table_for(const Arguments& a) {
  const bool csv = a.out.ends_with(".csv");
  if (!csv && !a.out.ends_with(".npz"))
    throw Error(Error::Kind::argument, str_cat("-o ", a.out, ": features are written as .npz or .csv"));
  if (csv && !a.maps.indices.empty())
    throw Error(Error::Kind::argument, "feature maps do not fit a .csv file", "write them with -o FILE.npz");
  if (csv) return std::make_unique<Csv>(a.out);
  return std::make_unique<Npz>(a.out);
}

// What levels make of sequences of the longest length, and where and what these are.
Tensors tokens_of(ReadyModel& model, const std::vector<Sample>& samples) {
  const data::SequenceBatch batch = collated(samples, model.limits()->max_seq_len);
  Tensors out = model(zoo::PatchSequence{.patches = batch.patches, .coords = batch.coords, .valid = batch.valid});
  out.push_back(batch.coords);
  out.push_back(batch.valid);
  return out;
}

void run(Arguments a) {
  if (!a.format.empty()) a.maps.nchw = a.format == "nchw";
  ImageList list("features", a.images);
  const bool tokens = a.model.max_seq_len > 0 && !a.maps.indices.empty();  // of levels, padded to one length
  if (tokens && a.format == "nchw")
    throw Error(Error::Kind::argument, "patches of a sequence do not lie in one map", "leave out --format");
  if (tokens) a.maps.nchw = false;
  const std::unique_ptr<Table> table = table_for(a);  // a path that cannot be written is found out early
  const Features features(a.maps);
  ReadyModel extract(a.model, features);
  const data::EvalConfig config = eval_config(extract.model());
  list.expect(static_cast<int64_t>(list.paths().size()), "images");
  const auto batch = static_cast<size_t>(a.images.batch);
  std::vector<std::string> names = names_of(extract.model(), a.maps);
  if (tokens) names.insert(names.end(), {"coords", "valid"});
  size_t written = 0;
  for (size_t first = 0; first < list.paths().size(); first += batch) {
    const std::vector<Sample> samples = read_samples(list, first, batch, config, extract.limits());
    std::vector<std::string> paths;
    for (const Sample& s : samples)
      if (!s.error) paths.push_back(s.path);
    if (!paths.empty()) table->add(paths, names, tokens ? tokens_of(extract, samples) : run_samples(extract, samples));
    written += paths.size();
    list.done(static_cast<int64_t>(samples.size()));
  }
  if (written > 0) {
    table->finish();
    list.clear();
    if (!a.images.quiet) std::fprintf(stderr, "%s: %zu images\n", a.out.c_str(), written);
    extract.keep();
  }
  list.finish();
}

}  // namespace

void add_features(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("features", "what a model makes of images, for other programs to use");
  add_model_arguments(*command, a->model);
  add_image_arguments(*command, a->images);
  add_sequence_arguments(*command, a->model);
  command->add_option("-o,--output", a->out, "FILE.npz (features, paths) or FILE.csv")->required();
  CLI::Option* pre =
      command->add_flag("--pre-logits", a->pre_logits, "pooled features in front of the classifier (the default)");
  CLI::Option* levels =
      command
          ->add_option(
              "--out-indices", a->maps.indices,
              "feature maps of these levels instead, such as 1,-1; of sequences their tokens, and coords, valid")
          ->delimiter(',')
          ->excludes(pre);
  command->add_flag("--norm", a->maps.norm, "maps through the model's last norm, where it has one that fits")
      ->needs(levels);
  command->add_flag("--prefix-tokens", a->maps.prefix_tokens, "also the class and other leading tokens: prefix_1, ...")
      ->needs(levels);
  command->add_option("--format", a->format, "maps as nchw, or native: as the model computes them (default: nchw)")
      ->check(CLI::IsMember({"nchw", "native"}))
      ->needs(levels);
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
