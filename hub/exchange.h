// SPDX-License-Identifier: Apache-2.0
// hub/exchange.h — requests as the hub wants them: redirects, tokens, second attempts, and what its refusals mean.
#pragma once
#include <string>

#include "engine/core/error.h"
#include "hub/names.h"
#include "hub/settings.h"
#include "hub/transport.h"

namespace fovea::hub {

/// The token goes to `home` alone, the origin of a URL; nowhere where that is "". Of redirects, `near` follows only
/// those within the origin of the request, as renamed repositories have them. Never from https to http.
struct Exchange {
  Transport& transport;
  const Settings& settings;
  std::string home;

  /// One attempt. The body hears nothing of redirects.
  Reply once(Request request, Body& body, bool near = false) const;
};

bool is_redirect(int status);
/// May another attempt be answered otherwise?
bool is_passing(const Reply& reply);
/// Waits before attempt `n` (from 1), as long as the reply asks for or doubling each time.
void pause(const Settings& settings, int n, const Reply* reply);

/// What to do about it: the URL, and how to bring the file oneself.
Error no_network(const std::string& url, const std::string& why);
/// Of a status that is no success. `what` is the file or the repository.
Error refused(const Reply& reply, const std::string& url, const Settings& settings, const Repo* repo,
              std::string_view file);

}  // namespace fovea::hub
