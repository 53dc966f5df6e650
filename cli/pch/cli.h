// SPDX-License-Identifier: Apache-2.0
// cli/pch/cli.h — what most commands include, compiled once.
#include "cli/common.h"
#include "cli/options.h"
#include "engine/pch/engine.h"
