// SPDX-License-Identifier: Apache-2.0
// cli/infer.cpp — `fovea infer DIR --model M …`: answers for all images of a folder, by the flags and in the files of
// timm's inference.py.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "api/labels.h"
#include "bench/progress.h"
#include "cli/command.h"
#include "cli/common.h"
#include "cli/evaluate.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/processes.h"
#include "cli/signals.h"
#include "cli/training.h"
#include "engine/core/error.h"
#include "engine/ops/ops.h"
#include "weights_tools/atomic_file.h"

namespace fovea::cli {
namespace {

struct Arguments : EvaluationOptions {
  std::string results_dir, results_file;
  std::vector<std::string> formats{"csv"};
  std::string output_type = "prob", label_type = "description", filename_col = "filename", index_col = "index",
              label_col = "label", output_col, labels;
  bool fullname = false, include_index = false, exclude_output = false, separate = false, quiet = false;
  int64_t topk = 1;
};

// A table: columns by name, rows in the order of the images.
struct Table {
  std::vector<std::string> columns;
  std::vector<std::vector<Json>> rows;
};

std::string csv_field(const Json& value) {
  if (value.is_array()) {
    std::string s = "\"[";
    for (const Json& v : value.values()) s += str_cat(s.size() > 2 ? " " : "", v.is_string() ? v.string() : v.dump());
    return s + "]\"";
  }
  if (!value.is_string()) return value.dump();
  const std::string text = value.string();
  if (text.find_first_of(",\"\n\r") == text.npos) return text;
  std::string s = "\"";
  for (const char c : text) s += c == '"' ? "\"\"" : std::string(1, c);
  return s + "\"";
}

std::string as_csv(const Table& t) {
  std::string out;
  for (const std::string& c : t.columns) out += str_cat(out.empty() ? "" : ",", csv_field(c));
  out += "\n";
  for (const std::vector<Json>& row : t.rows) {
    std::string line;
    for (const Json& v : row) line += str_cat(line.empty() ? "" : ",", csv_field(v));
    out += line + "\n";
  }
  return out;
}

Json record(const Table& t, const std::vector<Json>& row, size_t first) {
  Json out = Json::object();
  for (size_t i = first; i < row.size(); ++i) out[t.columns[i]] = row[i];
  return out;
}

Json by_name(const Table& t) {
  Json out = Json::object();
  for (const std::vector<Json>& row : t.rows) out[row[0].string()] = record(t, row, 1);
  return out;
}

std::string as_records(const Table& t) {
  std::string out;
  for (const std::vector<Json>& row : t.rows) out += record(t, row, 0).dump() + "\n";
  return out;
}

std::string as_split(const Table& t) {
  Json out{{"columns", t.columns}, {"data", Json::array()}};
  for (const std::vector<Json>& row : t.rows) out["data"].push_back(row);
  return out.dump(4);
}

// One value, or several as a list or a column each.
void add(const Arguments& a, std::vector<Json>& row, const std::vector<Json>& values) {
  if (values.size() == 1) row.push_back(values[0]);
  else if (a.separate) row.insert(row.end(), values.begin(), values.end());
  else row.push_back(Json(values));
}
void add_column(const Arguments& a, std::vector<std::string>& columns, const std::string& name, int64_t k) {
  if (k == 1 || !a.separate) {
    columns.push_back(name);
    return;
  }
  for (int64_t i = 0; i < k; ++i) columns.push_back(str_cat(name, '_', i));
}

double as_shown(float v) { return std::stod(str_cat(v)); }     // the shortest text of the f32, not of its double

// Of this process's images.
Table table_of(const Arguments& a, zoo::ImageModel& model, const data::Reader& reader, Answers& answers,
               const Processes& all) {
  Table table;
  std::optional<Labels> labels;
  const auto [first, behind] = all.shard().run(static_cast<int64_t>(reader.size()));
  bench::Counter counter("infer", behind - first, "images", !all.writes());
  Answers::Batch batch;
  auto expected = static_cast<size_t>(first);
  while (answers.next(batch)) {
    Tensor out = batch.logits;
    if (a.output_type == "prob") out = softmax(out, 1);
    const int64_t k = a.topk > 0 ? std::min(a.topk, out.dim(1)) : out.dim(1);
    Tensor index;
    if (a.topk > 0) std::tie(out, index) = topk(out, k, 1);
    if (table.columns.empty()) {
      table.columns.push_back(a.filename_col);
      if (a.include_index && index) add_column(a, table.columns, a.index_col, k);
      if (a.label_type != "none") {
        labels.emplace(LabelSources{.given = a.labels,
                                    .weights = a.checkpoint,
                                    .tag_given = a.checkpoint.empty(),
                                    .type = a.label_type == "detailed" ? "detail" : a.label_type},
                       model, model.num_classes());
        if (labels->names().empty()) labels.reset(), tell("nothing says what the classes are called");
        else add_column(a, table.columns, a.label_col, k);
      }
      if (!a.exclude_output)
        add_column(a, table.columns, a.output_col.empty() ? a.output_type : a.output_col, k);
    }
    const std::span<const float> values = out.data<float>();
    for (size_t i = 0; i < batch.samples.size(); ++i) {
      if (batch.samples[i] != expected++) continue;        // another one stands in for an image that cannot be read
      std::vector<Json> indices, names, outputs, row;
      for (size_t j = 0; j < static_cast<size_t>(k); ++j) {
        const size_t at = i * static_cast<size_t>(k) + j;
        const int64_t c = index ? index.data<int64_t>()[at] : static_cast<int64_t>(j);
        indices.emplace_back(c);
        if (labels) names.emplace_back((*labels)[c]);
        outputs.emplace_back(as_shown(values[at]));
      }
      const std::string path = reader.name(batch.samples[i]);
      row.emplace_back(a.fullname ? path : std::filesystem::path(path).filename().string());
      if (a.include_index && index) add(a, row, indices);
      if (labels) add(a, row, names);
      if (!a.exclude_output) add(a, row, outputs);
      table.rows.push_back(std::move(row));
    }
    counter.reach(static_cast<int64_t>(expected) - first);
  }
  return table;
}

// The rows of all processes, in the order of the images, on the one that writes.
void add_up(Table& table, Peers& all) {
  Json mine = Json::array();
  for (const std::vector<Json>& row : table.rows) mine.push_back(row);
  table.rows.clear();
  for (const std::string& theirs : all.gather(mine.dump()))
    for (const Json& row : Json::parse(theirs).values()) table.rows.push_back(row.values());
}

void write(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

void run(const Arguments& a) {
  const Processes all(a.threads);
  if (a.root().empty())
    throw Error(Error::Kind::argument, "no folder of images", "fovea infer DIR --model NAME");
  const std::unique_ptr<zoo::ImageModel> model =
      create_loaded(a.model, for_patches(model_options(a.input, a.model), a.patch_size), a.checkpoint, a.licenses);
  const data::EvalConfig config = eval_config(*model, a.input);
  const std::unique_ptr<data::Reader> reader = open_images(a.input, a.root(), a.split);
  data::Loader loader(*reader, {.batch = a.batch,
                                .workers = a.workers,
                                .eval = config,
                                .fast_decode = a.input.fast_decode,
                                .most_bad = a.most_bad,
                                .shard = all.shard()});
  const std::unique_ptr<Answers> answers = answers_of(a, *model, *reader, loader, config, all.shard());
  Table table = table_of(a, *model, *reader, *answers, all);
  tell_bad(answers->bad());
  if (all.peers()) add_up(table, *all.peers());
  if (!all.writes()) return;

  std::string stem = a.results_file;
  for (const std::string ending : {".csv", ".json"})
    if (stem.ends_with(ending)) stem.resize(stem.size() - ending.size());
  if (stem.empty()) stem = str_cat(a.model, '-', config.input_size[1]);
  if (!a.results_dir.empty()) {
    std::filesystem::create_directories(a.results_dir);
    stem = a.results_dir + "/" + stem;
  }
  for (const std::string& format : a.formats) {
    if (format == "csv") write(stem + ".csv", as_csv(table));
    else if (format == "json") write(stem + ".json", by_name(table).dump(4));
    else if (format == "json-records") write(stem + ".json", as_records(table));
    else write(stem + ".json", as_split(table));
  }
  if (!a.quiet) std::printf("--result\n%s\n", by_name(table).dump(4).c_str());
  flush_output();
}

}  // namespace

void add_infer(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("infer", "write what a model says of all images of a folder");
  add_evaluation_options(command, *a, "a name of `fovea models`", "weights; default: the published ones");
  command.add_option("--topk", a->topk, "how many classes an image; 0: all, in their order");
  command.add_option("--output-type", a->output_type, "prob or logit").check(one_of({"prob", "logit"}));
  command
      .add_option("--label-type", a->label_type,
                  "none, or names of the classes: name (of the synset), description, detailed")
      .check(one_of({"none", "name", "description", "detail", "detailed"}));
  command.add_option("--labels", a->labels, "a file of labels, one a line (default: what is known of the weights)");
  command.add_flag("--fullname", a->fullname, "paths instead of names of files");
  command.add_option("--filename-col", a->filename_col, "how the column is called");
  command.add_option("--index-col", a->index_col, "likewise");
  command.add_option("--label-col", a->label_col, "likewise");
  command.add_option("--output-col", a->output_col, "likewise (default: prob or logit)");
  command.add_flag("--include-index", a->include_index, "the numbers of the classes");
  command.add_flag("--exclude-output", a->exclude_output, "no probabilities");
  command.add_flag("--results-separate-col", a->separate, "a column each where there are several classes an image");
  command.add_option("--results-dir", a->results_dir, "where the files go");
  command.add_option("--results-file", a->results_file, "their name (default: model and size)");
  command.add_option("--results-format", a->formats, "csv, json, json-records, json-split; several make several files")
      .check(one_of({"csv", "json", "json-records", "json-split"}))
      .expected(1, -1);
  command.add_flag("--no-console-results", a->quiet, "files only");
  take_last(command);
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
