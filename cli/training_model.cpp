// SPDX-License-Identifier: Apache-2.0
#include "cli/training_model.h"

#include "cli/common.h"
#include "cli/training.h"
#include "engine/core/error.h"
#include "engine/core/text.h"
#include "engine/ops/ops.h"

namespace fovea::cli {

zoo::ModelOptions wanted_model(const TrainingOptions& o, int classes) {
  zoo::ModelOptions m = model_options(o.input, o.model);
  m.num_classes = o.input.num_classes.value_or(classes);
  m.checkpointing = o.grad_checkpointing;
  if (!o.patch_sizes.empty()) m.set.emplace_back("enable_patch_interpolator", "true");
  if (o.drop > 0) m.drop_rate = static_cast<float>(o.drop);
  if (o.drop_path) m.drop_path_rate = static_cast<float>(*o.drop_path);
  if (o.drop_block && *o.drop_block > 0) m.set.emplace_back("drop_block_rate", str_cat(*o.drop_block));
  if (o.bn_eps) m.set.emplace_back("bn_eps", str_cat(*o.bn_eps));
  return m;
}

namespace {

void change_classifier(zoo::ImageModel& model, const TrainingOptions& o) {
  if (!o.head_init_scale && !o.head_init_bias) return;
  Module* classifier = model.find(model.classifier_name());
  if (!classifier || classifier->own_parameters().empty())
    throw Error(Error::Kind::argument, str_cat(model.architecture(), " has no single classifier to scale"));
  for (const Param& p : classifier->own_parameters()) {
    if (o.head_init_scale) p.set(*p * *o.head_init_scale);
    if (o.head_init_bias && p.slot().name == "bias") p.set(full(p->shape(), *o.head_init_bias, p->dtype()));
  }
}

}  // namespace

Model make_model(const TrainingOptions& o, const zoo::ModelOptions& wanted) {
  zoo::ModelOptions m = wanted;
  m.pretrained = o.pretrained && o.pretrained_path.empty();
  Model model = zoo::create(o.model, m);
  if (!o.pretrained_path.empty())
    tell_adapted(zoo::load_weights(*model, o.pretrained_path, {.fine_tune = true}), o.pretrained_path);
  if (!o.initial_checkpoint.empty()) zoo::load_weights(*model, o.initial_checkpoint);
  model->materialise(static_cast<uint64_t>(o.seed));
  change_classifier(*model, o);
  return model;
}

void ask_for_gradients(zoo::ImageModel& model, const TrainingOptions& o) {
  model.train().set_requires_grad();
  for (const std::string& pattern : o.freeze) {
    bool any = false;
    for (const NamedParameter& p : model.named_parameters())
      if (glob_match(pattern, p.name)) p.tensor().set_requires_grad(false), any = true;
    if (!any) throw Error(Error::Kind::argument, str_cat("--freeze ", pattern, ": no parameter is called so"));
  }
}

std::vector<train::ParameterGroup> groups_of(zoo::ImageModel& model, const TrainingOptions& o) {
  train::GroupOptions g{.weight_decay = o.weight_decay,
                        .no_weight_decay = model.no_weight_decay(),
                        .fallback = o.fallback_list,
                        .fallback_no_weight_decay = o.fallback_no_weight_decay,
                        .layer_decay = o.layer_decay,
                        .layer_decay_min_scale = o.layer_decay_min_scale,
                        .layer_decay_no_opt_scale = o.layer_decay_no_opt_scale};
  if (o.layer_decay) {
    g.layers = model.group_matcher(false).empty() ? train::automatic_layers(model, model.classifier_name())
                                                  : zoo::layer_numbers(model);
  }
  return train::parameter_groups(model, g);
}

}  // namespace fovea::cli
