// SPDX-License-Identifier: Apache-2.0
// cli/features.cpp — `fovea features MODEL IMAGE|DIR… -o FILE`: one row of features an image, in the input's order.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include "cli/command.h"
#include "cli/common.h"
#include "data/decode.h"
#include "engine/core/error.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "weights_tools/npz.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  ModelArguments model;
  std::vector<std::string> sources;
  std::string out;
  data::DecodeOptions decode;
  bool pre_logits = false;
  std::vector<int> levels;
  int batch = 1;
};

bool is_image(const fs::path& p) {
  std::string e = p.extension().string();
  std::transform(e.begin(), e.end(), e.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return e == ".jpg" || e == ".jpeg" || e == ".png" || e == ".webp";
}

// Files stay in the order given; a folder stands for the images below it, in natural order.
std::vector<std::string> list_images(const std::vector<std::string>& sources) {
  std::vector<std::string> out;
  for (const std::string& s : sources) {
    if (!fs::is_directory(s)) {
      out.push_back(s);
      continue;
    }
    std::vector<std::string> found;
    for (const fs::directory_entry& e :
         fs::recursive_directory_iterator(s, fs::directory_options::follow_directory_symlink))
      if (e.is_regular_file() && is_image(e.path())) found.push_back(e.path().string());
    if (found.empty())
      throw Error(Error::Kind::not_found, cat("no images under ", s), "looked for .jpg .jpeg .png .webp");
    std::sort(found.begin(), found.end(), natural_less);
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

// One tensor for each wanted level, or the pre-logits alone.
struct Features final : Computation {
  explicit Features(const Arguments& a) : levels(a.levels), batch(a.batch) {}
  Graph trace(zoo::ImageModel& model) const override {
    const auto [channels, height, width] = model.input_size();
    return fovea::trace([&](const Tensor& x) { return run(model, x); },
                        {make_meta(DType::f32, {batch, channels, height, width})});
  }
  Tensors run(zoo::ImageModel& model, const Tensor& images) const override {
    if (levels.empty()) return {model.forward_head(model.forward_features(images), true)};
    return model.forward_intermediates(images, {.indices = levels, .stop_early = true}).features;
  }
  bool needs_classifier() const override { return false; }
  std::vector<int> levels;
  int batch;
};

// Of what Features gives: maps come in their order, each once, under the first number that was given for them.
std::vector<std::string> names_of(zoo::ImageModel& model, const std::vector<int>& levels) {
  if (levels.empty()) return {"features"};
  const int count = static_cast<int>(model.feature_info().size());
  std::map<int, int> said;
  for (const int level : levels) said.emplace(level < 0 ? level + count : level, level);
  std::vector<std::string> out;
  for (const auto& [level, as] : said) out.push_back(cat("features_", as));
  return out;
}

void write_csv(const std::string& path, const std::vector<std::string>& images, const Tensor& rows) {
  std::ofstream file(path);
  file << "path";
  for (int64_t i = 0; i < rows.dim(1); ++i) file << ",f" << i;
  file << '\n';
  const std::span<const float> v = rows.data<float>();
  for (size_t r = 0; r < images.size(); ++r) {
    std::string quoted = "\"";
    for (const char c : images[r]) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    file << quoted << '"';
    for (int64_t i = 0; i < rows.dim(1); ++i)
      file << ',' << cat(v[r * static_cast<size_t>(rows.dim(1)) + static_cast<size_t>(i)]);
    file << '\n';
  }
  if (!file.flush()) throw Error(Error::Kind::io, cat("cannot write ", path));
}

void run(const Arguments& a) {
  const bool csv = a.out.ends_with(".csv");
  if (!csv && !a.out.ends_with(".npz"))
    throw Error(Error::Kind::argument, cat("-o ", a.out, ": features are written as .npz or .csv"));
  if (csv && !a.levels.empty())
    throw Error(Error::Kind::argument, "feature maps do not fit a .csv file", "write them with -o FILE.npz");
  const std::vector<std::string> images = list_images(a.sources);
  const Features features(a);
  ReadyModel extract(a.model, features);
  const data::EvalConfig config = eval_config(extract.model());

  std::vector<Tensors> gathered;                   // per output, one tensor a batch
  for (size_t at = 0; at < images.size(); at += static_cast<size_t>(a.batch)) {
    Tensors batch;
    for (size_t i = at; i < std::min(images.size(), at + static_cast<size_t>(a.batch)); ++i)
      batch.push_back(data::eval_transform(data::read_image(images[i], a.decode), config));
    const int64_t real = static_cast<int64_t>(batch.size());
    // the last batch is filled up, and cut again
    while (batch.size() < static_cast<size_t>(a.batch)) batch.push_back(batch.back());
    const Tensors out = extract(cat(batch, 0));
    gathered.resize(out.size());
    for (size_t i = 0; i < out.size(); ++i) gathered[i].push_back(slice(out[i], 0, 0, real));
  }
  const std::vector<std::string> names = names_of(extract.model(), a.levels);
  std::vector<NpzEntry> entries;
  for (size_t i = 0; i < gathered.size(); ++i) entries.push_back({names[i], contiguous(cat(gathered[i], 0)), {}});
  if (csv) {
    write_csv(a.out, images, entries[0].tensor);
  } else {
    entries.push_back({"paths", {}, images});
    write_npz(a.out, entries);
  }
  std::fprintf(stderr, "%s: %zu images\n", a.out.c_str(), images.size());
  extract.keep();
}

}  // namespace

void add_features(CLI::App& app) {
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("features", "what a model makes of images, for other programs to use");
  add_model_arguments(*command, a->model);
  command->add_option("images", a->sources, "images, or folders of images")->required();
  command->add_option("-o,--output", a->out, "FILE.npz (features, paths) or FILE.csv")->required();
  add_decode_arguments(*command, a->decode);
  CLI::Option* pre =
      command->add_flag("--pre-logits", a->pre_logits, "pooled features in front of the classifier (the default)");
  command->add_option("--out-indices", a->levels, "feature maps of these levels instead, such as 1,-1")
      ->delimiter(',')
      ->excludes(pre);
  command->add_option("--batch", a->batch, "images at a time")->check(CLI::Range(1, 1 << 20));
  command->callback([a] { run(*a); });
}

}  // namespace fovea::cli
