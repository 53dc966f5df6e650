// SPDX-License-Identifier: Apache-2.0
// api/loaded_model.h — LoadedModel: a model as an embedder asked for it, whose weights are read when they are needed.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "api/classifier.h"
#include "api/env.h"
#include "weights_tools/mapped_file.h"
#include "zoo/plan_cache.h"
#include "zoo/zoo.h"

namespace fovea::capi {

struct ModelRequest {
  std::string name, weights, labels, plan_cache;   // empty: as fovea_model_options says of NULL
  std::shared_ptr<const MappedFile> in_memory;     // weights that are no file
  FileAccess access = FileAccess::read;
  zoo::ModelOptions options;
};

/// Everything but compile() may be asked by any thread. What touches the model itself is done by one at a time.
class LoadedModel {
 public:
  LoadedModel(std::shared_ptr<const Env> env, ModelRequest request);

  const Env& env() const { return *env_; }
  const std::string& weights() const { return request_.weights; }      // the file; empty for those from memory
  bool cached() const { return !request_.plan_cache.empty(); }
  Classifier classifier();

  /// What somebody makes of the model: how to trace it, and for what it is compiled.
  struct Wanted {
    virtual ~Wanted() = default;
    virtual Graph trace(zoo::ImageModel& model) const = 0;
    Target target;
    bool classifies = true;
    bool release = false;                          // the model's weights go
  };
  struct Compiled {
    Session session;
    bool from_cache = false;
  };
  /// `sharing`: sessions of the same weights, whose constants may serve this one, too.
  Compiled compile(const Wanted& wanted, std::span<const Session* const> sharing = {});

  /// With the model held for this thread.
  template <class F>
  auto look(const F& f) {
    const std::lock_guard lock(mutex_);
    return f(*model_);
  }
  /// Why results are not finite, where the weights are still there to look at.
  std::optional<std::string> why_not_finite(const Tensor& images);

 private:
  LoadReport load();
  Session compile_now(const Wanted& wanted, std::span<const Session* const> sharing);
  Compiled compile_cached(const Wanted& wanted, std::span<const Session* const> sharing);

  std::shared_ptr<const Env> env_;
  ModelRequest request_;
  std::mutex mutex_;
  std::unique_ptr<zoo::ImageModel> model_;
  bool has_weights_ = false;
  bool published_ = false;                         // the weights are those that the name stands for
};

}  // namespace fovea::capi

struct fovea_model {
  std::shared_ptr<fovea::capi::LoadedModel> model;
  struct Texts;                                    // what pointers of fovea_model_info are to
  std::unique_ptr<Texts> texts;
};
