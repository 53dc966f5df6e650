// SPDX-License-Identifier: Apache-2.0
// zoo/image_model.h — ImageModel: what all models of the zoo have in common: features, head, taps.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/joint.h"
#include "nn/layers/attention.h"
#include "nn/layers/classifier.h"
#include "nn/module.h"
#include "zoo/layer_groups.h"
#include "zoo/model_kinds.h"
#include "zoo/model_options.h"
#include "zoo/pretrained.h"
#include "zoo/taps.h"

namespace fovea::zoo {

struct Family;
struct PatchSequence;

/// Which feature maps are wanted. Indices count the model's feature levels; negative ones from the end. The maps come
/// from the first level to the last, each once, in whatever order they were named.
struct FeatureOptions {
  std::vector<int> indices{};                      // empty: all, or the last `last` levels
  int last = 0;
  bool norm = false;                               // through the final norm, where the family has one that fits
  bool stop_early = false;                         // do not compute what lies behind the last wanted level
  bool intermediates_only = false;                 // nobody needs Intermediates::final
  // false: as the family computes them, N,H,W,C or tokens N,L,C; absent: N,C,H,W, but of features() as timm's are
  std::optional<bool> nchw{};
  bool prefix_tokens = false;                      // token models: class and other leading tokens as well
  TapKind kind = TapKind::block;                   // where a stage is tapped
  AttentionMask mask{};                            // of models that attend over tokens
};

/// What prune() leaves of a model. Indices as in FeatureOptions.
struct PruneOptions {
  std::vector<int> indices{};                      // the levels that somebody needs
  int last = 1;                                    // ... or this many last ones; 0: all
  bool norm = false, head = true;                  // whether the last norm and the head go
};

/// What a family computes between its last level and the head, for prune().
struct AfterLevels {
  std::vector<std::string_view> norms{};           // modules that leave the number of channels as it is
  std::vector<std::string_view> convs{};           // those that change it: the head was made for what they give
  // children that run beside the others of their module, as shortcuts do: where a level lies inside of it, they go
  std::vector<std::string_view> beside{};
  bool one_width = false;                          // all levels have as many channels: norms and head fit any of them
};

struct Intermediates {
  // what forward_features() gives, or with stop_early the last level that was wanted; absent if only features were
  Tensor final;
  Tensors features;
  Tensors prefix;                                  // of each feature map [N, tokens, C], where they were asked for
  Tensor valid;                                    // of sequences: which of their patches are, bool [N, L]
};

struct FeatureInfo {
  int channels = 0, reduction = 0;                 // reduction: image size / map size
  std::string module;                              // "blocks.2"
};

class ImageModel : public Module {
 public:
  Tensor forward(const Tensor& image) override { return forward_head(forward_features(image)); }
  virtual Tensor forward_features(const Tensor& image) = 0;
  /// With pre_logits: pooled, but without the classifier.
  virtual Tensor forward_head(const Tensor& features, bool pre_logits = false);
  /// A new classifier without bytes where it changes; keeps the pooling when none is given.
  virtual void reset_classifier(int num_classes, std::optional<std::string_view> global_pool = {});
  void set_grad_checkpointing(bool on = true) { grad_checkpointing_ = on; }

  Intermediates forward_intermediates(const Tensor& image, const FeatureOptions& o = {});
  /// The same of sequences of patches, as tokens [N, L, C], for grids differ. Throws Error(unsupported) for models that
  /// take images only, and Error(argument) where N,C,H,W is asked for.
  Intermediates sequence_intermediates(const PatchSequence& s, const FeatureOptions& o = {});
  /// Ends the model at the last of the wanted levels, for good: what lies behind it goes, and the head with it where it
  /// no longer fits. Returns the levels, counted from the first.
  virtual std::vector<int> prune(const PruneOptions& o = {});
  /// How many of the last levels features() gives unless it is told; negative: so many of the first; 0: all.
  int default_levels() const { return default_levels_; }
  bool features_nchw() const { return features_nchw_; }  // what features() gives unless it is told
  /// For images (and patches and windows) of another size, without building the model anew. Throws Error(unsupported)
  /// where nothing depends on it, or where the family cannot.
  void set_input_size(std::array<int, 2> image, std::optional<int> patch = {}, const WindowOptions& windows = {});
  /// Last parts of the names of parameters that weight decay should spare, beside biases and norms.
  virtual std::vector<std::string> no_weight_decay() const { return {}; }
  /// Rows for layer_numbers(); coarse: by stage rather than by block, where the family tells them apart.
  virtual std::vector<LayerGroup> group_matcher(bool /*coarse*/) const { return {}; }
  /// The levels' channels and reductions, measured on an image without bytes.
  const std::vector<FeatureInfo>& feature_info(TapKind kind = TapKind::block);

