// SPDX-License-Identifier: Apache-2.0
// test/support/main.cpp — Catch2's own main, compiled once (version 2 only; version 3 brings it in a library).
#define CATCH_CONFIG_MAIN
#include "test/support/catch.h"
