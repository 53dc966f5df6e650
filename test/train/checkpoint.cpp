// SPDX-License-Identifier: Apache-2.0
// test/train/checkpoint.cpp — training that stopped goes on bit for bit, and damaged checkpoints are seen.
#include "train/checkpoint.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "engine/ops/ops.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/fill.h"
#include "test/weights_tools/files.h"
#include "train/optim/rules.h"
#include "train/step.h"
#include "weights_tools/safetensors.h"
#include "zoo/zoo.h"

using namespace fovea;
using fovea::test::values_of;

namespace {

// A network with statistics that follow and branches that are dropped.
struct Training {
  Training(const std::string& rule, bool compiled, DType dtype = DType::f32)
      : model(zoo::create("test_efficientnet", {.drop_rate = 0.2f, .drop_path_rate = 0.2f})) {
    fill_weights(*model);
    model->to(dtype);
    model->train().set_requires_grad();
    ema = std::make_unique<train::Ema>(*model, train::EmaOptions{.decay = 0.9});
    optimizer = std::make_unique<train::Optimizer>(train::rule(rule), *model, 0.01, 1e-3);
    step = std::make_unique<train::Step>(*model, *optimizer, train::StepOptions{.seed = 4, .ema = ema.get()});
    if (compiled) step->compile();
    images = cast(golden_input({2, 3, 64, 64}), dtype);
  }
  void run(int from, int to) {
    for (int i = from; i < to; ++i) {
      optimizer->set_lr(0.01 / (1 + i));
      losses.push_back((*step)({images, arange(i, i + 2)}));
    }
  }
  train::Notes notes() const { return {{"drawn", str_cat(step->drawn())}, {"updates", str_cat(optimizer->steps())}}; }
  std::vector<std::vector<double>> values() const {
    std::vector<std::vector<double>> out{losses};
    for (const Slot& s : step->slots()) out.push_back(values_of(*s.tensor));
    return out;
  }
  std::unique_ptr<zoo::ImageModel> model;
  std::unique_ptr<train::Ema> ema;
  std::unique_ptr<train::Optimizer> optimizer;
  std::unique_ptr<train::Step> step;
  Tensor images;
  std::vector<double> losses;
};

}  // namespace

TEST_CASE("training that is resumed ends with the bits of one that was not", "[train][slow]") {
  const std::string rule = GENERATE("momentum", "adamw", "lamb", "adafactor", "lookahead_radam");
  const bool compiled = GENERATE(false, true);
  const test::Scratch folder;
  train::Checkpoints checkpoints(folder / "run");
  Training whole(rule, compiled);
  whole.run(0, 4);
  Training first(rule, compiled);
  first.run(0, 2);
  checkpoints.save("checkpoint-0", *first.model, first.step->slots(), first.notes());
  Training second(rule, compiled);
  const train::Notes notes = train::load_checkpoint(checkpoints.path("checkpoint-0"), *second.model,
                                                    second.step->slots());
  CHECK(second.optimizer->steps() == 2);
  second.step->set_drawn(std::stoll(notes.at("drawn")));
  second.losses = first.losses;
  second.run(2, 4);
  CHECK(second.values() == whole.values());

  Training forgetful(rule, compiled);                       // what random numbers depend on is part of it
  train::load_checkpoint(checkpoints.path("checkpoint-0"), *forgetful.model, forgetful.step->slots());
  forgetful.losses = first.losses;
  forgetful.run(2, 4);
  CHECK(forgetful.values() != whole.values());
}

TEST_CASE("the average of a checkpoint's weights stands for them", "[train]") {
  const test::Scratch folder;
  train::Checkpoints checkpoints(folder / "run");
  Training t("momentum", false);
  t.run(0, 2);
  checkpoints.save("last", *t.model, t.step->slots(), t.notes());
  const StateDict average = t.ema->state_dict();
  const auto other = zoo::create("test_efficientnet");
  fill_weights(*other);
  train::load_average(checkpoints.path("last"), *other);
  bool moved = false;
  for (const NamedParameter& p : other->named_state()) {
    INFO(p.name);
    CHECK(values_of(p.tensor()) == values_of(average.at(p.name)));
    moved |= values_of(p.tensor()) != values_of(t.model->state_dict().at(p.name));
  }
  CHECK(moved);

  std::vector<Slot> without = t.step->slots();
  std::erase_if(without, [](const Slot& s) { return s.name.starts_with("ema."); });
  checkpoints.save("plain", *t.model, without, t.notes());
  CHECK_THROWS_WITH(train::load_average(checkpoints.path("plain"), *other),
                    contains_text("has no average of conv_stem.weight"));
  const auto resnet = zoo::create("test_resnet");
  resnet->materialise(1);
  CHECK_THROWS_AS(train::load_average(checkpoints.path("last"), *resnet), Error);
}

TEST_CASE("every changed bit of a checkpoint is seen", "[train]") {
  const test::Scratch folder;
  train::Checkpoints checkpoints(folder / "run");
  Training t("momentum", false);
  checkpoints.save("a", *t.model, t.step->slots(), t.notes());
  CHECK(checkpoints.whole() == std::vector<std::string>{"a"});
  for (const std::string file : {"a.safetensors", "a.train.safetensors"}) {
    const std::string path = checkpoints.folder() + "/" + file, good = test::read_file(path);
    for (int i = 0; i < 60; ++i) {
      std::string bad = good;
      // the header is what differs in kind, so every second change is there
      const size_t at = i % 2 ? (i * 7919u) % 4096 : (static_cast<size_t>(i) * 104729u) % bad.size();
      bad[at] = static_cast<char>(bad[at] ^ (1 << i % 8));
      test::write_file(path, bad);
      INFO(file << ", byte " << at);
      CHECK_THROWS_AS(train::load_checkpoint(checkpoints.path("a"), *t.model, t.step->slots()), Error);
    }
    test::write_file(path, good);
  }
  CHECK_NOTHROW(train::load_checkpoint(checkpoints.path("a"), *t.model, t.step->slots()));
}