  const std::string& architecture() const { return architecture_; }       // "resnet50"
  const std::string& tag() const { return tag_; }                         // "a1_in1k"; may be empty
  std::string full_name() const;                   // "resnet50.a1_in1k"
  const Family& family() const { return *family_; }
  const PretrainedCfg& pretrained_cfg() const { return pretrained_; }     // the row of the tag
  // channels, height, width that it was built for
  std::array<int, 3> input_size() const { return input_size_; }
  int num_classes() const { return num_classes_; }
  int num_features() const { return num_features_; }                      // channels of forward_features()
  int head_hidden_size() const { return head_hidden_size_; }              // channels of the pre-logits
  std::string_view classifier_name() const { return classifier_name_; }   // "fc", "head.fc"
  virtual const std::string& global_pool() const;      // the kind of pooling in front of the classifier
  bool grad_checkpointing() const { return grad_checkpointing_; }
  /// Nobody asked for this number of classes: load_weights() takes the number that the weights were made for.
  bool classes_left_open() const { return open_classes_ == num_classes_; }
  void leave_classes_open() { open_classes_ = num_classes_; }
  /// What the last load_weights() found and did; create() with weights, too.
  const LoadReport& load_report() const { return load_report_; }

 protected:
  /// The tapped value through the norm in front of the head, where that fits it: for FeatureOptions::norm.
  virtual Tensor final_norm(const Tap& tapped) { return tapped.value; }
  virtual AfterLevels after_levels() const { return {}; }
  /// Of prune(): what lies behind a level that is not the last goes.
  virtual void vacate_behind(std::string_view level, std::string_view last_level);
  virtual void drop_head() { reset_classifier(0, ""); }  // pooling, classifier and whatever was made for them
  explicit ImageModel(const ModelOptions& o);
  /// Ends the constructor of most families: global pooling and, under `name`, a linear layer, or a 1x1 convolution that
  /// says the same and takes maps that were not pooled as well.
  enum class Classifier : uint8_t { linear, convolution };
  void classifier(std::string_view name, int features, std::string_view default_pool = "avg",
                  Classifier kind = Classifier::linear);
  std::string_view wanted_pool(std::string_view otherwise) const {
    return wanted_pool_ ? std::string_view(*wanted_pool_) : otherwise;
  }
  /// Offers a value that others may want; true when nobody needs more. Stages offer their result under the child's
  /// name.
  bool tap(std::string_view module, const Tensor& x, TapKind kind = TapKind::block, int channel_axis = 1) {
    const bool enough = offer_tap(module, x, kind, channel_axis);
    return enough || (kind == TapKind::block && module == end_);
  }
  // stage(x), recomputed in the backward pass where checkpointing is on
  Tensor run(Module& stage, const Tensor& x);
  bool recomputes() const;                         // whether it is on and there will be a backward pass
  Tensors run(Joint& stage, std::span<const Tensor> x);

  float drop_rate_ = 0;
  int default_levels_ = 0;
  bool features_nchw_ = true;
  int num_features_ = 0, head_hidden_size_ = 0, num_classes_ = 1000;
  std::string classifier_name_;

 private:
  Tensor as_map(const Tap& t, int64_t height, int64_t width) const;
  struct Wanted;
  Wanted wanted(const FeatureOptions& o);
  int tokens_in_front() const;                     // of a model of tokens
  Tensor features_end(const Tensor& image, const AttentionMask& mask);  // forward_features(), masked where it is wanted
  friend std::unique_ptr<ImageModel> create(std::string_view, const ModelOptions&);
  friend class Built;                              // create.cpp: fills in where the model comes from
  friend class FittedWeights;                      // load.cpp: says what it did
  std::string architecture_, tag_;
  const Family* family_ = nullptr;
  PretrainedCfg pretrained_;
  std::array<int, 3> input_size_{3, 224, 224};
  int open_classes_ = -1;
  LoadReport load_report_;
  Ref<GlobalPool> pool_;
  std::optional<std::string> wanted_pool_;
  bool grad_checkpointing_ = false;
  Classifier kind_ = Classifier::linear;
  std::string end_;                                // the level at which a pruned model ends
  std::array<std::vector<FeatureInfo>, 2> feature_info_;   // measured on first use, one list a TapKind
  Ref<Module> classifier_;
  Maybe<Dropout> drop_;
};

/// A model as a backbone: image -> feature maps.
class FeatureNet {
 public:
  FeatureNet(std::unique_ptr<ImageModel> model, FeatureOptions o);
  Tensors operator()(const Tensor& image);
  const std::vector<FeatureInfo>& info() const { return info_; }          // of the wanted levels
  ImageModel& model() { return *model_; }

 private:
  std::unique_ptr<ImageModel> model_;
  FeatureOptions options_;
  std::vector<FeatureInfo> info_;
};
FeatureNet features(std::unique_ptr<ImageModel> model, FeatureOptions o = {});

/// The lines that describe what a model saves: name, shape with commas, dtype, and p for parameters or b for all else;
/// tabs between.
std::string state_lines(const Module& m);
uint64_t state_hash(const Module& m);              // FNV-1a of state_lines()

}  // namespace fovea::zoo
