// SPDX-License-Identifier: Apache-2.0
// test/meta/install.cpp — what `meson install` gives: programs are built with it as strangers build them, and run.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "data/decode.h"
#include "engine/core/text.h"
#include "test/api/weights.h"
#include "test/meta/compiler.h"
#include "test/meta/tree.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;
using fovea::meta::lines_of;
namespace fs = std::filesystem;

namespace {

bool shell(const std::string& command) { return std::system(command.c_str()) == 0; }

const fs::path kShared = FOVEA_BUILD_DIR "/packaging/libfovea.so";

// Nothing to install in sanitized builds; nobody to install it without Meson.
bool can_install() { return shell("test -n '" FOVEA_MESON "'") && fs::exists(kShared); }

// What a command prints; the test ends if it fails.
std::string said(const std::string& command) {
  const Scratch folder;
  const std::string out = folder / "out", err = folder / "err";
  const bool good = shell(str_cat("( ", command, " ) > ", out, " 2> ", err));
  INFO(command << "\n" << read_file(out) << read_file(err));
  REQUIRE(good);
  return read_file(out);
}

// Installed once for all tests here.
struct Installed {
  Scratch root;
  std::string prefix, library_folder, flags;       // the latter: variables for pkg-config and the loader

  Installed() {
    said(str_cat(FOVEA_MESON " install --no-rebuild --quiet -C ", FOVEA_BUILD_DIR, " --destdir ", root / "to"));
    for (const auto& e : fs::recursive_directory_iterator(root / "to"))
      if (e.path().filename() == "fovea.pc") library_folder = e.path().parent_path().parent_path().string();
    REQUIRE_FALSE(library_folder.empty());
    for (const auto& e : fs::recursive_directory_iterator(root / "to"))
      if (e.path().filename() == "fovea.h") prefix = e.path().parent_path().parent_path().string();
    flags = str_cat("LD_LIBRARY_PATH=", library_folder, " PKG_CONFIG_PATH=", library_folder, "/pkgconfig ");
  }
  std::string pkg(const std::string& arguments) const {
    return str_cat("$(", flags, "pkg-config --define-variable=prefix=", prefix, " ", arguments, ")");
  }
  static const Installed& once() {
    static const Installed one;
    return one;
  }
};

const std::string kExamples = FOVEA_SOURCE_DIR "/examples/";
constexpr const char* kNet = "test_resnet.r160_in1k";

}  // namespace

TEST_CASE("the shared library shows fovea_* and nothing else, under its name", "[meta][install]") {
  if (!can_install()) return;
  std::set<std::string> shown, published;
  for (const std::string& l : lines_of(said("nm -D --defined-only " + kShared.string()))) {
    std::string name = l.substr(l.rfind(' ') + 1);
    name = name.substr(0, name.find('@'));
    if (name != "FOVEA_1") shown.insert(name);
  }
  for (const std::string& l : lines_of(read_file(FOVEA_SOURCE_DIR "/packaging/fovea.symbols"))) published.insert(l);
  CHECK(shown == published);
  const std::string dynamic = said("readelf -d " + kShared.string());
  CHECK_THAT(dynamic, contains_text("SONAME") && contains_text("[libfovea.so.0]") && contains_text("NODELETE"));
  CHECK(fs::file_size(fs::canonical(kShared)) < (size_t{64} << 20));
}

TEST_CASE("a program in C99 is built with pkg-config, shared and static, and runs", "[meta][install][slow]") {
  if (!can_install() || !data::can_decode()) return;
  const Installed& there = Installed::once();
  const Scratch folder;
  const std::string strict = "-std=c99 -Wall -Wextra -Wpedantic -Werror -Wno-error=unused ", arguments =
      str_cat(" ", kNet, " ", fovea_test::weights_of(kNet), " ", fovea_test::photo("rocket.jpg"));
  const std::string shared = folder / "shared", with_static = folder / "static", archive = folder / "archive";
  said(str_cat("cc ", strict, kExamples, "classify.c ", there.pkg("--cflags --libs fovea"), " -o ", shared));
  said(str_cat("cc ", strict, kExamples, "classify.c ", there.pkg("--cflags --libs --static fovea"),
           " -L" FOVEA_VENDOR_LIBS " -Wl,-rpath," FOVEA_VENDOR_LIBS " -o ", with_static));
  said(str_cat("cc ", strict, kExamples, "classify.c ", there.pkg("--cflags fovea"), " ", there.library_folder,
               "/libfovea.a ", there.pkg("--libs --static fovea-engine"),
               " -L" FOVEA_VENDOR_LIBS " -Wl,-rpath," FOVEA_VENDOR_LIBS " -o ", archive));
  const std::string answer = said(there.flags + shared + arguments);
  CHECK(lines_of(answer).size() == 5);
  CHECK(said(there.flags + with_static + arguments) == answer);
  CHECK(said("env -u LD_LIBRARY_PATH " + archive + arguments) == answer);
  CHECK_THAT(said("ldd " + archive), !contains_text("libfovea"));
  CHECK_FALSE(shell(there.flags + shared + " resnet5O none none 2> " + (folder / "said")));
  CHECK_THAT(read_file(folder / "said"), contains_text("resnet50"));
}

