// SPDX-License-Identifier: Apache-2.0
// test/engine/session_sharing.cpp — sessions of the same weights hold what they have in common once, in memory and in
// files.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

#include "engine/core/host_memory.h"
#include "engine/graph/calibration.h"
#include "engine/graph/session_cache.h"
#include "test/engine/session_nets.h"
#include "test/support/catch.h"
#include "test/support/check_op.h"
#include "test/support/far_device.h"
#include "test/weights_tools/files.h"

namespace fovea {
namespace {

using test::Scratch;
using test::values_of;

// What tensors on the host hold, each piece full of other bytes when it is new: packing must write them all.
struct Counted {
  int64_t live = 0;
  int fill = 0;
  HostMemory memory{[](void* me, size_t n, size_t alignment) {
                      auto& c = *static_cast<Counted*>(me);
                      c.live += static_cast<int64_t>(n);
                      void* const p = std::aligned_alloc(alignment, (n + alignment - 1) / alignment * alignment);
                      return p ? std::memset(p, ++c.fill % 255, n) : p;
                    },
                    [](void* me, void* p, size_t n, size_t) {
                      static_cast<Counted*>(me)->live -= static_cast<int64_t>(n);
                      std::free(p);
                    },
                    this};
};

// A net with a norm to fold, products, a depthwise convolution and a constant that is read as it is.
struct Weights {
  explicit Weights(int64_t seed, Device d = {})
      : stem(numbers({16, 3, 3, 3}, seed).to(d)),
        gain(numbers({16}, seed + 1).to(d)),
        shift(numbers({16}, seed + 2).to(d)),
        mean(numbers({16}, seed + 3).to(d)),
        depthwise(numbers({16, 1, 3, 3}, seed + 4).to(d)),
        places(numbers({1, 16, 8, 8}, seed + 5).to(d)),
        expand(numbers({64, 16, 3, 3}, seed + 6).to(d)),
        classes(numbers({40, 64}, seed + 7).to(d)) {}
  Tensor operator()(const Tensor& image) const {
    Tensor x = relu(batch_norm(conv(image, stem, {}, {.pad = {1}}), gain, shift, mean, square(mean) + 0.5, 1e-5));
    x = conv(x + places, depthwise, {}, {.pad = {1}, .groups = 16});
    return linear(fovea::mean(relu(conv(relu(x), expand, {}, {.pad = {1}})), {2, 3}), classes);
  }
  Tensor stem, gain, shift, mean, depthwise, places, expand, classes;
};

Tensor images(int64_t batch, Device d = {}) { return numbers({batch, 3, 8, 8}, 50 + batch).to(d); }

Graph traced(const Weights& w, int64_t batch) {
  const Meta image = make_meta(DType::f32, {batch, 3, 8, 8}, Memory::contiguous, w.stem.device());
  return trace([&](const Tensor& x) { return w(x); }, {image});
}

using Sessions = std::vector<const Session*>;
Session session_of(const Weights& w, int64_t batch, const Sessions& sharing = {}, Target target = {}) {
  target.device = w.stem.device();
  return compile(traced(w, batch), target, sharing);
}

// In f32, in bf16 and in 8-bit integers.
std::vector<Target> targets(const Weights& w) {
  Calibrator seen(traced(w, 1));
  for (int i = 0; i < 8; ++i) seen.observe(numbers({1, 3, 8, 8}, 200 + i));
  return {{}, {.dtype = DType::bf16}, {.calibration = std::make_shared<Calibration>(seen.result())}};
}

std::vector<double> answer(Session& s) {
  const Meta m = s.inputs()[0];
  return values_of(s.run(images(m.shape[0], m.device)));
}

// As if it were written long ago: only then is a file mapped.
void age(const std::string& path) {
  const timespec times[2] = {{0, UTIME_OMIT}, {::time(nullptr) - 3600, 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

int64_t size_of_file(const std::string& path) { return static_cast<int64_t>(std::filesystem::file_size(path)); }

}  // namespace

TEST_CASE("sessions for several batches hold the weights once", "[session]") {
  for (size_t kind = 0; kind < 3; ++kind) {
    INFO(kind);
    Counted counted;
    std::vector<Session> sessions;
    std::vector<std::vector<double>> want;
    {
      std::optional<Weights> w(1);
      const Target target = targets(*w)[kind];
      for (const int64_t batch : {1, 2, 4, 8}) {
        Session alone = session_of(*w, batch, {}, target);
        CHECK(alone.shared_bytes() == 0);
        want.push_back(answer(alone));
      }
      const UseHostMemory use(counted.memory);
      w.emplace(1);
      for (const int64_t batch : {1, 2, 4, 8}) {
        Sessions others;
        for (const Session& s : sessions) others.push_back(&s);
        sessions.push_back(session_of(*w, batch, others, target));
        const Session &first = sessions[0], &last = sessions.back();
        CHECK(last.constant_bytes() == first.constant_bytes());
        CHECK(last.shared_bytes() == (batch == 1 ? 0 : first.constant_bytes()));
      }
    }
    int64_t working = 0;
    for (const Session& s : sessions) working += s.arena_bytes() + 64;
    CHECK(counted.live - working <= sessions[0].constant_bytes() + 1024);
    CHECK(counted.live - working >= sessions[0].constant_bytes() * 9 / 10);
    for (size_t i = 0; i < sessions.size(); ++i) CHECK(answer(sessions[i]) == want[i]);
    Session fork = sessions[2].fork();
    sessions.erase(sessions.begin(), sessions.begin() + 3);            // what is shared lives on
    CHECK(answer(fork) == want[2]);
    CHECK(answer(sessions[0]) == want[3]);
  }
}

TEST_CASE("a constant is shared with whichever session has it", "[session]") {
  Weights w(1), other(1);
  other.classes = Weights(2).classes;
  const Session first = session_of(other, 1), second = session_of(Weights(3), 1), third = session_of(w, 1);
  CHECK(session_of(w, 2, {&second}).shared_bytes() == 0);
  CHECK(session_of(w, 2, {&second, &first}).shared_bytes() > 0);
  CHECK(session_of(w, 2, {&first}).shared_bytes() < third.constant_bytes());
  CHECK(session_of(w, 2, {&first, &second, &third}).shared_bytes() == third.constant_bytes());
  CHECK(session_of(w, 2, {nullptr, &third}).shared_bytes() == third.constant_bytes());
}

TEST_CASE("only what is the same to the byte is shared", "[session]") {
  Weights w(1);
  const Session first = session_of(w, 1);
  const int64_t all = first.constant_bytes();
  CHECK(session_of(Weights(2), 2, {&first}).shared_bytes() == 0);
  w.classes = w.classes * 1.0;
  w.classes.mutable_data<float>()[7] += 1e-6f;
  Session other = session_of(w, 2, {&first}), alone = session_of(w, 2);
  CHECK(other.shared_bytes() > 0);
  CHECK(other.shared_bytes() < all);
  CHECK(answer(other) == answer(alone));
  CHECK(session_of(w, 2, {&first}, {.dtype = DType::bf16}).shared_bytes() < all);
  test::add_far_devices();
  CHECK(session_of(Weights(1, test::far_device()), 2, {&first}).shared_bytes() == 0);
}

TEST_CASE("far: sessions share weights on their device", "[far][session]") {
  test::add_far_devices();
  const Device d = test::far_device(1);
  const Weights w(1, d), here(1);
  std::optional<Session> first = session_of(w, 1);
  const int64_t before = test::far_work().live_bytes;
  Session other = session_of(w, 4, {&*first}), alone = session_of(here, 4);
  CHECK(other.shared_bytes() == other.constant_bytes());
  CHECK(test::far_work().live_bytes - before < other.arena_bytes() + 4096);
  first.reset();
  CHECK(test::relative_error(answer(other), answer(alone)) < 1e-5);
}

TEST_CASE("a session file names another one that holds the weights", "[session_cache]") {
  const Scratch folder;
  const Weights w(1);
  Session one = session_of(w, 1), four = session_of(w, 4);
  save_session(one, folder / "one", "1");
  age(folder / "one");
  std::optional<Session> base = load_session(folder / "one", "1");
  REQUIRE(base);
  CHECK(bytes_in_base(four, *base) > four.constant_bytes() * 9 / 10);
  save_session(four, folder / "four", "4", &*base);
  age(folder / "four");
  CHECK(size_of_file(folder / "four") < size_of_file(folder / "one"));
  CHECK_FALSE(load_base(folder / "four"));
  std::optional<Session> loaded = load_session(folder / "four", "4");
  REQUIRE(loaded);
  CHECK(files_of(*loaded) == std::vector<std::string>{folder / "four", folder / "one"});
  CHECK(loaded->shared_bytes() == loaded->constant_bytes());
  CHECK(loaded->constant_bytes() == four.constant_bytes());
  CHECK(answer(*loaded) == answer(four));
  base.reset();
  CHECK(answer(*loaded) == answer(four));

  SECTION("in the form that it has there") {
    // Compiled with the loaded one, saved, and loaded again: nothing is held or written twice.
    Session eight = session_of(w, 8, {&*loaded});
    CHECK(eight.shared_bytes() == eight.constant_bytes());
    base = load_session(folder / "one", "1");
    save_session(eight, folder / "eight", "8", &*base);
    CHECK(size_of_file(folder / "eight") < size_of_file(folder / "one"));
    std::optional<Session> again = load_session(folder / "eight", "8");
    REQUIRE(again);
    CHECK(answer(*again) == answer(eight));
  }
  SECTION("which may have none itself") {
    Session eight = session_of(w, 8);
    CHECK(bytes_in_base(eight, *loaded) == 0);
    save_session(eight, folder / "eight", "8", &*loaded);
    CHECK(size_of_file(folder / "eight") > size_of_file(folder / "four"));
    CHECK(load_session(folder / "eight", "8"));
  }
  SECTION("and must be there") {
    std::filesystem::remove(folder / "one");
    CHECK_FALSE(load_session(folder / "four", "4"));
    CHECK(answer(*loaded) == answer(four));        // what is mapped stays
    save_session(session_of(Weights(2), 1), folder / "one", "1");
    CHECK_FALSE(load_session(folder / "four", "4"));
    save_session(one, folder / "one", "another key");
    CHECK_FALSE(load_session(folder / "four", "4"));
    save_session(one, folder / "one", "1");        // to the byte what it was
    CHECK(load_session(folder / "four", "4"));
  }
  SECTION("whole") {
    const std::string whole = test::read_file(folder / "one");
    for (const size_t at : {size_t{40}, whole.size() / 2, whole.size() - 1}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ 1);
      folder.file("one", damaged);
      CHECK_FALSE(load_session(folder / "four", "4"));
    }
    folder.file("one", whole);
    CHECK(load_session(folder / "four", "4"));
  }
  SECTION("and a run notices who writes into it") {
    std::filesystem::resize_file(folder / "one", 100);
    CHECK_THROWS_AS(loaded->run(images(4)), Error);
  }
}

TEST_CASE("threads load, run and free sessions with one base", "[session_cache]") {
  const Scratch folder;
  const Weights w(1);
  Session one = session_of(w, 1), two = session_of(w, 2);
  save_session(one, folder / "one", "1");
  age(folder / "one");
  const std::optional<Session> base = load_base(folder / "one");
  REQUIRE(base);
  save_session(two, folder / "two", "2", &*base);
  age(folder / "two");
  const std::vector<double> want[] = {answer(one), answer(two)};
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const int k = (t + i) % 2;
        std::optional<Session> s = load_session(folder / (k ? "two" : "one"), k ? "2" : "1");
        if (s && answer(*s) == want[k]) ++right;
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(right == 100);
}

TEST_CASE("a file is mapped once in a process", "[session_cache]") {
  const Scratch folder;
  const Weights w(1);
  save_session(session_of(w, 1), folder / "one", "1");
  age(folder / "one");
  std::optional<Session> a = load_session(folder / "one", "1"), b = load_session(folder / "one", "1");
  REQUIRE((a && b));
  const auto constant = [](const Session& s) {
    for (const Value& v : s.graph().values)
      if (v.constant && v.constant.has_bytes()) return v.constant.bytes();
    return static_cast<std::byte*>(nullptr);
  };
  REQUIRE(constant(*a));
  CHECK(constant(*a) == constant(*b));
}

}  // namespace fovea
