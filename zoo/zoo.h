// SPDX-License-Identifier: Apache-2.0
// zoo/zoo.h — the door to the catalogue: which models there are, and making one by name.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/state_dict.h"
#include "engine/graph/session.h"
#include "zoo/image_model.h"
#include "zoo/model_options.h"
#include "zoo/pretrained.h"

namespace fovea::zoo {

/// Makes "name" or "name.tag", on meta unless weights are asked for; load_weights() or materialise() give it bytes.
/// "hf-hub:organisation/name[@revision]" and "local-dir:folder" are what the config.json there says. Deprecated names
/// of timm give their replacement. ModelOptions::set changes fields of the row (zoo/overlay.h), too: "crop_pct", or
/// "pretrained_cfg.crop_pct" where the family has a setting of that name. Throws Error(not_found) with the closest
/// names, Error(argument) for options that the family lacks.
std::unique_ptr<ImageModel> create(std::string_view name, const ModelOptions& options = {});

struct ListOptions {
  std::vector<std::string> patterns{};             // wildcards; several: what any of them matches; none: everything
  std::vector<std::string> exclude{};
  std::string module{};                            // only the models of this timm module
  bool pretrained = false;                         // only those with published weights
  bool tags = false;                               // "name.tag" rather than "name"
  std::vector<std::string> licenses{};             // only weights (without tags: default ones) of one of these
};
/// In natural order (b2 before b10). Only models of the families that were built in.
std::vector<std::string> list(const ListOptions& o = {});
/// The same of what timm has and this build lacks.
std::vector<std::string> list_missing(const ListOptions& o = {});
/// Of each pattern (or of the module, without any) that stands for none of these names, why: its models are not in this
/// build, or left out by the other options, or there are none.
std::vector<std::string> found_nothing(const ListOptions& o, const std::vector<std::string>& names);
std::vector<std::string> modules();                // "efficientnet", ...
bool is_model(std::string_view name);              // a tag in the name does not matter; deprecated names do not count
std::string_view module_of(std::string_view name); // "" for unknown models
/// The fields of the variant's configuration as text: what ModelOptions::set may change.
std::vector<std::pair<std::string, std::string>> settings(std::string_view name);

struct LoadOptions {
  Strict strict = Strict::yes;                     // all must fit once names are translated
  // As timm does for pretrained weights: a classifier of other classes than were asked for, or a first convolution that
  // cannot be adapted, is dropped and starts from first values.
  bool fine_tune = false;
  bool headless = false;                           // weights without a classifier give a model without one
};
/// The line of LoadReport::adapted that says that the model took over the weights' number of classes.
std::string classes_taken(int64_t theirs, int64_t before);
/// Reads weights of any known format, by any name of weights_path() (zoo/source.h), and loads them. Foreign names are
/// translated, the first convolution and positions are made to fit. The number of classes is the file's unless create()
/// was given one: then another is an Error(weights), as is whatever does not fit. The report says what was left out or
/// adapted.
LoadReport load_weights(ImageModel& model, const std::string& name, const LoadOptions& o = {});
/// The same for tensors that were read already.
LoadReport load_weights(ImageModel& model, StateDict weights, std::string_view source, const LoadOptions& o = {});
/// What load_weights() does to tensors before it looks at the classifier.
StateDict adapt_weights(ImageModel& model, StateDict weights);
/// The file with the weights that the model's row names: from the caches of huggingface_hub and torch.hub, else
/// fetched. Throws Error that says where they can be had when they are not.
std::string pretrained_file(const ImageModel& model);
/// Loads it, with fine_tune.
LoadReport load_pretrained(ImageModel& model);

struct CompileOptions {
  int batch = 1;
  int height = 0, width = 0;                       // 0: as the model was built
  Target target{};
  bool features_only = false;                      // the feature maps of all levels instead of the logits
  // The model gives up its saved tensors, so that each is freed once the session has packed it; load() gives new ones.
  bool consume = false;
  // Sessions of the same weights, for other batches or sizes: what they hold in the same form is not held again.
  std::vector<const Session*> sharing{};
};
/// Traces the model in eval mode on an image without bytes, and compiles what was traced.
Graph trace(ImageModel& model, const CompileOptions& o = {});
Session compile(ImageModel& model, const CompileOptions& o = {});
/// The model's parameters and saved buffers without their bytes.
void give_up_tensors(ImageModel& model);

}  // namespace fovea::zoo