TEST_CASE("a program is built with find_package(fovea), and runs", "[meta][install][slow]") {
  if (!can_install() || !data::can_decode() || !shell("cmake --version > /dev/null 2>&1")) return;
  const Installed& there = Installed::once();
  const Scratch folder;
  folder.file(
      "CMakeLists.txt",
      str_cat("cmake_minimum_required(VERSION 3.16)\nproject(stranger C CXX)\nfind_package(fovea 0.1 REQUIRED)\n"
              "add_executable(shared ",
              kExamples, "classify.c)\ntarget_link_libraries(shared fovea::fovea)\nadd_executable(archive ", kExamples,
              "classify.c)\ntarget_link_directories(archive PRIVATE " FOVEA_VENDOR_LIBS
              ")\ntarget_link_libraries(archive fovea::static)\n"));
  said(str_cat("cmake -S ", folder / ".", " -B ", folder / "build", " -DCMAKE_PREFIX_PATH=", there.prefix));
  said(str_cat("cmake --build ", folder / "build"));
  const std::string arguments =
      str_cat(" ", kNet, " ", fovea_test::weights_of(kNet), " ", fovea_test::photo("rocket.jpg"));
  const std::string answer = said(there.flags + (folder / "build/shared") + arguments);
  CHECK(lines_of(answer).size() == 5);
  CHECK(said("LD_LIBRARY_PATH=" FOVEA_VENDOR_LIBS " " + (folder / "build/archive") + arguments) == answer);
}

TEST_CASE("the examples are built as they say, and run", "[meta][install][slow]") {
  if (!can_install() || !data::can_decode()) return;
  const Installed& there = Installed::once();
  const Scratch folder;
  const std::string weights = fovea_test::weights_of(kNet), photos = FOVEA_SOURCE_DIR "/docs/images",
                    model = str_cat(" ", kNet, " ", weights, " ");
  const auto built = [&](const std::string& name, const std::string& with) {
    const std::string program = folder / name.substr(0, name.find('.'));
    const char* compiler = name.ends_with(".c") ? "cc -std=gnu99" : "c++ -std=c++17 -pthread";
    said(str_cat(compiler, " -Wall -Wextra -Werror ", with, " ", kExamples, name, " ",
                 there.pkg("--cflags --libs fovea"), " -o ", program));
    return there.flags + program;
  };
  CHECK(lines_of(said(built("neighbours.cpp", "") + model + photos)).size() == 3);
  const std::vector<std::string> frames = lines_of(said(built("camera.cpp", "") + model + "12"));
  REQUIRE_FALSE(frames.empty());
  CHECK_THAT(frames.back(), contains_text("12 frames"));
  CHECK(lines_of(said(built("several.cpp", "") + " 2 " + photos + "/coffee.png" + model + model)).size() == 2);
  const std::string embedded =
      said(built("embedded.c", str_cat("-DNAME='\"", kNet, "\"' -DWEIGHTS='\"", weights, "\"'")));
  CHECK_THAT(embedded, contains_text("1000 classes"));
}

TEST_CASE("a head is fine-tuned with the installed engine", "[meta][install][slow]") {
  if (!can_install() || !data::can_decode()) return;
  const Installed& there = Installed::once();
  const Scratch folder;
  for (const char* name : {"cat/chelsea.png", "coffee/coffee.png", "rocket/rocket.jpg"}) {
    fs::create_directories(fs::path(folder / name).parent_path());
    fs::copy(fovea_test::photo(fs::path(name).filename().string()), folder / name);
  }
  fs::create_directory(folder / "photos");
  for (const char* name : {"cat", "coffee", "rocket"}) fs::rename(folder / name, folder / str_cat("photos/", name));
  said(str_cat("c++ -std=c++20 -Wall -Wextra -Wno-missing-field-initializers ", kExamples, "fine_tune.cpp ",
           there.pkg("--cflags --libs fovea-engine"), " -L" FOVEA_VENDOR_LIBS " -Wl,-rpath," FOVEA_VENDOR_LIBS " -o ",
           folder / "fine_tune"));
  const std::string out = folder / "new.safetensors";
  CHECK_THAT(
      said(str_cat(folder / "fine_tune ", kNet, " ", fovea_test::weights_of(kNet), " ", folder / "photos ", out)),
      contains_text("3 photos of 3 classes"));
  CHECK(fs::file_size(out) > 100000);
}

