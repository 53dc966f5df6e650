// SPDX-License-Identifier: Apache-2.0
// cli/features.cpp — `fovea features MODEL IMAGE|DIR… -o FILE`: one row of features an image, in the input's order.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/images.h"
#include "cli/options.h"
#include "cli/processes.h"
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

// What a batch gives.
struct Rows {
  std::vector<std::string> paths;
  Tensors values;                                  // empty where no image could be read
};

class Packed {
 public:
  explicit Packed(const Rows& rows) {
    number(rows.paths.size());
    for (const std::string& p : rows.paths) number(p.size()), text_ += p;
    number(rows.values.size());
    for (const Tensor& t : rows.values) {
      const Tensor dense = contiguous(t);
      number(static_cast<size_t>(dense.dtype()));
      number(static_cast<size_t>(dense.rank()));
      for (const int64_t d : dense.shape()) number(static_cast<size_t>(d));
      text_.append(reinterpret_cast<const char*>(dense.bytes()), static_cast<size_t>(dense.meta().bytes()));
    }
  }
  const std::string& text() const { return text_; }

  static Rows opened(std::string_view text) {
    Rows out;
    for (size_t n = taken(text); n > 0; --n) {
      const size_t length = taken(text);
      out.paths.emplace_back(text.substr(0, length));
      text.remove_prefix(length);
    }
    for (size_t n = taken(text); n > 0; --n) {
      const auto type = static_cast<DType>(taken(text));
      Shape shape = Dims::filled(static_cast<int>(taken(text)), 0);
      for (int64_t& d : shape) d = static_cast<int64_t>(taken(text));
      const Tensor& t = out.values.emplace_back(empty(shape, type));
      const auto size = static_cast<size_t>(t.meta().bytes());
      std::memcpy(t.bytes(), text.data(), size);
      text.remove_prefix(size);
    }
    return out;
  }

 private:
  void number(size_t n) { text_.append(reinterpret_cast<const char*>(&n), sizeof n); }
  static size_t taken(std::string_view& text) {
    size_t n = 0;
    std::memcpy(&n, text.data(), sizeof n);
    text.remove_prefix(sizeof n);
    return n;
  }
  std::string text_;
};

// Those of all processes, one batch behind the other, on the one that writes.
std::vector<Rows> gathered(const Processes& all, Rows mine) {
  std::vector<Rows> out;
  if (!all.peers()) out.push_back(std::move(mine));
  else
    for (const std::string& theirs : all.peers()->gather(Packed(mine).text())) out.push_back(Packed::opened(theirs));
  return out;
}

void want_no_stream(const ImageArguments& a) {
  const auto is_stream = [](const std::string& s) { return s == "-"; };
  if (is_stream(a.list) || std::any_of(a.sources.begin(), a.sources.end(), is_stream))
    throw Error(Error::Kind::argument, "several processes cannot share standard input",
                "name files, or start one process");
}

// What levels make of sequences of the longest length, and where and what these are.
Tensors tokens_of(ReadyModel& model, const std::vector<Sample>& samples) {
  const data::SequenceBatch batch = collated(samples, model.limits()->max_seq_len);
  Tensors out = model(zoo::PatchSequence{.patches = batch.patches, .coords = batch.coords, .valid = batch.valid});
  out.push_back(batch.coords);
  out.push_back(batch.valid);
  return out;
}

// Where some images could not be read, says so; that is an error once all processes are done.
std::optional<Error> run(Arguments a) {
  const Processes all(a.model.threads);
  if (all.count() > 1) want_no_stream(a.images);
  a.images.quiet |= !all.writes();
  if (!a.format.empty()) a.maps.nchw = a.format == "nchw";
  ImageList list("features", a.images);
  const bool tokens = a.model.max_seq_len > 0 && !a.maps.indices.empty();  // of levels, padded to one length
  if (tokens && a.format == "nchw")
    throw Error(Error::Kind::argument, "patches of a sequence do not lie in one map", "leave out --format");
  if (tokens) a.maps.nchw = false;
  // a path that cannot be written is found out early
  const std::unique_ptr<Table> table = all.writes() ? table_for(a) : nullptr;
  const Features features(a.maps);
  ReadyModel extract(a.model, features);
  const data::EvalConfig config = eval_config(extract.model());
  list.expect(static_cast<int64_t>(list.paths().size()), "images");
  const auto batch = static_cast<size_t>(a.images.batch);
  std::vector<std::string> names = names_of(extract.model(), a.maps);
  if (tokens) names.insert(names.end(), {"coords", "valid"});
  size_t written = 0;
  const auto processes = static_cast<size_t>(all.count());
  for (size_t first = 0; first < list.paths().size(); first += batch * processes) {
    const size_t mine = std::min(list.paths().size(), first + batch * static_cast<size_t>(all.rank()));
    const std::vector<Sample> samples = read_samples(list, mine, batch, config, extract.limits());
    Rows rows;
    for (const Sample& s : samples)
      if (!s.error) rows.paths.push_back(s.path);
    if (!rows.paths.empty()) rows.values = tokens ? tokens_of(extract, samples) : run_samples(extract, samples);
    for (const Rows& r : gathered(all, std::move(rows))) {
      if (!r.paths.empty()) table->add(r.paths, names, r.values);
      written += r.paths.size();
    }
    list.done(static_cast<int64_t>(std::min(batch * processes, list.paths().size() - first)));
  }
  if (written > 0) {
    table->finish();
    list.clear();
    if (!a.images.quiet) std::fprintf(stderr, "%s: %zu images\n", a.out.c_str(), written);
    extract.keep();
  }
  try {
    list.finish();
  } catch (const Error& e) {
    return e;
  }
  return {};
}

}  // namespace

void add_features(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("features", "what a model makes of images, for other programs to use");
  add_model_arguments(command, a->model);
  add_image_arguments(command, a->images);
  add_sequence_arguments(command, a->model);
  command.add_option("-o,--output", a->out, "FILE.npz (features, paths) or FILE.csv").required();
  Option pre =
      command.add_flag("--pre-logits", a->pre_logits, "pooled features in front of the classifier (the default)");
  Option levels =
      command
          .add_option(
              "--out-indices", a->maps.indices,
              "feature maps of these levels instead, such as 1,-1; of sequences their tokens, and coords, valid")
          .delimiter(',')
          .excludes(pre);
  command.add_flag("--norm", a->maps.norm, "maps through the model's last norm, where it has one that fits")
      .needs(levels);
  command.add_flag("--prefix-tokens", a->maps.prefix_tokens, "also the class and other leading tokens: prefix_1, ...")
      .needs(levels);
  command.add_option("--format", a->format, "maps as nchw, or native: as the model computes them (default: nchw)")
      .check(one_of({"nchw", "native"}))
      .needs(levels);
  command.callback([a] {
    if (const std::optional<Error> failed = run(*a)) throw *failed;
  });
}

}  // namespace fovea::cli
