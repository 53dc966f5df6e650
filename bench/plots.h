// SPDX-License-Identifier: Apache-2.0
// bench/plots.h — the plots of a profiled model, as SVG elements.
#pragma once
#include <string>
#include <string_view>

#include "bench/result.h"

namespace fovea::bench {

/// Ops of one colour: "conv", "product", "attention", "norm", "pool", "pointwise", "move", "other".
std::string_view kind_of(std::string_view op);
/// The same for people: "convolutions".
std::string_view name_of_kind(std::string_view kind);

std::string kernel_plot(const Result& r);          // the time of each kernel, and what the roofline would leave of it
std::string timeline_plot(const Result& r);        // modules and steps in order
std::string memory_plot(const Result& r);          // the arena over the same time
std::string roofline_plot(const Result& r, const Machine& m);    // products: FLOP a byte, FLOP a second
std::string bandwidth_plot(const Result& r, const Machine& m);   // all steps: bytes, bytes a second

}  // namespace fovea::bench
