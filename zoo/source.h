// SPDX-License-Identifier: Apache-2.0
// zoo/source.h — every name by which people call a model or its weights, and where it leads.
#pragma once
#include <string>
#include <string_view>

#include "engine/core/state_dict.h"
#include "hub/client.h"
#include "weights_tools/open_weights.h"
#include "zoo/hub_config.h"

namespace fovea::zoo {

struct ModelSource {
  enum class Kind : uint8_t {
    catalogue,  // "resnet18", "resnet18.a1_in1k"
    hub,        // "hf-hub:org/name", "hf-hub:org/name@revision"
    folder,     // "local-dir:/some/folder"
  } kind = Kind::catalogue;
  std::string id;  // without the scheme
};
/// As timm tells them apart. Throws Error(argument) for a scheme that there is not, and for what looks like a path or a
/// repository without one.
ModelSource parse_source(std::string_view name);

/// The config.json of a source that has one, fetched where it is not here yet; its row says where the weights are.
HubConfig config_of(const ModelSource& source);

/// The file of weights that a name leads to, fetched where it is not here yet: a file, a folder, a URL, "hf-hub:...",
/// "local-dir:...", or a name of the catalogue. Of sharded weights their index. What is none of them stays as it is,
/// and opening it says that there is no such file.
std::string weights_path(const std::string& name, hub::Freshness how = hub::Freshness::cached);
/// The file that a row of the catalogue, or of a config.json, names.
std::string weights_path(const PretrainedCfg& row, hub::Freshness how = hub::Freshness::cached);

/// The tensors behind any name of weights_path().
StateDict open_weights(const std::string& name, const OpenOptions& options = {});

}  // namespace fovea::zoo
