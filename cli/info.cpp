// SPDX-License-Identifier: Apache-2.0
// cli/info.cpp — `fovea info MODEL`: its size, input, features, weights, and every parameter's name.
#include <cstdio>

#include "cli/command.h"
#include "cli/common.h"
#include "cli/json.h"
#include "cli/options.h"
#include "engine/core/text.h"
#include "engine/graph/graph.h"
#include "zoo/levels.h"
#include "zoo/zoo.h"

namespace fovea::cli {
namespace {

struct Arguments {
  std::string name;
  zoo::ModelOptions options;
  bool json = false, state = false;
};

template <size_t N>
bool given(const std::array<int, N>& size) { return size[0] > 0; }

Json pretrained_json(const zoo::PretrainedCfg& c) {
  Json j;
  const auto text = [&j](const char* key, std::string_view value) {
    if (!value.empty()) j[key] = value;
  };
  text("architecture", c.architecture);
  text("tag", c.tag);
  text("url", c.url);
  text("file", c.file);
  text("hf_hub_id", c.hf_hub_id);
  text("hf_hub_filename", c.hf_hub_filename);
  if (c.custom_load) j["custom_load"] = true;
  j["input_size"] = c.input_size;
  if (given(c.test_input_size)) j["test_input_size"] = c.test_input_size;
  if (given(c.min_input_size)) j["min_input_size"] = c.min_input_size;
  j["fixed_input_size"] = c.fixed_input_size;
  j["interpolation"] = c.interpolation;
  j["crop_pct"] = std::stod(str_cat(c.crop_pct));  // the digits that were written, not their nearest float's
  if (c.test_crop_pct > 0) j["test_crop_pct"] = std::stod(str_cat(c.test_crop_pct));
  j["crop_mode"] = c.crop_mode;
  for (const auto& [key, values] : {std::pair{"mean", c.mean}, std::pair{"std", c.std}}) {
    j[key] = Json::array();
    for (const float v : values) j[key].push_back(std::stod(str_cat(v)));
  }
  j["num_classes"] = c.num_classes;
  if (given(c.pool_size)) j["pool_size"] = c.pool_size;
  text("first_conv", c.first_conv);
  text("classifier", c.classifier);
  text("license", c.license);
  text("description", c.description);
  text("origin_url", c.origin_url);
  text("paper_name", c.paper_name);
  text("paper_ids", c.paper_ids);
  text("notes", c.notes);
  return j;
}

// Of products and convolutions, for one image of the model's input size.
int64_t multiply_adds(zoo::ImageModel& model) {
  const Graph g = zoo::trace(model);
  int64_t sum = 0;
  for (const Step& s : g.steps)
    if (s.op->work) sum += s.op->work(StepSite(g, s).site());
  return sum;
}

Json info_json(zoo::ImageModel& model) {
  Json j;
  j["name"] = model.full_name();
  j["module"] = zoo::module_of(model.architecture());
  j["params"] = model.parameter_count();
  j["macs"] = multiply_adds(model);
  j["num_classes"] = model.num_classes();
  j["num_features"] = model.num_features();
  j["head_hidden_size"] = model.head_hidden_size();
  j["input"] = model.input_size();
  const std::vector<zoo::FeatureInfo>& levels = model.feature_info();
  j["fo_info"] = Json::array();                    // what features() gives unless it is told otherwise
  for (const int i : zoo::usual_levels(model.default_levels(), static_cast<int>(levels.size()))) {
    const zoo::FeatureInfo& level = levels[static_cast<size_t>(i)];
    j["fo_info"].push_back({{"ch", level.channels}, {"red", level.reduction}, {"mod", level.module}});
  }
  j["pretrained_cfg"] = pretrained_json(model.pretrained_cfg());
  return j;
}

void print(zoo::ImageModel& model) {
  const zoo::PretrainedCfg& c = model.pretrained_cfg();
  const auto [channels, height, width] = model.input_size();
  std::printf("%s  (%s)\n", model.full_name().c_str(), std::string(zoo::module_of(model.architecture())).c_str());
  std::printf("  parameters   %.2f M in %zu tensors\n", static_cast<double>(model.parameter_count()) / 1e6,
              model.named_parameters().size());
  std::printf("  work         %.2f GMACs an image\n", static_cast<double>(multiply_adds(model)) / 1e9);
  std::printf("  input        %d x %d x %d, %s, crop %s (%s)\n", channels, height, width,
              std::string(c.interpolation).c_str(), str_cat(c.crop_pct).c_str(), std::string(c.crop_mode).c_str());
  std::printf("  classes      %d, from %d features (%s pooling), classifier %s\n", model.num_classes(),
              model.head_hidden_size(), model.global_pool().empty() ? "no" : model.global_pool().c_str(),
              std::string(model.classifier_name()).c_str());
  std::printf("  features    ");
  for (const zoo::FeatureInfo& f : model.feature_info())
    std::printf(" %s %d/%d", f.module.c_str(), f.channels, f.reduction);
  std::printf("\n  settings    ");
  for (const auto& [key, value] : zoo::settings(model.architecture()))
    std::printf(" %s=%s", key.c_str(), value.c_str());
  std::printf("\n");
  for (const zoo::PretrainedCfg& row : zoo::tags_of(model.architecture()))
    std::printf("  weights      %s  %s  %s\n", row.name().c_str(),
                std::string(!row.hf_hub_id.empty() ? row.hf_hub_id
                            : !row.url.empty()     ? row.url
                                                   : "(none published)")
                    .c_str(),
                std::string(row.license).c_str());
}

void run(const Arguments& a) {
  const std::unique_ptr<zoo::ImageModel> model = zoo::create(a.name, a.options);
  if (a.state) std::fputs(zoo::state_lines(*model).c_str(), stdout);
  else if (a.json) std::printf("%s\n", info_json(*model).dump(2).c_str());
  else print(*model);
}

}  // namespace

void add_info(Command app) {
  auto a = std::make_shared<Arguments>();
  Command command = app.add_subcommand("info", "what a model is, from its name alone");
  add_model_name(command, a->name);
  add_create_arguments(command, a->options);
  command.add_flag("--json", a->json, "everything as one JSON object");
  command.add_flag("--state", a->state, "one line for each tensor: name, shape, dtype, p(arameter) or b(uffer)");
  command.callback([a] { run(*a); });
}

}  // namespace fovea::cli
