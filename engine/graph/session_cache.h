// SPDX-License-Identifier: Apache-2.0
// engine/graph/session_cache.h — a compiled Session as a file: the graph after all passes, and its constants as plans
// want them, so that another process maps them and only makes plans.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/session.h"

namespace fovea {

/// Writes the session to a temporary sibling and renames it to `path`. `key` says all that decides what was compiled;
/// who loads must name the same. Only its owner may write the file. Sessions with state, and ops that op_table() lacks,
/// are refused: Error(unsupported). Throws Error(io) with the path. With `base`, which load_base() gave, constants that
/// lie in its file are not written again: that file must be there, unchanged, whenever this one is loaded. Both lie in
/// one folder.
void save_session(const Session& session, const std::string& path, std::string_view key,
                  const Session* base = nullptr);

/// The session that was saved under this key by this very build on a processor with the same instruction sets, with
/// its constants mapped from the file, or brought to the device that it was compiled for. Nothing for a file that is
/// absent, damaged, cut off, foreign, of another key or not trusted_file(): its graph is inferred and checked anew, and
/// none of its bytes is trusted. Who writes into the file later makes every further run throw Error(io), unless the
/// constants are on a device; it may be replaced or deleted.
std::optional<Session> load_session(const std::string& path, std::string_view key);
/// The same whatever its key is, but only where the file has no base itself.
std::optional<Session> load_base(const std::string& path);
/// The files that a session's constants are mapped from. Those of a loaded one: its own, then its base.
std::vector<std::string> files_of(const Session& session);
/// How many bytes of its constants a session would not write with this base.
int64_t bytes_in_base(const Session& session, const Session& base);
/// Is what this descriptor names owned by this user (or root), and can nobody else write it?
bool trusted_file(int fd);

/// What tells builds of this library apart; empty when the linker left no build id, and then nothing is saved.
std::string build_identity();
/// The instruction sets that decide which kernels run.
std::string processor_identity();

}  // namespace fovea
