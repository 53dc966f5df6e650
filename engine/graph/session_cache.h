// SPDX-License-Identifier: Apache-2.0
// engine/graph/session_cache.h — a compiled Session as a file: the graph after all passes, and its constants as plans
// want them, so that another process maps them and only makes plans.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "engine/graph/session.h"

namespace fovea {

/// Writes the session to a temporary sibling and renames it to `path`. `key` says all that decides what was compiled;
/// who loads must name the same. Sessions with state, and ops that op_table() lacks, are refused: Error(unsupported).
/// Throws Error(io) with the path.
void save_session(const Session& session, const std::string& path, std::string_view key);

/// The session that was saved under this key by this very build on a processor with the same instruction sets, with
/// its constants mapped from the file. Nothing for a file that is absent, damaged, cut off, foreign or of another key:
/// its graph is inferred and checked anew, and none of its bytes is trusted.
std::optional<Session> load_session(const std::string& path, std::string_view key);

/// What tells builds of this library apart; empty when the linker left no build id, and then nothing is saved.
std::string build_identity();
/// The instruction sets that decide which kernels run.
std::string processor_identity();

}  // namespace fovea
