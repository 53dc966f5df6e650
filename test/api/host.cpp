// SPDX-License-Identifier: Apache-2.0
// test/api/host.cpp — what the library does to the program around it: nothing that it does not say.
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cfenv>
#include <clocale>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "test/api/client.h"
#include "test/api/weights.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea_test;
namespace fs = std::filesystem;

namespace {

std::vector<float> logits(fovea_session* session, const std::vector<float>& x, int64_t n = 1) {
  const fovea_tensor in = images_of(x.data(), n, 3, 160, 160);
  fovea_tensor out{};
  const Said said = fovea_session_run(session, &in, &out, 1);
  INFO(said.message);
  REQUIRE(said);
  return values_of(out);
}

unsigned floating_modes() {
#if defined(__SSE2__)
  return _mm_getcsr() & ~0x3Fu;
#else
  return 0;
#endif
}

// All that a library might change behind its caller's back.
struct Surroundings {
  std::vector<struct sigaction> handlers;
  std::vector<int> blocked;
  std::string locale, folder;
  mode_t mask;
  unsigned floating;                               // modes, without the flags that any sum may raise
  int rounding;

  Surroundings() : locale(std::setlocale(LC_ALL, nullptr)), folder(fs::current_path().string()), mask(::umask(0)) {
    ::umask(mask);
    for (int s = 1; s < NSIG; ++s) {
      struct sigaction now {};
      ::sigaction(s, nullptr, &now);
      handlers.push_back(now);
    }
    sigset_t mask_now;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &mask_now);
    for (int s = 1; s < NSIG; ++s) blocked.push_back(::sigismember(&mask_now, s));
    floating = floating_modes();
    rounding = std::fegetround();
  }

  void check_same(const char* after) const {
    INFO("after " << after);
    const Surroundings now;
    CHECK(now.locale == locale);
    CHECK(now.folder == folder);
    CHECK(now.mask == mask);
    CHECK(now.rounding == rounding);
    CHECK(now.floating == floating);
    CHECK(now.blocked == blocked);
    for (size_t s = 0; s < handlers.size(); ++s) {
      CHECK(now.handlers[s].sa_handler == handlers[s].sa_handler);
      CHECK(now.handlers[s].sa_flags == handlers[s].sa_flags);
    }
  }
};

// Where standard output and error go meanwhile.
class Caught {
 public:
  Caught() : path_(scratch_folder() + "/said") {
    std::fflush(nullptr);
    const int file = ::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (int i = 0; i < 2; ++i) {
      before_[i] = ::dup(i + 1);
      ::dup2(file, i + 1);
    }
    ::close(file);
  }
  std::string end() {
    if (before_[0] < 0) return {};
    std::fflush(nullptr);
    for (int i = 0; i < 2; ++i) {
      ::dup2(before_[i], i + 1);
      ::close(std::exchange(before_[i], -1));
    }
    return fovea::test::read_file(path_);
  }
  ~Caught() { end(); }
  Caught(const Caught&) = delete;
  Caught& operator=(const Caught&) = delete;

 private:
  std::string path_;
  int before_[2];
};

size_t entries_of(const char* folder) {
  size_t n = 0;
  for (const auto& e : fs::directory_iterator(folder)) n += e.exists() || true;
  return n;
}

size_t lines_of(const char* path) {
  std::ifstream in(path);
  size_t n = 0;
  for (std::string line; std::getline(in, line);) ++n;
  return n;
}

int64_t resident_kb() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  return 0;
}

// Of the straight line through values at 0, 1, 2, ... that is nearest to them.
double slope_of(const std::vector<double>& values) {
  const double middle = static_cast<double>(values.size() - 1) / 2;
  double rise = 0, run = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const double x = static_cast<double>(i) - middle;
    rise += x * values[i];
    run += x * x;
  }
  return rise / run;
}

