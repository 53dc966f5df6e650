// SPDX-License-Identifier: Apache-2.0
// test/zoo/own_family.cpp — a family that is not fovea's: known by name like all others, compiled, saved and loaded.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/weights_tools/files.h"
#include "weights_tools/safetensors.h"
#include "zoo/family.h"
#include "zoo/registry.h"
#include "zoo/zoo.h"

namespace fovea::zoo::strangers_net {

struct Cfg {
  int width = 8;
};
FOVEA_SETTINGS(Cfg, width)

class Net final : public ImageModel {
 public:
  Net(const Cfg& cfg, const ModelOptions& o) : ImageModel(o) {
    stem_ = add("stem", Conv2d(o.in_chans.value_or(3), cfg.width, 3, {.stride = 2}));
    num_features_ = head_hidden_size_ = cfg.width;
    classifier("head", cfg.width);
  }
  Tensor forward_features(const Tensor& image) override { return relu(stem_(image)); }

 private:
  Ref<Conv2d> stem_;
};

static constexpr Variant<Cfg> variants[] = {{"strangers_net_small", {}}, {"strangers_net_large", {.width = 24}}};
FOVEA_FAMILY(strangers_net, Net, variants)

}  // namespace fovea::zoo::strangers_net

namespace fovea::zoo {

namespace {

// The line of the first thing that is not as it should be; 0: all is.
#define FOVEA_WANT(...) \
  if (!(__VA_ARGS__)) return __LINE__
int use_own_family() {
  FOVEA_WANT(!is_model("strangers_net_small"));
  add_family(strangers_net::family);
  FOVEA_WANT(is_model("strangers_net_small"));
  FOVEA_WANT(list({.patterns = {"strangers*"}}) ==
             std::vector<std::string>{"strangers_net_large", "strangers_net_small"});
  const std::vector<std::string> all = modules();
  FOVEA_WANT(std::count(all.begin(), all.end(), "strangers_net") == 1);
  const auto model = create("strangers_net_large", {.num_classes = 5, .set = {{"width", "16"}}});
  model->materialise(3);
  model->eval();
  FOVEA_WANT(model->state_dict().at("stem.weight").dim(0) == 16);
  const test::Scratch folder;
  write_safetensors(folder / "own.safetensors", model->state_dict());
  const auto again = create("strangers_net_large", {.set = {{"width", "16"}}});
  load_weights(*again, folder / "own.safetensors");
  FOVEA_WANT(again->num_classes() == 5);
  const Tensor x = test::filled("image", {1, 3, 32, 32});
  Session session = compile(*again, {.height = 32, .width = 32});
  const std::vector<double> got = test::values_of(session.run(x)), want = test::values_of(contiguous((*model)(x)));
  FOVEA_WANT(got.size() == 5);
  for (size_t i = 0; i < got.size(); ++i) FOVEA_WANT(std::abs(got[i] - want[i]) < 1e-5);
  FOVEA_WANT(test::error_of([] { add_family(strangers_net::family); }).kind() == Error::Kind::argument);
  return 0;
}

}  // namespace

// In a process of its own: other tests count the families.
TEST_CASE("a family of one's own is one like the others", "[zoo]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const int child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    int line = -1;
    try {
      line = use_own_family();
    } catch (const std::exception&) {}
    ::_exit(::write(ends[1], &line, sizeof line) == sizeof line ? 0 : 1);
  }
  int status = 0, line = -2;
  ::waitpid(child, &status, 0);
  REQUIRE(::read(ends[0], &line, sizeof line) == sizeof line);
  ::close(ends[0]);
  ::close(ends[1]);
  CHECK(line == 0);
}

}  // namespace fovea::zoo
