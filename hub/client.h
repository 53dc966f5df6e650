// SPDX-License-Identifier: Apache-2.0
// hub/client.h — Client: files of repositories and URLs, from the caches where they are there, else from the network.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "hub/names.h"
#include "hub/settings.h"
#include "hub/transport.h"

namespace fovea::hub {

enum class Freshness : uint8_t {
  cached,  // what is in the cache will do
  newest,  // ask whether the revision is still the same commit; the cache serves where nobody answers
};

/// Nothing comes into a cache whose hash was not compared with what the hub says. Not for several threads at once.
class Client {
 public:
  explicit Client(Settings settings = settings_from_environment()) : settings_(std::move(settings)) {}
  Client(Settings settings, std::unique_ptr<Transport> transport)
      : settings_(std::move(settings)),
        transport_(std::move(transport)) {}

  /// The path in the cache's snapshot. Throws Error(not_found) for what the hub does not have, Error(io) where the
  /// network, the disk or the hub says no, Error(format) for wrong contents.
  std::string file(const Repo& repo, std::string_view name, Freshness how = Freshness::cached);
  /// Nothing where the repository is there and has no such file.
  std::optional<std::string> find_file(const Repo& repo, std::string_view name, Freshness how = Freshness::cached);
  /// What the cache alone says.
  std::optional<std::string> cached(const Repo& repo, std::string_view name) const;

  /// A file by its URL, kept as torch.hub keeps it. "name-<8 or more digits>.pth" promises how its SHA-256 begins.
  std::string url(const std::string& url);
  std::optional<std::string> cached_url(const std::string& url) const;

  const Settings& settings() const { return settings_; }

 private:
  Transport& transport();
  Settings settings_;
  std::unique_ptr<Transport> transport_;
};

}  // namespace fovea::hub
