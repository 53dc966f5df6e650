// SPDX-License-Identifier: Apache-2.0
// hub/settings.h — where published weights are had from and kept: what the environment says, as huggingface_hub and
// torch.hub read it.
#pragma once
#include <cstdint>
#include <string>

namespace fovea::hub {

struct Settings {
  std::string cache;        // huggingface_hub's: HF_HUB_CACHE, else hub in HF_HOME; empty: there is no home
  std::string checkpoints;  // torch.hub's: hub/checkpoints in TORCH_HOME
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT, without a slash at its end
  std::string token;                                // HF_TOKEN, else the file of `hf auth login`; empty: none
  bool offline = false;                             // HF_HUB_OFFLINE
  bool links = true;                                // false: HF_HUB_DISABLE_SYMLINKS
  std::string agent = "fovea";                      // what servers are told; HF_HUB_USER_AGENT_ORIGIN is added
  int connect_ms = 10'000, stall_ms = 10'000;       // HF_HUB_ETAG_TIMEOUT and HF_HUB_DOWNLOAD_TIMEOUT, in seconds
  int attempts = 5;                                 // of a request before anything new has come
  int first_pause_ms = 1'000;                       // between attempts; it doubles
  int longest_pause_ms = 60'000;                    // also of what a server asks for
  int lock_patience_ms = 60'000;                    // how long another process may hold a lock without progress
};
Settings settings_from_environment();
bool wants_progress();  // unless HF_HUB_DISABLE_PROGRESS_BARS says otherwise

}  // namespace fovea::hub
