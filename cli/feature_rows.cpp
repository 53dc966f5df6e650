// SPDX-License-Identifier: Apache-2.0
#include "cli/feature_rows.h"

#include <chrono>
#include <filesystem>

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
  sum.update(str_cat("rows 1\n", model.full_name(), "\n", model.global_pool(), "\n", sum_of_body(model), "\n"));
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
    FeatureRows out{.features = file.at("features"), .labels = {}};
    const std::span<const int64_t> labels = file.at("labels").data<int64_t>();
    out.labels.assign(labels.begin(), labels.end());
    if (out.features.rank() != 2 || out.features.dim(0) != static_cast<int64_t>(images) || labels.size() != images)
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
  file.set("labels", from<int64_t>(rows.labels, {static_cast<int64_t>(rows.labels.size())}));
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
  int64_t done = 0;
  while (loader.next(batch)) {
    const Tensor rows = session.run_borrowed(batch.images)[0];
    if (!out.features) out.features = empty(Shape{static_cast<int64_t>(folder.size()), rows.dim(1)});
    const std::span<const float> values = rows.data<float>();
    std::copy(values.begin(), values.end(),
              out.features.mutable_data<float>().begin() + static_cast<ptrdiff_t>(done * rows.dim(1)));
    const std::span<const int64_t> labels = batch.targets.data<int64_t>();
    out.labels.insert(out.labels.end(), labels.begin(), labels.end());
    done += rows.dim(0);
    counter.reach(done);
    check_cancelled();
  }
  counter.clear();
  tell_bad(loader);
  out.seconds = bench::now() - began;
  return out;
}

}  // namespace

FeatureRows feature_rows(zoo::ImageModel& model, const data::Reader& folder, const FeatureRowOptions& o) {
  std::string path;
  if (!o.keep.empty()) {
    const std::string key = key_of(model, folder, o.eval);
    if (!key.empty()) path = str_cat(o.keep, "/", key, ".safetensors");
    if (std::optional<FeatureRows> rows = kept(path, folder.size())) return std::move(*rows);
  }
  FeatureRows rows = computed(model, folder, o);
  if (!path.empty()) keep(path, rows);
  return rows;
}

}  // namespace fovea::cli
