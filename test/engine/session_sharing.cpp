// SPDX-License-Identifier: Apache-2.0
// test/engine/session_sharing.cpp — sessions of the same weights hold what they have in common once, in memory and in
// files.
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>

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

// A net with a norm to fold, products, a depthwise convolution and a constant that is read as it is.
struct Weights {
  explicit Weights(int64_t seed, Device d = {})
      : stem(numbers({16, 3, 3, 3}, seed).to(d)),
        gain(numbers({16}, seed + 1).to(d)),
        shift(numbers({16}, seed + 2).to(d)),
        mean(numbers({16}, seed + 3).to(d)),
        depthwise(numbers({16, 1, 3, 3}, seed + 4).to(d)),
        places(numbers({1, 16, 8, 8}, seed + 5).to(d)),
        classes(numbers({40, 16}, seed + 6).to(d)) {}
  Tensor operator()(const Tensor& image) const {
    Tensor x = relu(batch_norm(conv(image, stem, {}, {.pad = {1}}), gain, shift, mean, square(mean) + 0.5, 1e-5));
    x = conv(x + places, depthwise, {}, {.pad = {1}, .groups = 16});
    return linear(fovea::mean(relu(x), {2, 3}), classes);
  }
  Tensor stem, gain, shift, mean, depthwise, places, classes;
};

Session session_of(const Weights& w, int64_t batch, const Session* sharing = nullptr, Target target = {}) {
  target.device = w.stem.device();
  const auto run = [&](const Tensor& x) { return w(x); };
  return compile(trace(run, {make_meta(DType::f32, {batch, 3, 8, 8}, {}, target.device)}), target, sharing);
}

Tensor images(int64_t batch, Device d = {}) { return numbers({batch, 3, 8, 8}, 50 + batch).to(d); }

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
  for (const DType dtype : {DType::none, DType::bf16}) {
    INFO(name_of(dtype));
    std::optional<Session> first;
    std::vector<Session> others;
    std::vector<std::vector<double>> want;
    {
      const Weights w(1);
      first = session_of(w, 1, nullptr, {.dtype = dtype});
      CHECK(first->shared_bytes() == 0);
      for (const int64_t batch : {2, 4, 8}) {
        Session alone = session_of(w, batch, nullptr, {.dtype = dtype});
        want.push_back(answer(alone));
        others.push_back(session_of(w, batch, batch == 2 ? &*first : &others.back(), {.dtype = dtype}));
        CHECK(others.back().constant_bytes() == alone.constant_bytes());
        CHECK(others.back().shared_bytes() == others.back().constant_bytes());
      }
    }
    first.reset();                                 // what is shared lives on
    for (size_t i = 0; i < others.size(); ++i) CHECK(answer(others[i]) == want[i]);
    Session fork = others[1].fork();
    CHECK(answer(fork) == want[1]);
  }
}

TEST_CASE("only what is the same to the byte is shared", "[session]") {
  Weights w(1);
  Session first = session_of(w, 1);
  const int64_t all = first.constant_bytes();
  CHECK(session_of(Weights(2), 2, &first).shared_bytes() == 0);
  w.classes = w.classes * 1.0;
  w.classes.mutable_data<float>()[7] += 1e-6f;
  Session other = session_of(w, 2, &first), alone = session_of(w, 2);
  CHECK(other.shared_bytes() > 0);
  CHECK(other.shared_bytes() < all);
  CHECK(answer(other) == answer(alone));
  CHECK(session_of(w, 2, &first, {.dtype = DType::bf16}).shared_bytes() < all);
  test::add_far_devices();
  CHECK(session_of(Weights(1, test::far_device()), 2, &first).shared_bytes() == 0);
}

TEST_CASE("far: sessions share weights on their device", "[far][session]") {
  test::add_far_devices();
  const Device d = test::far_device(1);
  const Weights w(1, d), here(1);
  std::optional<Session> first = session_of(w, 1);
  const int64_t before = test::far_work().live_bytes;
  Session other = session_of(w, 4, &*first), alone = session_of(here, 4);
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
  CHECK(load_any_session(folder / "four"));
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
    Session eight = session_of(w, 8, &*loaded);
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
