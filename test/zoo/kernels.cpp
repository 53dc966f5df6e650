// SPDX-License-Identifier: Apache-2.0
// test/zoo/kernels.cpp — which kernel runs each step of eleven models is recorded in test/golden/kernels. With
// FOVEA_ISA=avx2 and one thread, kernels are the same on every processor that has AVX2, FMA and F16C. A table that
// differs says which steps a change of passes or kernels moved elsewhere; [record_kernels] writes all tables anew.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "engine/graph/calibration.h"
#include "engine/graph/passes/passes.h"
#include "kernels/cpu/isa/processor.h"
#include "test/support/catch.h"
#include "zoo/zoo.h"

namespace fovea::zoo {
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

constexpr const char* kModels[] = {"resnet18",
                                   "resnet50",
                                   "regnety_032",
                                   "densenet121",
                                   "mobilenetv3_large_100",
                                   "efficientnet_b0",
                                   "tf_efficientnetv2_s",
                                   "convnext_tiny",
                                   "vit_small_patch16_224",
                                   "vit_base_patch16_224",
                                   "swin_tiny_patch4_window7_224"};

fs::path file_of(const std::string& model) {
  return fs::path(FOVEA_SOURCE_DIR "/test/golden/kernels") / (model + ".tsv");
}

// Ranges decide no kernel, nor do means; that there are ranges does.
std::shared_ptr<const Calibration> any_ranges(ImageModel& model, const Target& target) {
  const Graph g = before_quantize(trace(model), target);
  const std::vector<std::string> names = value_names(g);
  auto c = std::make_shared<Calibration>();
  for (size_t v = 0; v < names.size(); ++v) {
    const Meta& m = g.values[v].meta;
    if (names[v].empty() || m.dtype != DType::f32 || m.rank() < 2) continue;
    c->values[names[v]] = {-1, 1, {}};
  }
  return c;
}

// "= TYPE", then module, op and kernel of each step.
Lines lines_of(const std::string& name) {
  Lines lines;
  for (const char* type : {"f32", "bf16", "int8"}) {
    const auto model = create(name);
    for (const NamedParameter& p : model->named_state()) p.tensor() = zeros_of(p.tensor().meta());
    Target target{.threads = 1};
    if (std::string_view(type) == "bf16") target.dtype = DType::bf16;
    if (std::string_view(type) == "int8") target.calibration = any_ranges(*model, target);
    lines.push_back(str_cat("= ", type));
    const Session s = compile(*model, {.target = target, .consume = true});
    for (const StepInfo& i : s.steps()) lines.push_back(str_cat(i.scope, "\t", i.op, "\t", i.plan));
  }
  return lines;
}

Lines recorded(const std::string& model) {
  Lines lines;
  std::ifstream file(file_of(model));
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// False where kernels would be others than the recorded ones.
bool avx2_alone() {
  return kernels::cpu::processor().name == std::string_view("avx2");
}

}  // namespace

TEST_CASE("each step is run by the kernel that was recorded", "[.][kernels]") {
  if (!avx2_alone()) FAIL("FOVEA_ISA=avx2, and a processor that has it, are needed here");
  const char* model = GENERATE(from_range(std::begin(kModels), std::end(kModels)));
  if (!is_model(model)) return;                    // of a family that was not built in
  INFO(model);
  const Lines now = lines_of(model), before = recorded(model);
  CHECK(now.size() == before.size());
  for (size_t i = 0; i < std::min(now.size(), before.size()); ++i) CHECK(now[i] == before[i]);
}

TEST_CASE("the kernels of each step are recorded", "[.][record_kernels]") {
  REQUIRE(avx2_alone());
  for (const char* model : kModels) {
    std::ofstream file(file_of(model));
    for (const std::string& line : lines_of(model)) file << line << '\n';
    CHECK(file.flush());
  }
}

}  // namespace fovea::zoo
