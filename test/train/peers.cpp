// SPDX-License-Identifier: Apache-2.0
// test/train/peers.cpp — several processes that train one model do what one does with all their images.
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <set>

#include "data/loader.h"
#include "engine/autograd/gradient_listener.h"
#include "engine/ops/ops.h"
#include "engine/ops/peers.h"
#include "processes/launch.h"
#include "test/support/catch.h"
#include "test/support/fill.h"
#include "test/support/thread_peers.h"
#include "train/optim/rules.h"
#include "train/step.h"
#include "train/together.h"
#include "zoo/zoo.h"

using namespace fovea;
using fovea::test::run_together;

namespace {

// The image at i of every `of`-th is the one that DistributedSampler gives.
Tensor part_of(const Tensor& x, const Peers& p) { return contiguous(slice(x, 0, p.rank(), x.dim(0), p.size())); }

struct Run {
  const char* model = "test_efficientnet";
  const char* rule = "momentum";
  bool compiled = false, sync = true;
  int64_t parts = 1, bucket = 20000;
  DType dtype = DType::f64;
};

std::vector<double> losses(const Run& r, Peers* peers) {
  const std::unique_ptr<zoo::ImageModel> model = zoo::create(r.model);
  fill_weights(*model);
  model->to(r.dtype);
  model->train().set_requires_grad();
  train::Optimizer optimizer(train::rule(r.rule), *model, 0.01);
  train::Step step(*model, optimizer,
                   {.accumulate = r.parts,
                    .clip = train::Clip::norm,
                    .clip_bound = 5,
                    .skip_not_finite = true,
                    .peers = peers,
                    .sync_batch_norm = r.sync,
                    .bucket_bytes = r.bucket});
  if (r.compiled) step.compile();
  Tensor images = cast(golden_input({8, 3, 32, 32}), r.dtype), targets = arange(0, 8);
  if (peers) images = part_of(images, *peers), targets = part_of(targets, *peers);
  std::vector<double> out;
  for (int i = 0; i < 3; ++i) {
    const train::StepResult result = step.take(std::vector{images, targets});
    out.push_back(result.loss);
    out.push_back(result.norm);
  }
  return out;
}

void check_together(const Run& r, int size, double within) {
  INFO(r.model << ", " << r.rule << ", " << size << " processes, compiled: " << r.compiled);
  const std::vector<double> alone = losses(r, nullptr);
  std::vector<std::vector<double>> all(static_cast<size_t>(size));
  run_together(size, [&](Peers& p) { all[static_cast<size_t>(p.rank())] = losses(r, &p); });
  for (const std::vector<double>& one : all)
    for (size_t i = 0; i < alone.size(); ++i) CHECK(one[i] == Approx(alone[i]).epsilon(within));
  for (const std::vector<double>& one : all) CHECK(one == all[0]);
  CHECK(std::abs(alone[4] - alone[0]) > 1e-3);
}

}  // namespace

TEST_CASE("steps of several processes lose what one loses", "[train][peers]") {
  const bool compiled = GENERATE(false, true);
  check_together({.compiled = compiled}, 2, 1e-9);
  check_together({.compiled = compiled, .dtype = DType::f32}, 4, 1e-5);
  check_together({.model = "test_vit", .compiled = compiled, .sync = false, .parts = 2}, 2, 1e-9);
}

TEST_CASE("curvature is that of all processes' loss", "[train][peers]") {
  // where there is none but rounding, the rule divides by nearly nothing
  check_together({.model = "test_vit", .rule = "adahessian", .sync = false}, 2, 1e-6);
}

TEST_CASE("without synchronised statistics batch norms see their own images", "[train][peers]") {
  const Run apart{.sync = false};
  const std::vector<double> alone = losses(apart, nullptr);
  double first = 0;
  run_together(2, [&](Peers& p) {
    const double loss = losses(apart, &p)[0];
    if (p.writes()) first = loss;
  });
  CHECK(std::abs(first - alone[0]) > 1e-6);
}

TEST_CASE("gradients set out while others are computed", "[train][peers]") {
  const auto sums = [](int64_t bucket) {
    return run_together(2, [&](Peers& p) {
      losses({.model = "test_vit", .sync = false, .bucket = bucket, .dtype = DType::f32}, &p);
    });
  };
  const fovea::test::Exchanged one = sums(int64_t{1} << 30), many = sums(20000);
  CHECK(one.at_once == 1);
  CHECK(many.at_once > 5);
  CHECK(many.sums > 3 * many.at_once - 3);
}

