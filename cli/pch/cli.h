// SPDX-License-Identifier: Apache-2.0
// cli/pch/cli.h — what most commands include, compiled once.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "engine/pch/engine.h"
#include "zoo/zoo.h"
