// SPDX-License-Identifier: Apache-2.0
// engine/graph/compile_like.h — the same model compiled once more, for another size of images: what is packed alike is
// there once.
#pragma once
#include "engine/graph/session.h"

namespace fovea {

/// compile(), but constants whose packed bytes `like` has already are not kept a second time: the new session reads
/// them there, and keeps them alive. On the host; elsewhere nothing is shared. Such a session cannot be saved.
/// constant_bytes() counts what is the new session's own.
Session compile_like(Graph graph, const Target& target, const Session& like);

}  // namespace fovea
