// SPDX-License-Identifier: Apache-2.0
// test/engine/session_cache.cpp — sessions come back from files bit by bit, and nothing else does.
#include "engine/graph/session_cache.h"

#include <atomic>
#include <cstring>
#include <filesystem>
#include <ctime>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>

#include "engine/core/checksum.h"
#include "engine/core/threads.h"
#include "engine/graph/session_file.h"
#include "engine/ops/table.h"
#include "test/engine/session_nets.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

namespace fovea {
namespace {

using test::Scratch;

bool same_bits(const Tensors& a, const Tensors& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor x = contiguous(a[i]), y = contiguous(b[i]);
    if (x.meta() != y.meta() || std::memcmp(x.bytes(), y.bytes(), static_cast<size_t>(x.meta().bytes())) != 0)
      return false;
  }
  return true;
}

Session compiled(const Net& net, const Target& target = {}) {
  const Tensors w = net.make_weights();
  return compile(trace([&](std::span<const Tensor> x) { return net.run(x, w); }, net.in), target);
}

// A convolution, norm and product of few numbers: every byte of its file can be tried.
Session small_session() {
  const Tensor w = numbers({4, 3, 3, 3}, 1), b = numbers({4}, 2), l = numbers({5, 4}, 3);
  return compile(trace(
      [&](const Tensor& x) { return linear(mean(relu(conv(x, w, b, {.pad = {1}})), {2, 3}), l); },
      {make_meta(DType::f32, {1, 3, 6, 5})}));
}

void write_at(const std::string& path, size_t at, const void* bytes, size_t count) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(at));
  file.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(count));
}

// Makes the checksum of a changed file right again, as who forges one would.
void sign(std::string& file) {
  session_file::Header h;
  std::memcpy(&h, file.data(), sizeof h);
  h.checksum = 0;
  std::memcpy(file.data(), &h, sizeof h);
  const std::span<const std::byte> all = std::as_bytes(std::span(file));
  uint64_t sum = checksum(all.first(h.constants_at));
  sum = checksum(all.subspan(h.constants_at, h.packed_bytes), sum);
  h.checksum = checksum(all.subspan(h.constants_at + h.packed_bytes), sum);
  std::memcpy(file.data(), &h, sizeof h);
}

}  // namespace

TEST_CASE("a saved session gives the same bits", "[session_cache]") {
  const Scratch folder;
  for (const Net& net : nets())
    for (const DType dtype : {DType::none, DType::bf16}) {
      INFO(net.name << " " << name_of(dtype));
      Session fresh = compiled(net, {.dtype = dtype});
      save_session(fresh, folder / "s", "key");
      std::optional<Session> loaded = load_session(folder / "s", "key");
      REQUIRE(loaded);
      const Tensors x = net.inputs();
      CHECK(same_bits(fresh.run(x), loaded->run(x)));
      Session fork = loaded->fork();
      loaded.reset();
      CHECK(same_bits(fresh.run(x), fork.run(x)));
      CHECK(fork.constant_bytes() == fresh.constant_bytes());
      CHECK(fork.arena_bytes() == fresh.arena_bytes());
      REQUIRE(fork.steps().size() == fresh.steps().size());
      for (size_t i = 0; i < fork.steps().size(); ++i) {
        CHECK(fork.steps()[i].plan == fresh.steps()[i].plan);
        CHECK(fork.steps()[i].attrs == fresh.steps()[i].attrs);
        CHECK(fork.steps()[i].bytes == fresh.steps()[i].bytes);
      }
    }
}

TEST_CASE("a session is loaded only under its own key", "[session_cache]") {
  const Scratch folder;
  save_session(small_session(), folder / "s", "one");
  CHECK(load_session(folder / "s", "one"));
  CHECK_FALSE(load_session(folder / "s", "two"));
  CHECK_FALSE(load_session(folder / "s", ""));
  CHECK_FALSE(load_session(folder / "absent", "one"));
  CHECK_FALSE(load_session(folder / ".", "one"));
  CHECK(folder.names() == std::vector<std::string>{"s"});              // no temporary file is left
}

TEST_CASE("a session file of which any byte was changed is ignored", "[session_cache]") {
  const Scratch folder;
  const std::string path = folder / "s";
  save_session(small_session(), path, "key");
  const std::string whole = test::read_file(path);
  size_t taken = 0;
  for (size_t i = 0; i < whole.size(); ++i)
    for (const unsigned char flip : {0x01, 0x80}) {
      const char changed = static_cast<char>(whole[i] ^ flip);
      write_at(path, i, &changed, 1);
      taken += load_session(path, "key") ? 1 : 0;
      write_at(path, i, &whole[i], 1);
    }
  CHECK(taken == 0);
  CHECK(load_session(path, "key"));
}

