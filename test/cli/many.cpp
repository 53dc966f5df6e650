// SPDX-License-Identifier: Apache-2.0
// test/cli/many.cpp — commands over many images: folders, lists, batches, and images that cannot be read among them.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/decode.h"
#include "test/cli/tool.h"
#include "test/support/allocations.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "weights_tools/npz.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const std::string kImages = FOVEA_SOURCE_DIR "/docs/images/";
const std::string kModel = "test_efficientnet";

// A folder to stand in, with weights and copies of photos.
struct Scene {
  Scratch scratch;
  Scene() {
    const std::unique_ptr<zoo::ImageModel> model = zoo::create(kModel);
    fill_weights(*model);
    write_safetensors(scratch / "w.safetensors", model->state_dict());
  }
  void photo(const std::string& path, const std::string& of = "rocket.jpg") const {
    fs::create_directories(fs::path(scratch / path).parent_path());
    fs::copy(kImages + of, scratch / path);
  }
  void broken(const std::string& path) const {
    fs::create_directories(fs::path(scratch / path).parent_path());
    scratch.file(path, read_file(kImages + "rocket.jpg").substr(0, 9000));
  }
  Outcome run(std::vector<std::string> args, Around around = {}) const {
    args.insert(args.begin() + 1, kModel);
    args.insert(args.end(), {"--weights", "w.safetensors"});
    around.folder = scratch / "";
    return run_tool_in(around, args);
  }
  Outcome features(std::vector<std::string> args) const {
    args.insert(args.begin(), "features");
    args.insert(args.end(), {"-o", "o.npz"});
    return run(args);
  }
  std::vector<std::string> rows() const {
    for (const NpzEntry& e : read_npz_entries(Zip::open(MappedFile::open(scratch / "o.npz"))))
      if (e.name == "paths") return e.texts;
    return {};
  }
};

