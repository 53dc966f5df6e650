// SPDX-License-Identifier: Apache-2.0
// test/cli/small_data.cpp — what `fovea` does with few images: heads alone, neighbours, probes, recipes, pages, heat.
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/decode.h"
#include "engine/core/text.h"
#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/support/image_folder.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using fovea::test::Outcome;
using fovea::test::run_tool;
using fovea::test::Scratch;
using nlohmann::json;

namespace {

using Words = std::vector<std::string>;

json result_of(const Outcome& o) {
  INFO(o.err);
  REQUIRE(o.code == 0);
  const size_t at = o.out.find("--result\n");
  REQUIRE(at != o.out.npos);
  return json::parse(o.out.substr(at + 9));
}

// Pictures of three classes, and a network that has seen some of them.
struct Data {
  Data() {
    test::write_image_folder(scratch / "data/train", 3, 16, 40, 1);
    test::write_image_folder(scratch / "data/val", 3, 8, 40, 2);
    result_of(run({"train", scratch / "data", "--img-size", "32", "-b", "8", "--epochs", "4", "--opt", "adamw", "--lr",
                   "0.003", "--warmup-epochs", "0", "--experiment", "seen", "--output", scratch / "out"}));
  }
  Outcome run(Words args, const Words& more = {}) const {
    args.insert(args.begin() + 2, {"--model", "test_resnet", "--threads", "2"});
    args.insert(args.end(), more.begin(), more.end());
    return run_tool(scratch / ".", args);
  }
  Outcome head(const std::string& experiment, const Words& more = {}) const {
    return run({"train", scratch / "data", "--img-size", "32", "--head-only", "--pretrained-path", seen(), "--output",
                scratch / "out", "--experiment", experiment},
               more);
  }
  std::string seen() const { return scratch / "out/seen/last.safetensors"; }
  Scratch scratch;
};

// Nothing in the page asks for anything beyond it.
void want_alone(const std::string& page) {
  CHECK(page.find("http:") == page.npos);
  CHECK(page.find("https:") == page.npos);
  CHECK(page.find("<link") == page.npos);
  for (size_t at = page.find("src="); at != page.npos; at = page.find("src=", at + 1))
    CHECK(page.substr(at, 26) == "src='data:image/png;base64");
}

}  // namespace

TEST_CASE("a head alone is learnt, kept and as good as the model says", "[cli][train][slow]") {
  const Data data;
  const json first = result_of(data.head("head", {"--html", data.scratch / "page.html"}));
  const double top1 = first.at(0).at("validation").at("top1");
  CHECK(top1 > 80);
  const json measured = result_of(data.run({"validate", data.scratch / "data", "--checkpoint",
                                            data.scratch / "out/head/last.safetensors", "--img-size", "32",
                                            "--num-classes", "3"}));
  CHECK(measured.at("top1").get<double>() == Approx(top1).margin(1e-3));

  const Outcome again = data.head("again");
  CHECK(again.err.find("kept from another time") != again.err.npos);
  CHECK(result_of(again) == first);
  const Outcome automatic = data.head("auto", {"--head-l2", "auto", "--val-split", ""});
  CHECK(automatic.err.find("in 5 folds the best of") != automatic.err.npos);
  CHECK(result_of(automatic).at(0).contains("folds"));

  const std::string page = test::read_file(data.scratch / "page.html");
  want_alone(page);
  CHECK(page.find("Who is taken for whom") != page.npos);
  CHECK(page.find("http-equiv") == page.npos);     // it is at its end

  const Outcome random = data.run({"train", data.scratch / "data", "--head-only"});
  CHECK(random.code == 1);
  CHECK(random.err.find("--head-only without weights") != random.err.npos);
  const Outcome both = data.head("both", {"--model-ema"});
  CHECK(both.code == 1);
  CHECK(both.err.find("--model-ema beside --head-only") != both.err.npos);
}

TEST_CASE("neighbours and a probe say how good features are", "[cli][train][slow]") {
  const Data data;
  const Words with{"--checkpoint", data.seen(), "--img-size", "32", "--keep", data.scratch / "kept"};
  const json near = result_of(data.run({"knn", data.scratch / "data", "-k", "1", "5"}, with));
  CHECK(near.at("known") == 48);
  CHECK(near.at("top1_k1").get<double>() > 70);
  CHECK(near.at("top1_k5").get<double>() > 70);
  const json line = result_of(data.run({"probe", data.scratch / "data", "--l2", "0.1", "1", "--folds", "4"}, with));
  CHECK(line.at("folds").size() == 4);
  CHECK(line.at("top1").get<double>() > 70);
  CHECK(std::distance(std::filesystem::directory_iterator(data.scratch / "kept"), {}) == 2);
  const Outcome many = data.run({"knn", data.scratch / "data", "-k", "49"}, with);
  CHECK(many.code == 1);
  CHECK(many.err.find("k=49 neighbours of 48 images") != many.err.npos);
  data.scratch.file("data/train/class0/3.bmp", "no image");
  const Outcome bad = data.run({"knn", data.scratch / "data", "-k", "1"}, with);
  CHECK(result_of(bad).at("known") == 47);
  CHECK_THAT(bad.err, contains_text("class0/3.bmp is not an image") && contains_text("1 images could not be read") &&
                          contains_text("1 of 48 images have no features"));
  const Outcome kept = data.run({"knn", data.scratch / "data", "-k", "1", "47"}, with);
  CHECK(result_of(kept).at("known") == 47);
  CHECK(result_of(kept).at("top1_k1") == result_of(bad).at("top1_k1"));
  CHECK_THAT(kept.err, contains_text("1 of 48 images have no features") && !contains_text("is not an image"));
  CHECK(data.run({"knn", data.scratch / "data", "-k", "48"}, with).code == 1);
  // without it features are the same
  std::filesystem::remove(data.scratch / "data/train/class0/3.bmp");
  CHECK(result_of(data.run({"knn", data.scratch / "data", "-k", "1"}, with)).at("top1_k1") ==
        result_of(bad).at("top1_k1"));
}