TEST_CASE("a session file that was cut off or is foreign is ignored", "[session_cache]") {
  const Scratch folder;
  const std::string path = folder / "s";
  save_session(small_session(), path, "key");
  const std::string whole = test::read_file(path);
  size_t taken = 0;
  for (size_t n = 0; n < whole.size(); n += n < 256 ? 1 : 61) {
    test::write_file(path, whole.substr(0, n));
    taken += load_session(path, "key") ? 1 : 0;
  }
  test::write_file(path, whole + "x");
  taken += load_session(path, "key") ? 1 : 0;
  uint64_t state = 7;
  for (int i = 0; i < 200; ++i) {
    std::string noise(static_cast<size_t>(i) * 37, '\0');
    for (char& c : noise) c = static_cast<char>((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
    if (i % 2 && noise.size() > 64) noise.replace(0, 64, whole, 0, 64);
    test::write_file(path, noise);
    taken += load_session(path, "key") ? 1 : 0;
  }
  CHECK(taken == 0);
}

// What passes the checksum is still checked: a forged file is refused, or gives a session that stays within its bytes.
TEST_CASE("a forged session file cannot make a run leave its memory", "[session_cache]") {
  const Scratch folder;
  const std::string path = folder / "s";
  Session fresh = small_session();
  save_session(fresh, path, "key");
  const std::string whole = test::read_file(path);
  session_file::Header h;
  std::memcpy(&h, whole.data(), sizeof h);
  const Tensor x = numbers({1, 3, 6, 5}, 9);
  size_t refused = 0, tried = 0;
  for (size_t at = 0; at < sizeof h + h.description_bytes; ++at)
    for (const unsigned char flip : {0x01, 0x80}) {
      std::string forged = whole;
      forged[at] = static_cast<char>(forged[at] ^ flip);
      if (at >= sizeof h) sign(forged);            // the header says where everything is: alone it must not fit
      test::write_file(path, forged);
      ++tried;
      std::optional<Session> s = load_session(path, "key");
      if (!s) {
        ++refused;
        continue;
      }
      if (s->inputs() == fresh.inputs()) s->run(x);
    }
  CHECK(refused > tried / 2);
  CHECK(refused < tried);                          // a bias's name may change
}

TEST_CASE("a session whose file is written over gives no answer", "[session_cache]") {
  const Scratch folder;
  const std::string path = folder / "s";
  const Tensor x = numbers({1, 3, 6, 5}, 9);
  Session one = small_session();
  const Tensors want = {one.run(x)};
  const auto saved = [&](time_t age) {
    save_session(one, path, "key");
    const timespec times[2] = {{0, UTIME_OMIT}, {::time(nullptr) - age, 0}};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    std::optional<Session> s = load_session(path, "key");
    REQUIRE(s);
    CHECK(same_bits({s->run(x)}, want));
    return std::move(*s);
  };
  const std::string whole = [&] { return save_session(one, path, "key"), test::read_file(path); }();
  const std::string noise(whole.size(), '\x41');
  for (const bool shorter : {false, true}) {
    Session mapped = saved(3600), fork = mapped.fork();
    if (shorter) std::filesystem::resize_file(path, 100);
    else write_at(path, 0, noise.data(), noise.size());
    for (Session* s : {&mapped, &fork}) {
      const Error e = test::error_of([&] { (void)s->run(x); });
      CHECK(e.kind() == Error::Kind::io);
      CHECK(test::mentions(e, "was written over while it was in use"));
      CHECK_THROWS_AS(s->run_borrowed(x), Error);
      CHECK_THROWS_AS(s->profile(std::span(&x, 1)), Error);
    }
  }
  // So new that a change might bear the same time: its bytes are a copy.
  Session copied = saved(-3600);
  write_at(path, 0, noise.data(), noise.size());
  CHECK(same_bits({copied.run(x)}, want));
  // Replaced and deleted files go on as they were.
  Session replaced = saved(3600);
  save_session(one, path, "another key");
  CHECK(same_bits({replaced.run(x)}, want));
  std::filesystem::remove(path);
  CHECK(same_bits({replaced.run(x)}, want));
}

TEST_CASE("a session file that others can write is ignored", "[session_cache]") {
  const Scratch folder;
  const std::string path = folder / "s";
  save_session(small_session(), path, "key");
  for (const mode_t mode : {0664, 0646}) {
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    CHECK_FALSE(load_session(path, "key"));
  }
  REQUIRE(::chmod(path.c_str(), 0444) == 0);
  CHECK(load_session(path, "key"));
}

TEST_CASE("writers of one session file do not disturb each other or readers", "[session_cache]") {
  const Scratch folder;
  const std::string path = folder / "s";
  Session one = small_session();
  const Tensor x = numbers({1, 3, 6, 5}, 9);
  const Tensors want = {one.run(x)};
  save_session(one, path, "key");
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> writers;
    for (int t = 0; t < 2; ++t)
      writers.emplace_back([&] {
        for (int i = 0; i < 50; ++i) save_session(one, path, "key");
      });
    for (int i = 0; i < 50; ++i) {
      std::optional<Session> s = load_session(path, "key");
      if (!s || !same_bits({s->run(x)}, want)) ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(folder.names() == std::vector<std::string>{"s"});
}

TEST_CASE("sessions with state are not saved", "[session_cache]") {
  const Scratch folder;
  Tensor sum = zeros({3});
  TraceOptions o;
  o.state = {{"sum", &sum}};
  const Session s = compile(trace([&](const Tensor& x) { return sum = sum + x; }, {make_meta(DType::f32, {3})}, o));
  const Error e = test::error_of([&] { save_session(s, folder / "s", "key"); });
  CHECK(e.kind() == Error::Kind::unsupported);
  CHECK(folder.names().empty());
}

TEST_CASE("every op is in the table of ops", "[session_cache]") {
  size_t found = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(FOVEA_SOURCE_DIR "/engine/ops")) {
    std::ifstream text(file.path());
    const std::string_view start = "constinit const OpDef ";
    for (std::string line; std::getline(text, line);) {
      if (!line.starts_with(start)) continue;
      const std::string name = line.substr(start.size(), line.find('{') - start.size());
      INFO(name);
      const OpRow* row = find_op(name);
      CHECK(row != nullptr);
      CHECK((row && row->op->name() == name));
      ++found;
    }
  }
  CHECK(found == op_table().size());
}

TEST_CASE("attributes survive being written and read field by field", "[session_cache]") {
  struct Values final : FieldVisitor {
    void integer(const char*, int64_t v) override { numbers.push_back(v); }
    void real(const char*, double v) override { reals.push_back(v); }
    void dims(const char*, const Dims& v) override { lists.push_back(v); }
    std::vector<int64_t> numbers;
    std::vector<double> reals;
    std::vector<Dims> lists;
  } values;
  struct Source final : FieldSource {
    explicit Source(const Values& from) : v(from) {}
    int64_t integer(int64_t least, int64_t most) override {
      const int64_t n = v.numbers.at(a++);
      CHECK((least <= n && n <= most));
      return n;
    }
    double real() override { return v.reals.at(b++); }
    Dims dims() override { return v.lists.at(c++); }
    const Values& v;
    size_t a = 0, b = 0, c = 0;
  } source(values);
  ConvAttrs conv{.stride = {2, 1}, .dilation = {1, 3}, .pad_lo = {0, 1}, .pad_hi = {4, 2}, .groups = 7};
  conv.epilogue = {.act = Unary::hard_swish, .a = 0.25f, .b = -3, .residual = true};
  const AttrsRef ref = AttrsRef::of(conv);
  ref.type->visit(ref.data, values);
  const Attrs read(*ref.type, source);
  std::string before, after;
  append_key(before, ref);
  append_key(after, read.ref());
  CHECK(before == after);
}

TEST_CASE("checksums see every bit, the length and the order", "[session_cache]") {
  std::vector<std::byte> bytes(3000);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31 >> 3);
  const uint64_t sum = checksum(bytes);
  size_t equal = 0;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
    equal += checksum(bytes) == sum;
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
  }
  CHECK(equal == 0);
  CHECK(checksum(bytes) == sum);
  CHECK(checksum(std::span(bytes).first(2999)) != sum);
  CHECK(checksum({}) != checksum(std::vector<std::byte>(1)));
  CHECK(checksum(bytes, 1) != sum);
  std::vector<std::byte> many(5 << 20);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<std::byte>(i >> 16 ^ i);
  uint64_t alone = 0;
  {
    const UseThreads one(1);
    alone = checksum(many);
  }
  const UseThreads four(4);
  CHECK(checksum(many) == alone);
}

}  // namespace fovea
