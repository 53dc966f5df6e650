// SPDX-License-Identifier: Apache-2.0
#include "cli/feature_rows.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>

#include "bench/progress.h"
#include "cli/common.h"
#include "cli/evaluate.h"
#include "data/loader.h"
#include "engine/autograd/autograd.h"
#include "engine/core/cancel.h"
#include "engine/graph/batch_session.h"
#include "engine/graph/trace.h"
#include "engine/ops/ops.h"
#include "train/checkpoint.h"
#include "weights_tools/sha256.h"

namespace fovea::cli {
namespace {

namespace fs = std::filesystem;

BatchSession compiled(zoo::ImageModel& model, const data::EvalConfig& eval) {
  const EvalMode mode(model);
  const NoGrad no_grad;
  const auto [channels, height, width] = eval.input_size;
  const auto run = [&](const Tensor& x) { return flatten(model.forward_head(model.forward_features(x), true), 1); };
  Graph graph = trace(run, {make_meta(DType::f32, {1, channels, height, width})});
  return BatchSession(compile(std::move(graph), {.threads = 1}));
}

std::string sum_of_body(const zoo::ImageModel& model) {
  StateDict body;
  for (const auto& [name, tensor] : model.state_dict())
    if (!name.starts_with(str_cat(model.classifier_name(), "."))) body.set(name, tensor);
  return train::sum_of(body);
}

// "": images that are no files of their own, as those of archives, do not show whether they changed.
std::string key_of(const zoo::ImageModel& model, const data::Reader& folder, const data::EvalConfig& eval) {
  Sha256 sum;
  sum.update(str_cat("rows 2\n", model.full_name(), "\n", model.global_pool(), "\n", sum_of_body(model), "\n"));
  for (const int n : eval.input_size) sum.update(str_cat(n, " "));
  sum.update(str_cat(data::name_of(eval.interpolation), " ", eval.crop_pct, " ", data::name_of(eval.crop_mode)));
  for (const std::vector<float>* values : {&eval.mean, &eval.std})
    for (const float v : *values) sum.update(str_cat(" ", v));
  for (size_t i = 0; i < folder.size(); ++i) {
    const std::string path = folder.name(i);
    std::error_code failed, unknown;
    const auto changed = fs::last_write_time(path, failed).time_since_epoch().count();
    const auto bytes = fs::file_size(path, unknown);
    if (failed || unknown) return "";
    sum.update(str_cat("\n", path, "\t", static_cast<int64_t>(changed), "\t", static_cast<uint64_t>(bytes), "\t",
                       folder.label(i)));
  }
  return hex(sum.finish());
}

std::optional<FeatureRows> kept(const std::string& path, size_t images) {
  std::error_code unknown;
  if (path.empty() || !fs::exists(path, unknown)) return {};
  try {
    const StateDict file = train::read_summed(path);
    FeatureRows out{.features = file.at("features"), .labels = {}, .samples = {}};
    const std::span<const int64_t> labels = file.at("labels").data<int64_t>(),
                                   samples = file.at("samples").data<int64_t>();
    out.labels.assign(labels.begin(), labels.end());
    for (const int64_t sample : samples) out.samples.push_back(static_cast<size_t>(sample));
    const bool ascending = std::ranges::adjacent_find(out.samples, std::greater_equal{}) == out.samples.end();
    if (out.features.rank() != 2 || out.features.dim(0) != static_cast<int64_t>(labels.size()) || labels.empty() ||
        samples.size() != labels.size() || !ascending || out.samples.back() >= images)
      throw Error(Error::Kind::format, str_cat(path, " has rows of other images"));
    return out;
  } catch (const Error& e) {
    tell(str_cat("features are computed anew: ", e.summary()));
    return {};
  }
}

void keep(const std::string& path, const FeatureRows& rows) {
  fs::create_directories(fs::path(path).parent_path());
  StateDict file;
  file.set("features", rows.features);
  const auto n = static_cast<int64_t>(rows.labels.size());
  file.set("labels", from<int64_t>(rows.labels, {n}));
  file.set("samples", from<int64_t>(std::vector<int64_t>(rows.samples.begin(), rows.samples.end()), {n}));
  train::write_summed(path, std::move(file));
}

FeatureRows computed(zoo::ImageModel& model, const data::Reader& folder, const FeatureRowOptions& o) {
  const double began = bench::now();
  BatchSession session = compiled(model, o.eval);
  data::Loader loader(folder, {.batch = o.batch, .workers = o.workers, .eval = o.eval});
  bench::Counter counter(o.name, static_cast<int64_t>(folder.size()), "images");
  FeatureRows out;
  loader.begin(0);
  data::Batch batch;
  size_t done = 0;
  std::vector<float> features;
  int64_t width = 0;
  while (loader.next(batch)) {
    const Tensor rows = session.run_borrowed(batch.images)[0];
    width = rows.dim(1);
    for (size_t i = 0; i < batch.samples.size(); ++i, ++done) {
      if (batch.samples[i] != done) continue;      // a neighbour, in the place of what could not be read
      const std::span<const float> row =
          rows.data<float>().subspan(i * static_cast<size_t>(width), static_cast<size_t>(width));
      features.insert(features.end(), row.begin(), row.end());
      out.labels.push_back(batch.targets.data<int64_t>()[i]);
      out.samples.push_back(done);
    }
    counter.reach(static_cast<int64_t>(done));
    check_cancelled();
  }
  counter.clear();
  tell_bad(loader.bad());
  if (out.labels.empty()) throw Error(Error::Kind::io, str_cat("none of ", done, " images could be read"));
  out.features = from<float>(features, {static_cast<int64_t>(out.labels.size()), width});
  out.seconds = bench::now() - began;
  return out;
}

void tell_left_out(const FeatureRows& rows, size_t images) {
  if (rows.labels.size() == images) return;
  tell(str_cat(images - rows.labels.size(), " of ", images,
               " images have no features, as they could not be read, and do not count"));
}

}  // namespace

FeatureRows feature_rows(zoo::ImageModel& model, const data::Reader& folder, const FeatureRowOptions& o) {
  std::string path;
  if (!o.keep.empty()) {
    const std::string key = key_of(model, folder, o.eval);
    if (!key.empty()) path = str_cat(o.keep, "/", key, ".safetensors");
    if (std::optional<FeatureRows> rows = kept(path, folder.size())) {
      tell_left_out(*rows, folder.size());
      return std::move(*rows);
    }
  }
  FeatureRows rows = computed(model, folder, o);
  tell_left_out(rows, folder.size());
  if (!path.empty()) keep(path, rows);
  return rows;
}

}  // namespace fovea::cli