TEST_CASE("checkpoints say what they do not fit", "[train]") {
  const test::Scratch folder;
  train::Checkpoints checkpoints(folder / "run");
  Training t("momentum", false), other("adamw", false);
  checkpoints.save("a", *t.model, t.step->slots(), {{"updates", "3"}});
  CHECK_THROWS_WITH(train::load_checkpoint(checkpoints.path("a"), *other.model, other.step->slots()),
                    contains_text("has no optimizer.exp_avg"));
  const std::unique_ptr<zoo::ImageModel> vit = zoo::create("test_vit");
  CHECK_THROWS_WITH(train::load_checkpoint(checkpoints.path("a"), *vit, {}), contains_text("of another model"));
  write_safetensors(folder / "plain.safetensors", t.model->state_dict());
  CHECK_THROWS_WITH(train::load_checkpoint(folder / "plain.safetensors", *t.model, t.step->slots()),
                    contains_text("no checkpoint"));
  checkpoints.save("b", *t.model, t.step->slots(), {{"updates", "20"}});
  checkpoints.link("b", "last");
  CHECK(train::read_notes(checkpoints.path("last")).at("updates") == "20");
  CHECK(checkpoints.whole().back() == "a");
  checkpoints.remove("b");                                  // its other file stays for the sake of `last`
  CHECK_NOTHROW(train::load_checkpoint(checkpoints.path("last"), *t.model, t.step->slots()));
  zoo::load_weights(*t.model, checkpoints.path("a"));       // as any weights
}

namespace {

// What is left of the folder must be the checkpoint before, or the one after.
void check_whole(const std::string& folder, int before) {
  const std::vector<std::string> names = train::Checkpoints(folder).whole();
  REQUIRE(!names.empty());
  const int updates = std::stoi(train::read_notes(folder + "/" + names[0] + ".safetensors").at("updates"));
  CHECK((updates == before || updates == before + 1));
}

template <class F>
pid_t in_child(F f) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  try {
    f();
  } catch (...) {
    ::_exit(1);
  }
  ::_exit(0);
}

}  // namespace

TEST_CASE("whoever is killed while saving leaves a whole checkpoint", "[train][slow]") {
  const test::Scratch folder;
  train::Checkpoints checkpoints(folder / "run");
  Training t("momentum", false);
  checkpoints.save("checkpoint-0", *t.model, t.step->slots(), {{"updates", "0"}});
  int finished = 0;
  for (int i = 0; i < 300; ++i) {
    const int before = std::stoi(train::read_notes(checkpoints.path(checkpoints.whole()[0])).at("updates"));
    const pid_t child = in_child([&] {
      checkpoints.save(str_cat("checkpoint-", before + 1), *t.model, t.step->slots(),
                       {{"updates", str_cat(before + 1)}});
      checkpoints.link(str_cat("checkpoint-", before + 1), "last");
    });
    ::usleep(static_cast<useconds_t>(i * 7919 % 9000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    finished += WIFEXITED(status);
    check_whole(checkpoints.folder(), before);
    for (int old = before - 2; old >= 0 && old >= before - 4; --old) checkpoints.remove(str_cat("checkpoint-", old));
  }
  CHECK(finished < 300);
}

TEST_CASE("whoever is killed while replacing a checkpoint leaves the old or the new one", "[train][slow]") {
  const test::Scratch folder;
  train::Checkpoints checkpoints(folder / "run");
  Training t("momentum", false);
  checkpoints.save("recovery", *t.model, t.step->slots(), {{"updates", "0"}});
  int finished = 0;
  for (int i = 0; i < 100; ++i) {
    const int before = std::stoi(train::read_notes(checkpoints.path("recovery")).at("updates"));
    const pid_t child =
        in_child([&] { checkpoints.save("recovery", *t.model, t.step->slots(), {{"updates", str_cat(before + 1)}}); });
    ::usleep(static_cast<useconds_t>(i * 7919 % 9000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    finished += WIFEXITED(status);
    check_whole(checkpoints.folder(), before);
    CHECK(checkpoints.newest() == "recovery");
  }
  CHECK(finished < 100);
  checkpoints.sweep();
  CHECK_NOTHROW(train::load_checkpoint(checkpoints.path("recovery"), *t.model, t.step->slots()));
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoints.folder()))
    files += !entry.path().filename().string().starts_with('.');
  CHECK(files == 2);
}

TEST_CASE("a save that runs out of room leaves the checkpoint before", "[train]") {
  const test::Scratch folder;
  train::Checkpoints checkpoints(folder / "run");
  Training t("momentum", false);
  checkpoints.save("checkpoint-0", *t.model, t.step->slots(), {{"updates", "0"}});
  for (const rlim_t most : {0u, 1000u, 100000u, 1000000u}) {
    const pid_t child = in_child([&] {
      const rlimit limit{most, most};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      ::signal(SIGXFSZ, SIG_IGN);
      checkpoints.save("checkpoint-1", *t.model, t.step->slots(), {{"updates", "1"}});
    });
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 1));
    CHECK(checkpoints.whole() == std::vector<std::string>{"checkpoint-0"});
  }
}
