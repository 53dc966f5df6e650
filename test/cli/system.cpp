// SPDX-License-Identifier: Apache-2.0
// test/cli/system.cpp — the tool where the system says no: full disks, limits, closed streams, and signals.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "test/cli/tool.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

using namespace fovea;
using namespace fovea::test;
namespace fs = std::filesystem;

namespace {

const std::string kPhoto = FOVEA_SOURCE_DIR "/docs/images/rocket.jpg";
const std::string kModel = "test_efficientnet";
using Names = std::vector<std::string>;

struct Weights {
  Scratch scratch;
  std::string path = scratch / "w.safetensors", cache = str_cat("FOVEA_CACHE=", scratch / "plans");
  Weights() {
    const std::unique_ptr<zoo::ImageModel> model = zoo::create(kModel);
    fill_weights(*model);
    write_safetensors(path, model->state_dict());
  }
  Names classify(const Names& more) const {
    Names args{"classify", kModel, kPhoto, "--weights", path, "--labels", "none"};
    args.insert(args.end(), more.begin(), more.end());
    return args;
  }
};

// Waits until the tool has opened this pipe as an image, and lets it wait for the bytes.
class Pipe {
 public:
  explicit Pipe(std::string path) : path_(std::move(path)) { REQUIRE(::mkfifo(path_.c_str(), 0600) == 0); }
  ~Pipe() { close(); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void wait_for_reader() { end_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC); }
  void close() {
    if (end_ >= 0) ::close(std::exchange(end_, -1));
  }

 private:
  std::string path_;
  int end_ = -1;
};

}  // namespace

TEST_CASE("the tool: output that cannot be written", "[cli][system]") {
  const Weights w;
  for (const Names& args : {Names{"models"},
                            {"models", "--json"},
                            {"info", kModel, "--json"},
                            {"weights", w.path},
                            {"--help"},
                            {"classify", "--help"},
                            {"--version"},
                            w.classify({}),
                            w.classify({"--json"}),
                            w.classify({"--csv"}),
                            {"bench", "test_resnet", "--repeat", "1", "--json"}}) {
    const Outcome o = run_tool_in(Around{.out = "/dev/full"}, args);
    INFO(args[0] << ": " << o.err);
    CHECK(o.code == 1);
    const size_t told = o.err.find("fovea: cannot write to standard output");
    CHECK(told != std::string::npos);
    CHECK(o.err.rfind("fovea: cannot") == told);   // once
    CHECK(run_tool_in(Around{.closed = true}, args).code == 1);  // and nothing takes the stream's number
  }
  // one that writes nothing there needs none
  CHECK(run_tool_in(Around{.folder = w.scratch / "", .closed = true},
                 {"features", kModel, kPhoto, "--weights", w.path, "-o", "o.csv", "--threads", "1"})
            .code == 0);
  CHECK(read_file(w.scratch / "o.csv").starts_with("path,f0,"));
}

TEST_CASE("the tool: a limit on the size of files", "[cli][system]") {
  const Weights w;
  const Scratch folder;
  const Around limited{
      .folder = folder / "", .settings = {str_cat("FOVEA_CACHE=", folder / "cache")}, .most_file_bytes = 100 << 10};
  const Outcome answer = run_tool_in(limited, w.classify({"--json"}));
  INFO(answer.err);
  CHECK(answer.code == 0);  // only the plan cannot be kept
  CHECK(nlohmann::json::parse(answer.out).size() == 1);
  for (const auto& e : fs::recursive_directory_iterator(folder / "cache")) CHECK(e.path().extension() != ".tmp");
  fs::remove_all(folder / "cache");
  for (const Names& args : {Names{"convert", w.path, "o.safetensors"},
                            {"features", kModel, kPhoto, "--weights", w.path, "--out-indices", "0", "-o", "o.npz"}}) {
    const Outcome o = run_tool_in(limited, args);
    CHECK(o.code == 1);
    CHECK_THAT(o.err, contains_text("File too large"));
    CHECK_FALSE(fs::exists(folder / "o.safetensors"));
    CHECK_FALSE(fs::exists(folder / "o.npz"));
  }
}

TEST_CASE("the tool: a reader that goes away ends it quietly", "[cli][system]") {
  const Weights w;
  const Scratch folder;
  Pipe pipe(folder / "p.jpg");
  RunningTool tool(w.classify({"--json", folder / "p.jpg"}), {w.cache});
  CHECK(tool.hear() == "[");
  tool.stop_hearing();
  pipe.wait_for_reader();
  pipe.close();  // now there is something to say
  CHECK(tool.finish() == 128 + SIGPIPE);
}

TEST_CASE("the tool: signals", "[cli][system]") {
  const Weights w;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Scratch folder;
    Pipe pipe(folder / "p.jpg");
    RunningTool features({"features", kModel, kPhoto, folder / "p.jpg", "--weights", w.path, "-o", folder / "o.csv"},
                         {w.cache});
    pipe.wait_for_reader();
    CHECK(features.stop(signal) == 128 + signal);
    CHECK(folder.names() == Names{"p.jpg"});  // no output and nothing unfinished
  }
  // what was answered before is there
  const Scratch folder;
  Pipe pipe(folder / "p.jpg");
  RunningTool classify(w.classify({folder / "p.jpg", "--json"}), {w.cache});
  pipe.wait_for_reader();
  CHECK(classify.hear() == "[");
  CHECK_THAT(classify.hear(']'), contains_text(kPhoto) && contains_text("prob"));
  CHECK(classify.stop(SIGTERM) == 128 + SIGTERM);
}
