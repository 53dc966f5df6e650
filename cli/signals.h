// SPDX-License-Identifier: Apache-2.0
// cli/signals.h — what the tool expects of the system that started it: standard streams and signals.
#pragma once

namespace fovea::cli {

/// To be called first. A closed standard stream becomes one that fails, so that no file takes its number. Ctrl-C and
/// other signals that end the tool remove unfinished files before. A write beyond a limit on file sizes is an error
/// instead of the end.
void prepare_process();

/// Writes out what was printed. Throws Error(io), once, when some of it could not be written.
void flush_output();

}  // namespace fovea::cli