std::vector<std::string> images_of(const json& report) {
  std::vector<std::string> all;
  for (const json& entry : report) all.push_back(entry.at("image"));
  return all;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("the tool: one image among others that cannot be read", "[cli][many]") {
  const Scene scene;
  scene.photo("p/1.jpg");
  scene.photo("p/3.png", "coffee.png");
  scene.broken("p/2.jpg");
  const Names args{"classify", "p/1.jpg", "p/2.jpg", "none.jpg", "p/3.png"};
  const auto with = [&](const Names& more) {
    Names all = args;
    all.insert(all.end(), more.begin(), more.end());
    return scene.run(all);
  };
  for (const Names& how : {Names{"--json"}, {"--json", "--batch", "3"}, {"--json", "--eager", "--batch", "9"}}) {
    const Outcome o = with(how);
    CHECK(o.code == 1);
    const json report = json::parse(o.out);
    REQUIRE(images_of(report) == Names{"p/1.jpg", "p/2.jpg", "none.jpg", "p/3.png"});
    CHECK(report[0].contains("top"));
    CHECK_THAT(report[1].at("error").get<std::string>(), contains_text("p/2.jpg is a truncated JPEG"));
    CHECK_FALSE(report[1].contains("top"));
    CHECK_THAT(report[2].at("error").get<std::string>(), contains_text("No such file"));
    CHECK(report[3].contains("top"));
    CHECK_THAT(o.err, contains_text("fovea: p/2.jpg is a truncated JPEG"));
    CHECK_THAT(o.err, contains_text("fovea: cannot read image none.jpg"));
    CHECK_THAT(o.err, contains_text("fovea: 2 of 4 images could not be read\n"));
  }
  const Outcome text = with({}), csv = with({"--csv", "--topk", "2"});
  CHECK(text.code == 1);
  CHECK_THAT(text.out, contains_text("p/3.png  ("));
  CHECK(csv.code == 1);
  CHECK(std::count(csv.out.begin(), csv.out.end(), '\n') == 1 + 2 * 2);
  CHECK(csv.out.starts_with("image,rank,index,label,prob\n\"p/1.jpg\",1,"));

  const Outcome strict = with({"--json", "--strict"});  // what was answered is still a whole list
  CHECK(strict.code == 1);
  CHECK(images_of(json::parse(strict.out)) == Names{"p/1.jpg"});
  CHECK_THAT(strict.err, contains_text("p/2.jpg") && !contains_text("none.jpg"));

  CHECK(scene.features({"p", "none.jpg"}).code == 1);
  CHECK(scene.rows() == Names{"p/1.jpg", "p/3.png"});
  fs::remove(scene.scratch / "o.npz");
  CHECK(scene.features({"p", "--strict", "--batch", "3"}).code == 1);
  CHECK_FALSE(fs::exists(scene.scratch / "o.npz"));

  const Names quantize{"quantize", "--images", "p", "--crops", "4", "--compare", "2", "-o", "c.json"};
  const Outcome passed = scene.run(quantize);
  CHECK(passed.code == 1);
  CHECK_THAT(passed.out, contains_text("4 crops of 2 images") && contains_text(" of 2)"));
  CHECK_THAT(passed.err, contains_text("p/2.jpg") && contains_text("1 of 3 images could not be read"));
  CHECK(fs::exists(scene.scratch / "c.json"));
}

TEST_CASE("the tool: what folders hold beside images", "[cli][many]") {
  const Scene scene;
  scene.photo("p/10.jpg");
  scene.photo("p/9.JPG");
  scene.photo("p/sub/deep/1.jpg");
  scene.photo("elsewhere/e.jpg");
  for (const char* name : {"p/.DS_Store", "p/._9.JPG", "p/Thumbs.db", "p/sub/notes.txt", "p/.hidden.jpg"})
    scene.scratch.file(name, "no image");
  fs::create_directories(scene.scratch / "p/.thumbnails");
  scene.photo("p/.thumbnails/t.jpg");
  REQUIRE(::mkfifo((scene.scratch / "p/pipe.jpg").c_str(), 0600) == 0);
  fs::create_directory_symlink(".", scene.scratch / "p/again");  // loops, and one more way to a folder
  fs::create_directory_symlink("../..", scene.scratch / "p/sub/up");
  fs::create_directory_symlink("sub", scene.scratch / "p/a");
  fs::create_directory_symlink("../elsewhere", scene.scratch / "p/outside");
  fs::create_symlink("itself", scene.scratch / "p/itself");
  const Names all{"p/9.JPG", "p/10.jpg", "p/outside/e.jpg", "p/sub/deep/1.jpg"};

  const Outcome o = scene.features({"p"});
  INFO(o.err);
  CHECK(o.code == 0);
  CHECK(scene.rows() == all);
  CHECK_THAT(o.err, contains_text("fovea: p: 9 files left out: 4 hidden (._9.JPG, .DS_Store, .hidden.jpg, ...), 1 no "
                                  "regular file (pipe.jpg), 4 not an image by its name ("));
  CHECK(scene.features({"p", "--quiet"}).err.empty());
  const Outcome classified = scene.run({"classify", "p", "--json"});
  CHECK(classified.code == 0);
  CHECK(images_of(json::parse(classified.out)) == all);
  const Outcome found = scene.run({"quantize", "--images", "p", "--crops", "4", "--compare", "0", "-o", "c.json"});
  CHECK(found.code == 0);
  CHECK_THAT(found.out, contains_text("4 crops of 4 images"));

  fs::create_directory_symlink("nowhere", scene.scratch / "p/gone.jpg");  // an image that cannot be read
  CHECK(scene.features({"p"}).code == 1);
  CHECK(scene.rows() == all);
  fs::create_directory(scene.scratch / "empty");
  const Outcome none = scene.features({"empty"}), some = scene.features({"empty", "p/9.JPG"});
  CHECK(none.code == 1);
  CHECK_THAT(none.err, contains_text("no images under empty") && contains_text(".webp"));
  CHECK(some.code == 1);
  CHECK_THAT(some.err, contains_text("no images under empty"));
  CHECK(scene.rows() == Names{"p/9.JPG"});
}

TEST_CASE("the tool: images from standard input and from lists", "[cli][many]") {
  const Scene scene;
  scene.photo("1.jpg");
  scene.photo("p/2.jpg");
  scene.photo("with\nline.png", "coffee.png");
  const auto top = [](const Outcome& o) { return json::parse(o.out).at(0).at("top"); };
  const Outcome piped = scene.run({"classify", "-", "--json"}, {.in = kImages + "rocket.jpg"});
  INFO(piped.err);
  REQUIRE(piped.code == 0);
  CHECK(images_of(json::parse(piped.out)) == Names{"-"});
  CHECK(top(piped) == top(scene.run({"classify", "1.jpg", "--json"})));
  CHECK_THAT(scene.run({"classify", "-"}).err, contains_text("standard input: it is empty"));
  CHECK_THAT(scene.run({"classify", "-"}, {.in = scene.scratch / "w.safetensors"}).err,
             contains_text("standard input is not an image"));

  const std::string lines = scene.scratch.file("lines", "1.jpg\r\n\np\n"),
                    zeros = scene.scratch.file("zeros", std::string("with\nline.png\0p\0", 16));
  const auto listed = [&](const Names& args, const Around& around = {}) {
    const Outcome o = scene.run(args, around);
    INFO(o.err);
    REQUIRE(o.code == 0);
    return images_of(json::parse(o.out));
  };
  CHECK(listed({"classify", "--list", "lines", "--json"}) == Names{"1.jpg", "p/2.jpg"});
  CHECK(listed({"classify", "1.jpg", "--list", "-", "--json"}, {.in = zeros}) ==
        Names{"1.jpg", "with\nline.png", "p/2.jpg"});
  CHECK(scene.run({"classify", "-", "--list", "-"}, {.in = lines}).code == 1);
  CHECK_THAT(scene.run({"classify", "--list", "-"}).err, contains_text("names no images"));
  CHECK_THAT(scene.run({"classify", "--list", "nothing"}).err, contains_text("cannot read nothing: No such file"));
  CHECK_THAT(scene.run({"classify"}).err, contains_text("no images were given"));
}

TEST_CASE("the tool: images in batches give what they give alone", "[cli][many]") {
  const Scene scene;
  for (int i = 0; i < 7; ++i)
    scene.photo(str_cat("p/", i, ".png"), i % 3 ? i % 3 == 1 ? "coffee.png" : "chelsea.png" : "rocket.jpg");
  for (const char* threads : {"1", "3"}) {
    const auto run = [&](Names args) {
      args.insert(args.end(), {"--threads", threads});
      const Outcome o = scene.run(args);
      INFO(o.err);
      REQUIRE(o.code == 0);
      return o.out;
    };
    const std::string alone = run({"classify", "p", "--csv"});
    for (const char* batch : {"2", "3", "100"}) CHECK(run({"classify", "p", "--csv", "--batch", batch}) == alone);
    run({"features", "p", "--out-indices", "1,-1", "-o", "alone.npz"});
    run({"features", "p", "--out-indices", "1,-1", "-o", "batch.npz", "--batch", "4"});
    CHECK(read_file(scene.scratch / "alone.npz") == read_file(scene.scratch / "batch.npz"));
  }
}

TEST_CASE("the tool: JSON of names that are no text", "[cli][many]") {
  const Scene scene;
  const std::string odd = "latin1_\xe4 \"quoted\" \\ caf\xc3\xa9 \x1b[31m.jpg";
  scene.photo(odd);
  const Outcome o = scene.run({"classify", odd, "none\xff.jpg", "--json", "--topk", "1"});
  CHECK(o.code == 1);
  // as Python's os.fsdecode() and json.dumps() write them
  CHECK_THAT(o.out, contains_text(R"("image": "latin1_\udce4 \"quoted\" \\ café \u001b[31m.jpg", "top": [{)"));
  CHECK_THAT(o.out, contains_text(R"("image": "none\udcff.jpg", "error": )"));
  REQUIRE(scene.features({odd}).code == 0);
  CHECK(scene.rows() == Names{odd});
}

TEST_CASE("the tool: memory does not grow with the number of images", "[cli][many]") {
  if (!allocations_are_counted()) return;          // sanitizers keep what is freed
  const Scene scene;
  scene.photo("1.png", "chelsea.png");
  const auto peak = [&](int images) {
    Names args{"features", "--out-indices", "0,1", "-o", "o.npz", "--batch", "4", "--quiet"};
    for (int i = 0; i < images; ++i) args.emplace_back("1.png");
    const Outcome o = scene.run(args);
    REQUIRE(o.code == 0);
    return o.peak_kb;
  };
  const int64_t few = peak(8), many = peak(60);  // of 800 kB each
  INFO(few << " kB, " << many << " kB; " << fs::file_size(scene.scratch / "o.npz") << " bytes written");
  CHECK(fs::file_size(scene.scratch / "o.npz") > 30'000'000);
  CHECK(many < few + 10'000);
}

TEST_CASE("the tool: progress is for terminals and for long runs", "[cli][many]") {
  const Scene scene;
  scene.photo("p/1.jpg");
  scene.photo("p/2.jpg");
  const Names args{"classify", "p", "--json", "--labels", "none"};
  CHECK_THAT(scene.run(args).err, !contains_text("of 2 images"));
  const Outcome shown = scene.run(args, {.terminal = true});
  CHECK(shown.code == 0);
  CHECK_THAT(shown.err, contains_text("classify: 0 of 2 images"));
  CHECK(shown.err.ends_with("\r\x1b[K"));
  CHECK_THAT(scene.run({"classify", "p", "--json", "--quiet"}, {.terminal = true}).err, !contains_text("of 2 images"));
  const Names quantize{"quantize", "--images", "p", "--crops", "3", "--compare", "2", "-o", "c.json"};
  const Outcome steps = scene.run(quantize, {.terminal = true});
  for (const char* part : {"0 of 3 crops", "values measured", "0 of 2 crops compared"})
    CHECK_THAT(steps.err, contains_text(part));
}