TEST_CASE("a listener hears of gradients as soon as they are complete", "[train][peers][autograd]") {
  Tensor a = full({2}, 3), b = full({2}, 5);
  a.set_requires_grad(), b.set_requires_grad();
  const Tensor leaves[] = {a, b};
  struct Heard final : GradientListener {
    void complete(size_t leaf, const Tensor& g) override {
      order.push_back(leaf);
      values.push_back(static_cast<double>(g.data<float>()[0]));
    }
    std::vector<size_t> order;
    std::vector<double> values;
  } heard;
  // b is used last, and a twice: its gradient is complete when the first use was visited
  const Tensor loss = sum(((a * 2.0) * a) * b);
  const Gradients g = backward(loss, leaves, heard);
  CHECK(heard.order == std::vector<size_t>{1, 0});
  CHECK(heard.values == std::vector<double>{18, 60});
  CHECK(g[0].data<float>()[0] == 60);

  SECTION("of checkpointed segments at the end") {
    heard = {};
    const auto segment = [&](std::span<const Tensor> x) { return Tensors{x[0] * a}; };
    const Tensor once = checkpoint(segment, std::vector{a * 2.0})[0];
    backward(sum(once * b), leaves, heard);
    CHECK(heard.order == std::vector<size_t>{0, 1});
    CHECK(heard.values == std::vector<double>{60, 18});
  }
}

TEST_CASE("a sum over processes differentiates as a part of the whole", "[train][peers][autograd]") {
  run_together(3, [](Peers& p) {
    const UsePeers use(&p);
    Tensor x = full({2}, p.rank() + 1.0, DType::f64);
    x.set_requires_grad();
    // all lose 1/3 of (x1 + x2 + x3)^2 = 36
    const Tensor loss = sum(square(sum_over_peers(x))) / 3.0;
    const Tensor g = backward(loss, std::span(&x, 1))[0];
    if (loss.item() != 24 || g.data<double>()[0] != 12)
      throw Error(Error::Kind::internal, str_cat(loss.item(), " and ", g.data<double>()[0]));
  });
  const Tensor alone = full({2}, 1);
  CHECK_THROWS_WITH(sum_over_peers(alone), contains_text("one process"));
  CHECK_THROWS_WITH(sum_over_peers(full({2}, 1, DType::i64)), contains_text("of f32 or f64"));
}

TEST_CASE("processes begin with the same slots, and average their statistics", "[train][peers]") {
  run_together(2, [](Peers& p) {
    Tensor weight = full({3}, p.rank()), mean = full({2}, p.rank() + 1.0), seen = full({}, p.rank(), DType::i64);
    const std::vector<Slot> slots{
        {"w", &weight}, {"ema.bn.running_mean", &mean}, {"bn.num_batches_tracked", &seen}};
    train::average_statistics(p, slots);
    const bool averaged = mean.data<float>()[1] == 1.5f && weight.data<float>()[0] == static_cast<float>(p.rank());
    train::share(p, slots);
    const bool shared = weight.data<float>()[2] == 0 && seen.data<int64_t>()[0] == 0;
    const std::map<size_t, std::string> bad = train::gathered(p, {{p.rank() == 0 ? 7u : 3u, "two\nlines"}});
    const bool heard = bad.size() == (p.writes() ? 2u : 1u) && bad.at(p.rank() == 0 ? 7 : 3) == "two\nlines";
    if (!averaged || !shared || !heard || train::statistics(slots).size() != 2 || p.agreed(str_cat(p.rank())) != "0")
      throw Error(Error::Kind::internal, str_cat(averaged, shared, heard));
  });
}

namespace {

// Black images that are no files.
struct Numbers final : data::Reader {
  explicit Numbers(size_t n) {
    for (size_t i = 0; i < n; ++i) add(static_cast<int64_t>(i % 2));
    set_classes({"a", "b"});
  }
  std::string name(size_t i) const override { return str_cat(i); }
  data::Stored read(size_t) const override { return {.pixels = data::make_image(4, 4, 3)}; }
};

std::vector<std::vector<size_t>> batches_of(const data::Reader& r, data::LoaderOptions o) {
  o.workers = 0;
  data::Loader loader(r, std::move(o));
  std::vector<std::vector<size_t>> out;
  data::Batch batch;
  for (loader.begin(3); loader.next(batch);) out.push_back(batch.samples);
  return out;
}

}  // namespace

