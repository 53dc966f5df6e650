// SPDX-License-Identifier: Apache-2.0
// test/real/lite.cpp — real ImageNet weights on real photos: file to crop byte for byte, logits and top five as timm's.
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "api/preprocess.h"
#include "data/decode.h"
#include "data/labels.h"
#include "engine/autograd/autograd.h"
#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/sha256.h"
#include "zoo/zoo.h"

using namespace fovea;

namespace {

void check_logits(const nlohmann::json& recorded, const Tensor& logits) {
  const std::span<const float> values = logits.data<float>();
  const auto& samples = recorded.at("logits");
  const double absmax = recorded.at("logits_absmax");
  for (size_t i = 0; i < samples.size(); ++i)
    CHECK(static_cast<double>(values[i * (values.size() - 1) / (samples.size() - 1)]) ==
          Approx(samples[i].get<double>()).margin(1e-4 * absmax));
  const Tensor probs = softmax(logits, 1);
  for (const auto& top : recorded.at("top5")) {
    const int index = top.at("index");
    CHECK(static_cast<double>(probs.data<float>()[static_cast<size_t>(index)]) ==
          Approx(top.at("prob").get<double>()).margin(1e-4));
    CHECK(data::label(index) == top.at("label").get<std::string>());
  }
  CHECK(argmax(logits, 1).data<int64_t>()[0] == recorded.at("top5")[0].at("index").get<int64_t>());
}

}  // namespace

TEST_CASE("EfficientNet-Lite sees in photos what timm sees", "[.real]") {
  const char* folder = std::getenv("FOVEA_LITE_WEIGHTS");
  REQUIRE(folder != nullptr);
  std::ifstream file(FOVEA_SOURCE_DIR "/test/golden/real/lite.json");
  const nlohmann::json all = nlohmann::json::parse(file);
  std::map<std::string, Session> sessions;
  std::map<std::string, std::unique_ptr<zoo::ImageModel>> models;
  for (const nlohmann::json& r : all) {
    const std::string name = r.at("model"), photo = r.at("image");
    INFO(name << " on " << photo);
    if (!models.contains(name)) {
      std::unique_ptr<zoo::ImageModel> m = zoo::create(name);
      zoo::load_weights(*m, std::string(folder) + "/lite" + name.back() + ".safetensors");
      sessions[name] = zoo::compile(*m);
      models[name] = std::move(m);
    }
    const data::Image image = data::read_image(std::string(FOVEA_SOURCE_DIR "/docs/images/") + photo);
    const data::EvalConfig config = eval_config(*models[name]);
    CHECK(test::sha256(data::eval_crop(image, config).pixels) == r.at("crop_sha256").get<std::string>());
    const Tensor input = data::eval_transform(image, config);
    check_logits(r, sessions[name].run(input));
    const NoGrad no_grad;
    check_logits(r, contiguous((*models[name])(input)));
  }
}