// The exit code of f() in a child process, which ends where f() does.
template <class F>
int in_child(const F& f) {
  std::fflush(nullptr);
  const int child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(f());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("C: no call changes signals, locale, umask, folder or floating-point modes, or prints", "[api][host]") {
  const std::string weights = weights_of(kNet), photo_path = photo("rocket.jpg"), none = scratch_folder() + "/none";
  const std::vector<float> x = pixels(4 * kImage, 1);
  const std::fenv_t* const usual = FE_DFL_ENV;
  std::vector<float> first;
  for (const int rounding : {FE_TONEAREST, FE_UPWARD, FE_TOWARDZERO}) {
    std::fesetround(rounding);
    Caught caught;
    const Surroundings before;
    const auto env = new_env();
    before.check_same("fovea_env_create");
    const auto model = load(env.get(), model_options(kNet, weights));
    before.check_same("fovea_model_load");
    auto o = init<fovea_session_options>();
    o.threads = 3;
    const auto session = compile(model.get(), o);
    before.check_same("fovea_session_create");
    const std::vector<float> now = logits(session.get(), x, 4);
    before.check_same("fovea_session_run");
    if (first.empty()) first = now;
    CHECK(now == first);                           // whatever the caller's modes are
    fovea_class best[5];
    size_t count = 5;
    for (const std::string& path : {photo_path, none}) {
      const fovea_image image = file(path);
      Said(fovea_session_classify(session.get(), &image, best, &count));
      before.check_same("fovea_session_classify");
    }
    fovea_session* made = nullptr;
    Said(fovea_session_fork(session.get(), &made));
    before.check_same("fovea_session_fork");
    fovea_session_free(made);
    Said(fovea_session_profile(session.get()));
    before.check_same("fovea_session_profile");
    fovea_model* no_model = nullptr;
    const auto wrong = model_options(kNet, none);
    Said(fovea_model_load(env.get(), &wrong, &no_model));
    before.check_same("a fovea_model_load that fails");
    Said(fovea_env_trim(env.get(), nullptr));
    before.check_same("fovea_env_trim");
    std::fesetenv(usual);
    CHECK(caught.end() == "");
  }
}

#if defined(__GLIBC__)
TEST_CASE("C: a caller who traps floating-point exceptions is not trapped by ours", "[api][host]") {
  const auto env = new_env();
  const auto model = load(env.get(), kNet);
  auto o = init<fovea_session_options>();
  o.allow_nan = 1;
  const auto session = compile(model.get(), o);
  std::vector<float> x = pixels(kImage, 2);
  x[0] = 1e30f;
  x[1] = std::nanf("");
  ::feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
  const fovea_tensor in = images_of(x.data(), 1, 3, 160, 160);
  fovea_status* const status = fovea_session_run(session.get(), &in, nullptr, 0);
  const int trapped = ::fegetexcept();
  ::fedisableexcept(FE_ALL_EXCEPT);
  CHECK(Said(status));
  CHECK(trapped == (FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW));
}
#endif

#if defined(__SSE2__)
TEST_CASE("C: denormals count as zeros, and the caller's own arithmetic keeps them", "[api][host]") {
  const auto env = new_env();
  const auto model = load(env.get(), kNet);
  constexpr float kTiny = 1e-40f;
  for (const int32_t threads : {1, 3}) {
    auto o = init<fovea_session_options>();
    o.threads = threads;
    const auto session = compile(model.get(), o);
    const std::vector<float> zeros(4 * kImage), denormals(4 * kImage, kTiny);
    CHECK(logits(session.get(), denormals, 4) == logits(session.get(), zeros, 4));
    CHECK(logits(session.get(), denormals) == logits(session.get(), zeros));
    volatile float tiny = kTiny;                   // the compiler must not know
    CHECK(tiny / 2 > 0);
  }
}
#endif

TEST_CASE("C: one thread means one thread, decoding included", "[api][host]") {
  const std::string weights = weights_of(kNet), path = photo("rocket.jpg");
  const int code = in_child([&] {
    auto eo = init<fovea_env_options>();
    eo.threads = 1;
    const size_t before = entries_of("/proc/self/task");
    fovea_env* env = nullptr;
    fovea_model* model = nullptr;
    fovea_session* session = nullptr;
    const auto mo = model_options(kNet, weights);
    const std::vector<float> x = pixels(8 * kImage, 3);
    const fovea_tensor in = images_of(x.data(), 8, 3, 160, 160);
    const std::vector<fovea_image> images(6, file(path));
    if (!Said(fovea_env_create(&eo, &env)) || !Said(fovea_model_load(env, &mo, &model)) ||
        !Said(fovea_session_create(model, nullptr, &session)) || !Said(fovea_session_run(session, &in, nullptr, 0)))
      return 2;
    const Said said = fovea_session_run_images(session, images.data(), images.size(), nullptr, nullptr, 0);
    if (!said && said.code != FOVEA_UNSUPPORTED) return 3;
    return before == 1 && entries_of("/proc/self/task") == 1 ? 0 : 4;
  });
  CHECK(code == 0);
}

TEST_CASE("C: sessions of n threads start n - 1, once for all", "[api][host]") {
  const std::string weights = weights_of(kNet);
  const int code = in_child([&] {
    fovea_env* env = nullptr;
    fovea_model* model = nullptr;
    const auto mo = model_options(kNet, weights);
    if (!Said(fovea_env_create(nullptr, &env)) || !Said(fovea_model_load(env, &mo, &model))) return 2;
    auto so = init<fovea_session_options>();
    so.threads = 3;
    const std::vector<float> x = pixels(6 * kImage, 3);
    const fovea_tensor in = images_of(x.data(), 6, 3, 160, 160);
    for (int i = 0; i < 4; ++i) {
      fovea_session* session = nullptr;
      if (!Said(fovea_session_create(model, &so, &session)) || !Said(fovea_session_run(session, &in, nullptr, 0)))
        return 3;
    }
    return entries_of("/proc/self/task") <= 3 ? 0 : 4;
  });
  CHECK(code == 0);
}

TEST_CASE("C: after fork() the child goes on with what it has", "[api][host]") {
  const auto env = new_env();
  const auto model = load(env.get(), kNet);
  auto o = init<fovea_session_options>();
  o.threads = 3;
  const auto session = compile(model.get(), o);
  const std::vector<float> x = pixels(6 * kImage, 4), one(x.begin(), x.begin() + kImage);
  const std::vector<float> want = logits(session.get(), x, 6);
  const std::string weights = weights_of(kNet);
  const int code = in_child([&] {
    const fovea_tensor in = images_of(x.data(), 6, 3, 160, 160);
    fovea_tensor out{};
    if (!Said(fovea_session_run(session.get(), &in, &out, 1)) || values_of(out) != want) return 2;
    fovea_env* mine = nullptr;
    fovea_model* again = nullptr;
    fovea_session* fresh = nullptr;
    const auto mo = model_options(kNet, weights);
    if (!Said(fovea_env_create(nullptr, &mine)) || !Said(fovea_model_load(mine, &mo, &again)) ||
        !Said(fovea_session_create(again, &o, &fresh)) || !Said(fovea_session_run(fresh, &in, &out, 1)))
      return 3;
    return values_of(out) == want ? 0 : 4;
  });
  CHECK(code == 0);
  CHECK(logits(session.get(), x, 6) == want);
}

TEST_CASE("C: a session that is idle costs no processor time", "[api][host]") {
  const auto env = new_env();
  const auto model = load(env.get(), kNet);
  auto o = init<fovea_session_options>();
  o.threads = 4;
  const auto session = compile(model.get(), o);
  logits(session.get(), pixels(8 * kImage, 5), 8);
  const auto cpu = [] {
    timespec t;
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  };
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const double before = cpu();
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  CHECK(cpu() - before <= 0.005 * 0.4);
}

TEST_CASE("C: a session is for one thread at a time, and says so", "[api][host]") {
  const auto env = new_env();
  const auto model = load(env.get(), kNet);
  auto o = init<fovea_session_options>();
  o.threads = 1;
  const auto session = compile(model.get(), o);
  const std::vector<float> x = pixels(8 * kImage, 6);
  const fovea_tensor in = images_of(x.data(), 8, 3, 160, 160);
  std::atomic<int> refused = 0, others = 0;
  std::atomic<bool> enough = false;
  const auto work = [&] {
    for (int i = 0; i < 2000 && !enough; ++i) {
      const Said said = fovea_session_run(session.get(), &in, nullptr, 0);
      if (said) continue;
      (said.code == FOVEA_INVALID_ARGUMENT ? refused : others)++;
      enough = true;
    }
  };
  std::thread other(work);
  work();
  other.join();
  CHECK(refused > 0);
  CHECK(others == 0);
  CHECK(Said(fovea_session_run(session.get(), &in, nullptr, 0)));
}

TEST_CASE("C: memory stays bounded whatever sizes and batches come", "[api][host][slow]") {
  const auto env = new_env();
  const auto model = load(env.get(), kNet);
  auto o = init<fovea_session_options>();
  o.more_sizes = 3;
  o.threads = 2;
  const auto session = compile(model.get(), o);
  const std::vector<float> x = pixels(6 * 3 * 128 * 128, 7);
  uint32_t state = 1;
  const auto draw = [&](uint32_t from, uint32_t to) {
    state = state * 1664525u + 1013904223u;
    return static_cast<int64_t>(from + (state >> 8) % (to - from + 1));
  };
  const auto run = [&](int64_t batch, int64_t height, int64_t width) {
    const fovea_tensor in = images_of(x.data(), batch, 3, height, width);
    REQUIRE(Said(fovea_session_run(session.get(), &in, nullptr, 0)));
  };
  const auto go = [&](int runs) {
    for (int i = 0; i < runs; ++i) {
      const int64_t batch = draw(1, 6), height = draw(32, 128);
      run(batch, height, draw(32, 128));
    }
  };
  // With the same sizes at hand and without what can be given back: what is left is kept for good.
  size_t given_back = 0;
  const auto kept = [&] {
    for (const int64_t side : {64, 80, 96, 112}) run(2, side, side);
    REQUIRE(Said(fovea_env_trim(env.get(), &given_back)));
    ::malloc_trim(0);
    return static_cast<double>(resident_kb());
  };
  go(500);
  const size_t maps = lines_of("/proc/self/maps");
  std::vector<double> resident{kept()};
  for (int i = 0; i < 5; ++i) {
    go(100);
    resident.push_back(kept());
  }
  const double grown = slope_of(resident);
  const double ratio = static_cast<double>(lines_of("/proc/self/maps")) / static_cast<double>(maps);
  WARN("of 1000 sizes and batches the last 500 leave, after a trim, "
       << grown << " KB of resident memory a hundred, from " << resident[0] << "; mappings: " << ratio << " of before");
  CHECK(grown <= 100);
  CHECK(std::abs(ratio - 1) <= 0.05);
  CHECK(given_back > 0);
}