TEST_CASE("a recipe goes by the images, says why, and flags win", "[cli][train][slow]") {
  const Scratch scratch;
  test::write_image_folder(scratch / "data/train", 2, 20, 40, 1);
  for (int i = 5; i < 20; ++i) std::filesystem::remove(scratch / str_cat("data/train/class1/", i, ".bmp"));
  test::write_image_folder(scratch / "data/val", 2, 4, 40, 2);
  const Outcome o = run_tool(scratch / ".", {"train", scratch / "data", "--model", "test_resnet", "--stop-epoch", "1",
                                             "--output", scratch / "out", "--experiment", "r", "--scale", "0.9", "1",
                                             "--html", scratch / "page.html"});
  const json result = result_of(o);
  CHECK(o.err.find("recipe: --img-size 96 (images of 40 pixels show no more at 160") != o.err.npos);
  CHECK(o.err.find("recipe: --epochs 150") != o.err.npos);
  CHECK(o.err.find("recipe: --class-weights balanced (there are 4 times as many") != o.err.npos);
  CHECK(o.err.find("recipe: --scale") == o.err.npos);
  CHECK(o.err.find("classes are imbalanced: 20 images of class0, 5 of class1; their losses are weighted") !=
        o.err.npos);
  const std::string kept = test::read_file(scratch / "out/r/args.yaml");
  CHECK(kept.find("epochs: 150\n") != kept.npos);
  CHECK(kept.find("scale:\n- 0.9\n- 1\n") != kept.npos);
  const std::string page = test::read_file(scratch / "page.html");
  want_alone(page);
  for (const char* part : {"Loss", "Accuracy", "Learning rate", "Throughput", "Who is taken for whom", "img-size"})
    CHECK(page.find(part) != page.npos);

  const Outcome timm = run_tool(scratch / ".", {"train", scratch / "data", "--model", "test_resnet", "--epochs", "1",
                                                "-b", "8", "--img-size", "32", "--output", scratch / "out",
                                                "--experiment", "t"});
  CHECK(timm.code == 0);
  CHECK(timm.err.find("recipe:") == timm.err.npos);
  CHECK(timm.err.find("--class-weights balanced lets all classes count alike") != timm.err.npos);
}

TEST_CASE("patience ends a training that grows no better", "[cli][train][slow]") {
  const Scratch scratch;
  test::write_image_folder(scratch / "data/train", 2, 8, 40, 1);
  test::write_image_folder(scratch / "data/val", 2, 4, 40, 2);
  const Outcome o = run_tool(scratch / ".", {"train", scratch / "data", "--model", "test_resnet", "--epochs", "30",
                                             "-b", "8", "--img-size", "32", "--lr", "0", "--min-lr", "0",
                                             "--warmup-epochs", "0", "--patience", "3", "--eval-metric", "top5",
                                             "--output", scratch / "out", "--experiment", "p"});
  CHECK(result_of(o).size() == 4);                 // two classes: one of five is always right
  CHECK(o.err.find("no better for a while: ended after epoch 3") != o.err.npos);
}

TEST_CASE("fovea explain draws where a model looks, and lists what it holds", "[cli][train][slow]") {
  const Data data;
  const std::string image = data.scratch / "data/val/class1/0.bmp";
  const Words model{"explain", "test_resnet", image, "--weights", data.seen(), "--num-classes", "3"};
  const auto ask = [&](Words more) {
    more.insert(more.begin(), model.begin(), model.end());
    return run_tool(data.scratch / ".", more);
  };
  const Outcome drawn = ask({"-o", data.scratch / "heat.png", "--stats"});
  INFO(drawn.err);
  REQUIRE(drawn.code == 0);
  CHECK(drawn.out.find("Grad-CAM of class ") != drawn.out.npos);
  CHECK(drawn.out.find("layer4.0.conv1") != drawn.out.npos);
  const data::Image picture = data::read_image(data.scratch / "heat.png");
  CHECK(picture.width == 2 * 320 + 3 * 8);
  CHECK(picture.height == 320 + 2 * 8);
  const Outcome attention = ask({"-o", data.scratch / "heat.png", "--method", "attention"});
  CHECK(attention.code == 1);
  CHECK(attention.err.find("has no attention maps: it does not attend over tokens") != attention.err.npos);
  CHECK(ask({}).err.find("nothing to do") != std::string::npos);
}
