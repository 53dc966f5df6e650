// SPDX-License-Identifier: Apache-2.0
// test/support/catch.h — the only place that names Catch2, so that version 2 and version 3 both do.
#pragma once
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
inline auto contains_text(const std::string& text) { return Catch::Matchers::ContainsSubstring(text); }
#else
#include <catch2/catch.hpp>
inline auto contains_text(const std::string& text) { return Catch::Contains(text); }
#endif
