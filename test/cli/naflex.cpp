// SPDX-License-Identifier: Apache-2.0
// test/cli/naflex.cpp — images that keep their aspect ratio: --max-seq-len.
#include <nlohmann/json.hpp>

#include "api/preprocess.h"
#include "data/decode.h"
#include "data/sequence.h"
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "weights_tools/npz.h"
#include "weights_tools/safetensors.h"
#include "zoo/sequence_sessions.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("the tool: classify and features of sequences of patches", "[cli]") {
  const NoGrad no_grad;
  const Scratch scratch;
  const std::string model = "vit_tiny_patch16_224", weights = scratch / "w.safetensors";
  std::vector<std::string> paths, set;
  for (const char* image : {"chelsea.png", "coffee.png", "rocket.jpg"})
    paths.push_back(FOVEA_SOURCE_DIR "/docs/images/" + std::string(image));
  zoo::ModelOptions o{.num_classes = 7, .set = {{"use_naflex", "true"}, {"depth", "2"}, {"embed_dim", "48"}}};
  for (const auto& [key, value] : o.set) set.push_back("--set"), set.push_back(key + "=" + value);
  const auto net = zoo::create(model, o);
  fill_weights(*net);
  write_safetensors(weights, net->state_dict());
  const auto run = [&](std::vector<std::string> args, std::vector<std::string> more) {
    for (const auto* list : {&paths, &set, &more}) args.insert(args.end(), list->begin(), list->end());
    const Outcome out = run_tool({}, args);
    INFO(out.err);
    REQUIRE(out.code == 0);
    return out.out;
  };

  std::vector<data::Patches> all;
  for (const std::string& path : paths)
    all.push_back(data::sequence_transform(data::read_image(path), eval_config(*net), {.max_seq_len = 100}));
  const data::SequenceBatch batch = data::collate(all, 100);
  const zoo::PatchSequence s{.patches = batch.patches, .coords = batch.coords, .valid = batch.valid};
  const Tensor features = zoo::run_sequence(*net, s, true), classes = argmax(zoo::run_sequence(*net, s), 1);

  for (const std::vector<std::string>& how :
       {std::vector<std::string>{}, {"--batch", "3"}, {"--batch", "2", "--eager"}}) {
    std::vector<std::string> more{"--weights", weights, "--max-seq-len", "100", "--num-classes", "7"};
    more.insert(more.end(), how.begin(), how.end());
    std::vector<std::string> save = more;
    save.push_back("-o"), save.push_back(scratch / "f.npz");
    run({"features", model}, save);
    const std::vector<NpzEntry> got = read_npz_entries(Zip::open(MappedFile::open(scratch / "f.npz")));
    REQUIRE(got[0].tensor.shape() == features.shape());
    CHECK(relative_error(values_of(got[0].tensor), values_of(features)) < 1e-5);
    more.push_back("--json");
    const auto said = nlohmann::json::parse(run({"classify", model}, more));
    for (size_t i = 0; i < 3; ++i) CHECK(said.at(i).at("top").at(0).at("index") == classes.data<int64_t>()[i]);
  }
  const Outcome plain = run_tool({}, {"classify", model, paths[0], "--weights", weights, "--max-seq-len", "100"});
  CHECK(plain.code != 0);
  CHECK(plain.err.find("takes no sequences of patches") != std::string::npos);
}