TEST_CASE("processes read parts of one order", "[train][peers][data]") {
  const Numbers images(22);
  const data::TrainConfig train{.input_size = {3, 4, 4}};
  const auto parts = [&](int64_t of, int64_t batch, double repeats = 0) {
    std::vector<std::vector<std::vector<size_t>>> out;
    for (int64_t number = 0; number < of; ++number)
      out.push_back(batches_of(images, {.batch = batch, .seed = 5, .train = train, .repeats = repeats,
                                        .shard = {.number = number, .of = of}}));
    return out;
  };
  SECTION("a step's images are those of one process with the whole batch") {
    const auto whole = parts(1, 8)[0], two = [&] {
      const auto p = parts(2, 4);
      std::vector<std::vector<size_t>> merged;
      for (size_t b = 0; b < p[0].size(); ++b) {
        merged.emplace_back();
        for (size_t i = 0; i < 4; ++i) merged[b].push_back(p[0][b][i]), merged[b].push_back(p[1][b][i]);
      }
      return merged;
    }();
    CHECK(whole.size() == 2);
    CHECK(two == whole);
  }
  SECTION("what is missing for equal parts comes from the order's beginning, as of DistributedSampler") {
    const auto all = parts(4, 6);                    // 22 images, of 24
    std::multiset<size_t> seen;
    for (const auto& p : all) {
      REQUIRE(p.size() == 1);
      seen.insert(p[0].begin(), p[0].end());
    }
    CHECK(seen.size() == 24);
    for (size_t i = 0; i < 22; ++i) CHECK(seen.count(i) >= 1);
    const std::vector<size_t> order = batches_of(images, {.batch = 22, .seed = 5, .train = train})[0];
    CHECK(all[2][0][5] == order[0]);
    CHECK(all[3][0][5] == order[1]);
  }
  SECTION("evaluation asks about each image once") {
    for (const int64_t of : {1, 2, 3, 4, 30}) {
      std::vector<size_t> seen;
      for (int64_t number = 0; number < of; ++number)
        for (const auto& b : batches_of(images, {.batch = 4, .eval = {.input_size = {3, 4, 4}},
                                                 .shard = {.number = number, .of = of}}))
          seen.insert(seen.end(), b.begin(), b.end());
      std::vector<size_t> all(22);
      std::iota(all.begin(), all.end(), size_t{0});
      CHECK(seen == all);
    }
    CHECK(data::Shard{.number = 0, .of = 2, .unit = 4}.run(22) == std::array<int64_t, 2>{0, 12});
    CHECK(data::Shard{.number = 1, .of = 2, .unit = 4}.run(22) == std::array<int64_t, 2>{12, 22});
  }
  CHECK_THROWS_WITH(parts(4, 7), contains_text("22 images do not fill a batch of 28"));
  CHECK_THROWS_WITH(batches_of(images, {.shard = {.number = 2, .of = 2}}), contains_text("part 2 of 2"));
}

namespace {

// Variables of the environment, as long as this lives; others of launchers are gone meanwhile.
class Environment {
 public:
  explicit Environment(const std::vector<std::pair<const char*, const char*>>& set) {
    for (const char* name : kAll) {
      const char* const now = std::getenv(name);
      before_.emplace_back(name, now ? std::optional<std::string>(now) : std::nullopt);
      ::unsetenv(name);
    }
    for (const auto& [name, value] : set) ::setenv(name, value, 1);
  }
  ~Environment() {
    for (const auto& [name, value] : before_)
      if (value) ::setenv(name, value->c_str(), 1);
      else ::unsetenv(name);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  static constexpr const char* kAll[] = {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE",
                                         "PMI_RANK", "PMI_SIZE", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE",
                                         "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_TASKS_PER_NODE",
                                         "SLURM_NODEID", "FOVEA_ALONE"};
  std::vector<std::pair<const char*, std::optional<std::string>>> before_;
};

}  // namespace

TEST_CASE("launchers are known by their environment", "[train][peers]") {
  using processes::launched;
  {
    const Environment none({});
    CHECK(launched().size == 1);
    CHECK(processes::join(launched()) == nullptr);
  }
  {
    const Environment e({{"OMPI_COMM_WORLD_RANK", "3"}, {"OMPI_COMM_WORLD_SIZE", "4"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}, {"SLURM_PROCID", "0"}, {"SLURM_STEP_NUM_TASKS", "2"}});
    const processes::Launch l = launched();
    CHECK(l.by == "mpirun");
    CHECK((l.rank == 3 && l.size == 4 && l.local_size == 2));
  }
  {
    const Environment e({{"SLURM_PROCID", "5"}, {"SLURM_STEP_NUM_TASKS", "7"}, {"SLURM_NODEID", "2"},
                         {"SLURM_STEP_TASKS_PER_NODE", "2(x2),3"}});
    const processes::Launch l = launched();
    CHECK(l.by == "srun");
    CHECK((l.rank == 5 && l.size == 7 && l.local_size == 3));
  }
  {
    const Environment e({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_WORLD_SIZE", "2"}});
    CHECK_THROWS_WITH(processes::join(launched()), contains_text("torchrun started 2 processes") &&
                                                   contains_text("mpirun -n 2 fovea"));
  }
  for (const auto& [name, value] : {std::pair{"WORLD_SIZE", "1"}, std::pair{"FOVEA_ALONE", "1"}}) {
    const Environment alone({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {name, value}});
    CHECK(launched().by.empty());
  }
  {
    const Environment e({{"OMPI_COMM_WORLD_RANK", "x"}, {"OMPI_COMM_WORLD_SIZE", "2"}});
    CHECK_THROWS_WITH(launched(), contains_text("OMPI_COMM_WORLD_RANK=x"));
  }
  {
    const Environment e({{"RANK", "2"}, {"WORLD_SIZE", "2"}});
    CHECK_THROWS_WITH(launched(), contains_text("RANK=2 beside WORLD_SIZE=2"));
  }
}
