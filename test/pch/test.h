// SPDX-License-Identifier: Apache-2.0
// test/pch/test.h — what most tests include, compiled once.
#include <nlohmann/json.hpp>

#include "nn/pch/nn.h"
#include "test/support/catch.h"
#include "zoo/zoo.h"
