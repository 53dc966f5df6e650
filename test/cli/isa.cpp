// SPDX-License-Identifier: Apache-2.0
// test/cli/isa.cpp — FOVEA_ISA limits what kernels ask of the processor, and what the plan cache may answer with.
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;

namespace {

// The names of the kernels that run a model, one after the other.
std::string kernels_under(const std::string& setting, const std::string& model, const std::string& dtype) {
  const Outcome o = run_tool({}, {"bench", model, "--repeat", "1", "--threads", "1", "--dtype", dtype, "--per-op",
                                  "--json"}, {setting});
  INFO(o.err);
  REQUIRE(o.code == 0);
  const json models = json::parse(o.out);
  std::string names;
  for (const json& s : models[0].at("steps")) names += s.at("kernel").get<std::string>() + "; ";
  return names;
}

}  // namespace

TEST_CASE("the tool: FOVEA_ISA keeps kernels of higher classes away", "[cli][isa]") {
  for (const char* dtype : {"f32", "bf16"})
    for (const char* model : {"test_efficientnet", "test_vit"}) {
      const std::string avx2 = kernels_under("FOVEA_ISA=avx2", model, dtype);
      const std::string sse2 = kernels_under("FOVEA_ISA=sse2", model, dtype);
      INFO(model << " in " << dtype << "\n" << avx2 << "\n" << sse2);
      CHECK(sse2.find("sse2") != std::string::npos);
      for (const char* higher : {"avx512", "amx"}) CHECK(avx2.find(higher) == std::string::npos);
      for (const char* higher : {"avx2", "avx512", "amx"}) CHECK(sse2.find(higher) == std::string::npos);
    }
  CHECK_FALSE(kernels_under("FOVEA_ISA=", "test_vit", "f32").empty());             // as if it were not set
}

TEST_CASE("the tool: where 8-bit integers run in plain loops, it says so", "[cli][isa]") {
  for (const char* isa : {"sse2", "avx2"}) {
    const Outcome o = run_tool({}, {"bench", "test_resnet", "--repeat", "1", "--dtype", "int8"},
                               {std::string("FOVEA_ISA=") + isa});
    INFO(isa << ": " << o.err);
    REQUIRE(o.code == 0);
    const bool slow = o.err.find("note: 8-bit integers have no fast kernels") != std::string::npos;
    if (std::string(isa) == "sse2") CHECK(slow);
    else CHECK(slow == (kernels_under("FOVEA_ISA=avx2", "test_resnet", "int8").find("plain") != std::string::npos));
  }
}

TEST_CASE("the tool: a FOVEA_ISA that names no class is refused", "[cli][isa]") {
  for (const char* value : {"sse4", "AVX2", "avx512_vnni", "native"}) {
    const Outcome o = run_tool({}, {"bench", "test_vit", "--repeat", "1"}, {std::string("FOVEA_ISA=") + value});
    INFO(o.err);
    CHECK(o.code == 1);
    for (const std::string& text : {std::string("FOVEA_ISA is '") + value, std::string("sse2, avx2 or avx512")})
      CHECK(o.err.find(text) != std::string::npos);
  }
}

TEST_CASE("the tool: the plan cache keeps the classes of FOVEA_ISA apart", "[cli][isa][plan_cache]") {
  const Scratch folder;
  const std::string weights = folder / "w.safetensors", cache = "FOVEA_CACHE=" + (folder / "plans");
  auto model = zoo::create("test_resnet");
  model->materialise();
  write_safetensors(weights, model->state_dict());
  const std::vector<std::string> args{"bench", "test_resnet", "--once", "--cache", "--weights", weights};
  for (const bool again : {false, true})
    for (const char* isa : {"sse2", "avx2", "avx512"}) {
      const Outcome o = run_tool({}, args, {cache, std::string("FOVEA_ISA=") + isa});
      INFO(isa << (again ? " again: " : ": ") << o.err);
      REQUIRE(o.code == 0);
      CHECK(json::parse(o.out).at("from_cache") == again);
    }
  const std::filesystem::directory_iterator files(folder / "plans");
  CHECK(std::count_if(begin(files), end(files), [](const auto& f) { return f.path().extension() == ".plan"; }) == 3);
}
