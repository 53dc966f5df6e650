// SPDX-License-Identifier: Apache-2.0
#include "api/loaded_model.h"

#include <filesystem>
#include <memory>

#include "api/config_json.h"
#include "hub/names.h"
#include "nn/module.h"
#include "weights_tools/open_weights.h"
#include "weights_tools/sharded.h"
#include "zoo/finite.h"
#include "zoo/source.h"

namespace fovea::capi {
namespace {

// A repository, a folder of its own and a name of the catalogue say which model their weights are of.
bool names_a_model(const std::string& weights) {
  std::error_code ignored;
  if (std::filesystem::exists(weights, ignored) || hub::is_url(weights)) return false;
  return weights.find(':') != weights.npos || zoo::is_model(weights);
}

std::string name_of(const ModelRequest& r) {
  if (!r.name.empty()) return r.name;
  if (r.weights.empty()) throw Error(Error::Kind::argument, "neither a name nor a file of weights was given");
  if (names_a_model(r.weights)) return r.weights;
  std::string name = hub::is_url(r.weights) ? std::string() : name_beside(zoo::weights_path(r.weights));
  if (name.empty())
    throw Error(Error::Kind::not_found, str_cat("no config.json beside ", r.weights, " names a model"),
                "fovea_model_options.name says which it is");
  return name;
}

// At its end the weights that a model alone holds are gone. Takes no memory.
struct Unloaded {
  ~Unloaded() {
    unload(model);
    has_weights = false;
  }
  static void unload(Module& m) noexcept {
    for (const Param& p : m.own_parameters())
      if (const Tensor& t = p.slot().value; p.slot().persistent && t.shared_impl().use_count() == 1)
        t.impl()->storage = nullptr;
    for (const std::unique_ptr<Module>& child : m.children()) unload(*child);
  }
  zoo::ImageModel& model;
  bool& has_weights;
};

}  // namespace

LoadedModel::LoadedModel(std::shared_ptr<const Env> env, ModelRequest request)
    : env_(std::move(env)), request_(std::move(request)) {
  if (request_.in_memory && cached())
    throw Error(Error::Kind::argument, "a plan cache needs weights from a file: it goes by the file's contents");
  check_cancelled();
  request_.name = name_of(request_);
  model_ = zoo::create(request_.name, request_.options);
  model_->eval();
  if (!request_.in_memory) {
    published_ = request_.weights.empty();
    request_.weights = published_ ? zoo::pretrained_file(*model_) : zoo::weights_path(request_.weights);
    if (cached() && is_shard_index_name(request_.weights)) {           // the cache would not see other files change
      env_->log(FOVEA_LOG_INFO, str_cat(request_.weights, ": weights in several files are not for the plan cache"));
      request_.plan_cache.clear();
    }
  }
  if (!cached()) load();
}

// Reports what did not go as it was written, and logs it.
LoadReport LoadedModel::load() {
  check_cancelled();
  const OpenOptions how{.access = request_.access};
  const std::string& source = request_.in_memory ? request_.in_memory->path() : request_.weights;
  StateDict weights = request_.in_memory ? open_weights(request_.in_memory, how) : open_weights(request_.weights, how);
  LoadReport report = zoo::load_weights(*model_, std::move(weights), source, {.headless = true});
  has_weights_ = true;
  for (const std::string& line : report.adapted) env_->log(FOVEA_LOG_INFO, str_cat(source, ": ", line));
  return report;
}

Classifier LoadedModel::classifier() {
  const std::lock_guard lock(mutex_);
  const bool tagged = published_ || !zoo::split_name(request_.name).tag.empty();
  return {*model_, {.given = request_.labels, .weights = request_.weights, .tag_given = tagged}};
}

Session LoadedModel::compile_now(const Wanted& wanted, std::span<const Session* const> sharing) {
  if (wanted.target.calibration) zoo::want_finite_weights(*model_);    // integers cannot say it later
  Graph graph = wanted.trace(*model_);
  if (wanted.release) {
    zoo::give_up_tensors(*model_);
    has_weights_ = false;
  }
  return fovea::compile(std::move(graph), wanted.target, sharing);
}

// The weights are read for what has to be compiled, and not kept. The cache goes by a model without bytes, as the next
// process will have it. One without a classifier says nothing of how many classes the file has.
LoadedModel::Compiled LoadedModel::compile_cached(const Wanted& wanted,
                                                  std::span<const Session* const> sharing) {
  const std::unique_ptr<zoo::ImageModel> bare = zoo::create(request_.name, request_.options);
  bare->eval();
  std::optional<zoo::PlanCache> cache;
  if (bare->num_classes() > 0 || !wanted.classifies) {
    cache.emplace(*bare, request_.options, wanted.trace(*bare), request_.weights, wanted.target, request_.plan_cache);
    if (std::optional<Session> found = cache->load()) return {std::move(*found), true};
  }
  const Unloaded nothing_stays{*model_, has_weights_};           // also where memory runs out
  const LoadReport report = load();
  Compiled out{compile_now(wanted, sharing), false};
  zoo::give_up_tensors(*model_);
  // What was adapted would not be said again by a session from the cache; another number of classes shows in it.
  const bool all_said = report.adapted.size() == (model_->num_classes() == bare->num_classes() ? 0 : 1);
  if (cache && all_said && !cache->store(out.session))
    env_->log(FOVEA_LOG_WARNING, str_cat("the session is not kept: ", request_.plan_cache, " does not take it"));
  return out;
}

LoadedModel::Compiled LoadedModel::compile(const Wanted& wanted, std::span<const Session* const> sharing) {
  const std::lock_guard lock(mutex_);
  if (cached()) return compile_cached(wanted, sharing);
  if (!has_weights_)
    throw Error(Error::Kind::argument, str_cat("the weights of ", model_->full_name(), " were released"),
                "fovea_session_fork() makes more sessions of one that has them");
  return {compile_now(wanted, sharing), false};
}

std::optional<std::string> LoadedModel::why_not_finite(const Tensor& images) {
  const std::lock_guard lock(mutex_);
  if (!has_weights_) return {};
  return zoo::why_not_finite(*model_, images).what();
}

}  // namespace fovea::capi
