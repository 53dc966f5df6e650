// SPDX-License-Identifier: Apache-2.0
// bench/detail.h — what a step does beyond its op and shapes, and what its kernel's name means, in a few words.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/session.h"

namespace fovea::bench {

/// "3x3, stride 2, pad 1, groups 32, + residual, relu": kernel, strides, groups and what was fused into the step.
std::string detail(const StepInfo& s);

/// Steps of one colour. Convolutions are told apart by how they run: "depthwise", "conv1" (1 x 1), "winograd", "conv".
/// Others: "product", "attention", "norm", "pool", "pointwise", "move", "other".
std::string_view kind_of(const StepInfo& s);
/// The same for people: "depthwise convolutions".
std::string_view name_of_kind(std::string_view kind);
/// All kinds, in the order of legends.
std::vector<std::string_view> kinds();

/// What a kernel's name says, "cpu:few avx2": the way of computing in a sentence. "" where the op says it all.
std::string_view explanation_of(std::string_view kernel);

}  // namespace fovea::bench
