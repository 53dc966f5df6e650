// SPDX-License-Identifier: Apache-2.0
#include "zoo/hub_folder.h"

#include <filesystem>

#include "engine/core/error.h"
#include "weights_tools/atomic_file.h"
#include "weights_tools/safetensors.h"
#include "zoo/hub_config.h"
#include "zoo/overlay.h"
#include "zoo/registry.h"

namespace fovea::zoo {
namespace {

// The model as it is, not as the weights were that it came from.
PretrainedCfg row_of(const ImageModel& model, const HubFolderOptions& o) {
  PretrainedCfg row = model.pretrained_cfg();
  const bool other_size = row.input_size != model.input_size();
  row.input_size = model.input_size();
  row.num_classes = model.num_classes();
  row.classifier = model.num_classes() > 0 && row.classifier.empty() ? model.classifier_name() : row.classifier;
  if (other_size) row.test_input_size = {}, row.test_pool_size = row.pool_size = {}, row.test_crop_pct = 0;
  if (!o.license.empty()) read_setting(o.license, row.license);
  row.url = row.file = row.hf_hub_id = row.hf_hub_filename = {};
  return row;
}

std::vector<std::pair<std::string, std::string>> arguments_of(const ImageModel& model, const ModelOptions& o) {
  std::vector<std::pair<std::string, std::string>> args;
  for (const auto& [name, value] : o.set)
    if (!name.starts_with("pretrained_cfg.") && !is_field(name))
      throw Error(Error::Kind::unsupported, cat("a config.json cannot say ", name, " = ", value),
                  "timm has no argument of that name: models of changed settings stay fovea's");
  if (o.in_chans) args.emplace_back("in_chans", cat(*o.in_chans));
  if (o.global_pool) args.emplace_back("global_pool", *o.global_pool);
  if (o.output_stride) args.emplace_back("output_stride", cat(*o.output_stride));
  const PretrainedCfg& row = model.pretrained_cfg();
  const std::array<int, 3> size = model.input_size();
  if (model.family().accepts.img_size && !row.fixed_input_size &&
      (size[1] != row.input_size[1] || size[2] != row.input_size[2]))
    args.emplace_back("img_size", cat(size[1], ",", size[2]));
  return args;
}

std::string card_of(const ImageModel& model, const PretrainedCfg& row) {
  const std::string name = model.full_name(), license = row.license.empty() ? "unknown" : std::string(row.license);
  std::string text =
      cat("---\ntags:\n- image-classification\n- timm\nlibrary_name: timm\nlicense: ", license, "\n---\n");
  text += cat("# ", name, "\n\nAn image model of the architecture ", model.architecture(), ", ");
  text += row.num_classes > 0 ? cat("for ", row.num_classes, " classes") : std::string("without a classifier");
  text += cat(", on images of ", row.input_size[1], " x ", row.input_size[2], ".\n\n");
  text += "| | |\n|---|---|\n";
  text += cat("| parameters | ", cat(static_cast<double>(model.parameter_count() / 1000) / 1000), " M |\n");
  text += cat("| resize, crop | ", row.interpolation, ", ", cat(row.crop_pct), " (", row.crop_mode, ") |\n");
  text += cat("| license | ", license, " |\n");
  if (!row.origin_url.empty()) text += cat("| origin | ", row.origin_url, " |\n");
  if (!row.paper_ids.empty()) text += cat("| paper | ", row.paper_ids, " |\n");
  text += "\n```python\nimport timm\nmodel = timm.create_model('local-dir:.', pretrained=True).eval()\n```\n\n";
  text += "```sh\nfovea classify local-dir:. photo.jpg\n```\n";
  return text;
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path.string());
  file.write(text);
  file.commit();
}

}  // namespace

void write_hub_folder(ImageModel& model, const std::string& folder, const HubFolderOptions& o) {
  namespace fs = std::filesystem;
  if (!o.label_names.empty() && static_cast<int>(o.label_names.size()) != model.num_classes())
    throw Error(Error::Kind::argument,
                cat(o.label_names.size(), " labels for a model of ", model.num_classes(), " classes"));
  HubConfigParts parts{.row = row_of(model, o),
                       .num_features = model.num_features(),
                       .global_pool = model.global_pool(),
                       .model_args = arguments_of(model, o.made_with),
                       .label_names = o.label_names,
                       .label_descriptions = o.label_descriptions};
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(Error::Kind::io, cat("cannot make the folder ", folder, ": ", error.message()));
  write_safetensors((fs::path(folder) / "model.safetensors").string(), model.state_dict());
  write_text(fs::path(folder) / "config.json", write_hub_config(parts));
  if (const fs::path card = fs::path(folder) / "README.md"; !fs::exists(card, error))  // somebody may have written one
    write_text(card, card_of(model, parts.row));
}

}  // namespace fovea::zoo
