// SPDX-License-Identifier: Apache-2.0
// zoo/blocks/hidden_head.h — HiddenHeadModel: a stem, four stages, and a head that convolves, pools and has a hidden
// layer with a norm in front of the classifier.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "zoo/blocks/chained.h"

namespace fovea::zoo {

/// Where the parts of the head are, each a path from the model.
struct HiddenHeadNames {
  std::string_view in_conv, global_pool, linear, norm, act, classifier;
};
struct HiddenHeadOptions {
  std::array<int, 2> widths{1536, 1600};  // of the convolution and of the hidden layer
  Act act = act::hard_swish;
  double norm_eps = 1e-5;        // of the hidden layer's norm
  bool always_pools = false;     // else pooling may be left out
  std::string_view only_pool{};  // that there is, beside ""; "": any that gives one value a channel
  bool drop_pre_logits = true;   // dropout belongs to the pre-logits
};

class HiddenHeadModel : public Chained<ImageModel> {
 public:
  /// Where nothing is pooled, every pixel has logits.
  Tensor forward_head(const Tensor& features, bool pre_logits = false) override;
  void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {}) override;
  const std::string& global_pool() const override { return pool_->type(); }

 protected:
  explicit HiddenHeadModel(const ModelOptions& o) : Chained(o) {}
  /// Behind the child "stem": the children of "stages", each a level.
  void add_stages(Sequential stages);
  /// Ends the constructor.
  void add_head(int features, const HiddenHeadNames& names, const HiddenHeadOptions& o);
  /// The pooling stays.
  void drop_head() override;

 private:
  Ref<Module> put(std::string_view path, std::unique_ptr<Module> part);
  void set_pool(std::string_view type);
  HiddenHeadNames names_;
  HiddenHeadOptions options_;
  Maybe<Module> in_conv_, linear_, norm_, act_, drop_;
  Ref<GlobalPool> pool_;
  Ref<Module> classifier_;
};

}  // namespace fovea::zoo
