// SPDX-License-Identifier: Apache-2.0
// cli/settings_file.h — args.yaml: what a command was called with, written and taken over, as timm's scripts do.
#pragma once
#include <map>
#include <string>
#include <vector>

namespace fovea::cli {

class Command;

/// The part of YAML that such files are written in: "key: value" a line, lists in brackets or a line each with "- ",
/// mappings of one level, which give "name=value", texts in quotes or without. Values that are null are left out.
/// Throws Error(format) with the line for anything else.
std::map<std::string, std::vector<std::string>> read_settings(const std::string& path);
/// Gives an option its values unless the command line did. False: there is no such option.
bool give_setting(Command command, const std::string& key, const std::vector<std::string>& values);
/// Gives options that the command line did not: "weight_decay" is --weight-decay. Keys of no option are collected.
std::vector<std::string> apply_settings(Command command, const std::string& path);
/// All options with what they are now; for apply_settings().
std::string settings_text(Command command);

}  // namespace fovea::cli