TEST_CASE("the installed headers name one another, and all go together", "[meta][install][slow]") {
  if (!can_install()) return;
  const Installed& there = Installed::once();
  const fs::path include = fs::path(there.prefix) / "include";
  std::string all, unknown;
  size_t headers = 0;
  for (const auto& e : fs::recursive_directory_iterator(include)) {
    if (e.path().extension() != ".h" && e.path().extension() != ".hpp") continue;
    ++headers;
    const std::string name = e.path().lexically_relative(include).generic_string();
    if (name.ends_with(".h")) all += str_cat("#include <", name, ">\n");
    for (const std::string& line : lines_of(read_file(e.path().string()))) {
      const meta::Include i = meta::include_of(line);
      const bool ours = i.quoted || i.name.starts_with("fovea");
      if (ours && !fs::exists(include / i.name)) unknown += str_cat(name, ": ", i.name, "\n");
    }
  }
  INFO(unknown);
  CHECK(unknown == "fovea.hpp: api/fovea.h\n");     // for who has the repository alone
  CHECK(headers > 80);
  const Scratch folder;
  said(str_cat("c++ -std=c++20 -fsyntax-only -Wall -Wextra -Wno-missing-field-initializers ",
           folder.file("all.cpp", all), " ", there.pkg("--cflags fovea-engine")));
}

TEST_CASE("the library is opened and closed again and again, and twice at once", "[meta][install][slow]") {
  if (!can_install()) return;
  const Installed& there = Installed::once();
  const Scratch folder;
  const std::string program = folder.file("reopen.c", R"(
#include <dlfcn.h>
#include <fovea.h>
#include <stdio.h>
typedef const fovea_api* (*get_api)(uint32_t);
static const fovea_api* open_in(const char* path, void** handle) {
  get_api get;
  *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!*handle) return fprintf(stderr, "%s\n", dlerror()), (const fovea_api*)0;
  *(void**)&get = dlsym(*handle, "fovea_get_api");
  return get(FOVEA_API_VERSION);
}
static int use(const fovea_api* api, char** argv) {
  fovea_env* env = 0;
  fovea_model* model = 0;
  fovea_session* session = 0;
  fovea_model_options o;
  static float x[3 * 64 * 64];
  fovea_session_options s;
  fovea_tensor in;
  int good;
  FOVEA_INIT(o);
  FOVEA_INIT(s);
  o.name = argv[3];
  o.weights = argv[4];
  s.height = s.width = 64;
  s.threads = 2;
  memset(&in, 0, sizeof in);
  in.data = x; in.dtype = FOVEA_F32; in.rank = 4;
  in.shape[0] = 1; in.shape[1] = 3; in.shape[2] = in.shape[3] = 64;
  good = !api->env_create(0, &env) && !api->model_load(env, &o, &model) && !api->session_create(model, &s, &session) &&
         !api->session_run(session, &in, 0, 0);
  api->session_free(session);
  api->model_free(model);
  api->env_free(env);
  return good;
}
int main(int argc, char** argv) {
  int i;
  void *one, *two;
  const fovea_api *a, *b;
  (void)argc;
  for (i = 0; i < 100; ++i) {
    a = open_in(argv[1], &one);
    if (!a || !use(a, argv)) return 1;
    dlclose(one);
  }
  a = open_in(argv[1], &one);
  b = open_in(argv[2], &two);
  if (!a || !b || a == b || !use(a, argv) || !use(b, argv)) return 2;
  dlclose(two);
  if (!use(a, argv)) return 3;
  dlclose(one);
  return 0;
}
)");
  said(str_cat("cc -Wall -Wextra ", program, " ", there.pkg("--cflags fovea"), " -ldl -o ", folder / "reopen"));
  const std::string library = there.library_folder + "/libfovea.so.0", copy = folder / "another.so";
  fs::copy_file(fs::canonical(library), copy);
  said(str_cat("LD_LIBRARY_PATH=" FOVEA_VENDOR_LIBS " ", folder / "reopen ", library, " ", copy, " ", kNet, " ",
           fovea_test::weights_of(kNet)));
}
