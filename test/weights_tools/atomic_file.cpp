// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/atomic_file.cpp — outputs: whole files at once, links followed, modes kept, straight into pipes
// and devices.
#include "weights_tools/atomic_file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;
namespace fs = std::filesystem;

namespace {

void put(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

struct stat status(const std::string& path) {
  struct stat info {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info;
}

mode_t mode_of(const std::string& path) { return status(path).st_mode & 07777; }

}  // namespace

TEST_CASE("a file shows its old content until the new one is whole", "[weights]") {
  const Scratch scratch;
  const std::string path = scratch.file("f", "old");
  {
    AtomicFile file(path);
    file.write("new");
    CHECK(file.written() == 3);
    CHECK(read_file(path) == "old");
  }
  CHECK(read_file(path) == "old");
  put(path, "new");
  CHECK(read_file(path) == "new");
  put(scratch / std::string(255, 'n'), "as long as names may be");
  CHECK(scratch.names().size() == 2);  // nothing is left behind
}

TEST_CASE("a link given as output is followed", "[weights]") {
  const Scratch scratch;
  fs::create_directory(scratch / "there");
  write_file(scratch / "there/real", "old");
  fs::create_symlink("there/real", scratch / "one");
  fs::create_symlink("one", scratch / "two");
  fs::create_symlink(scratch / "there/fresh", scratch / "dangling");
  fs::create_symlink("loop", scratch / "loop");
  put(scratch / "two", "new");
  CHECK(fs::is_symlink(scratch / "two"));
  CHECK(fs::is_symlink(scratch / "one"));
  CHECK(read_file(scratch / "there/real") == "new");
  put(scratch / "dangling", "made");
  CHECK(fs::is_symlink(scratch / "dangling"));
  CHECK(read_file(scratch / "there/fresh") == "made");
  CHECK(mentions(error_of([&] { put(scratch / "loop", "x"); }), "symbolic links"));
  CHECK(std::distance(fs::directory_iterator(scratch / "there"), {}) == 2);
}

TEST_CASE("a file that is replaced keeps its mode", "[weights]") {
  const Scratch scratch;
  for (const mode_t mode : {0640, 0600, 0644, 0755, 0666}) {
    const std::string path = scratch.file("f", "old");
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    put(path, "new");
    CHECK(mode_of(path) == mode);
    CHECK(read_file(path) == "new");
  }
  const mode_t mask = ::umask(027);
  put(scratch / "fresh", "new");
  ::umask(mask);
  CHECK(mode_of(scratch / "fresh") == 0640);
}

TEST_CASE("a named pipe gets the bytes and stays one", "[weights]") {
  const Scratch scratch;
  const std::string path = scratch / "p";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  std::string got;
  std::thread reader([&] {
    std::ifstream in(path, std::ios::binary);
    got.assign(std::istreambuf_iterator<char>(in), {});
  });
  put(path, std::string(200'000, 'x'));
  reader.join();
  CHECK(got == std::string(200'000, 'x'));
  CHECK(S_ISFIFO(status(path).st_mode));
  CHECK(scratch.names().size() == 1);
}

TEST_CASE("a pipe whose reader goes away is an error, not the end of the process", "[weights]") {
  const Scratch scratch;
  const std::string path = scratch / "p";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  AtomicFile file(path);
  ::close(reader);
  CHECK(mentions(error_of([&] { file.write("x"); }), "Broken pipe"));
}

TEST_CASE("a device given as output stays one", "[weights]") {
  const Scratch scratch;
  const std::string path = scratch / "null";
  if (::mknod(path.c_str(), S_IFCHR | 0600, ::makedev(1, 3)) != 0) return;  // only root makes devices
  const int usable = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (usable < 0) return;  // nor does every file system have them
  ::close(usable);
  put(path, "gone");
  CHECK(S_ISCHR(status(path).st_mode));
  fs::create_symlink("null", scratch / "link");
  put(scratch / "link", "gone");
  CHECK(fs::is_symlink(scratch / "link"));
  CHECK(scratch.names().size() == 2);
}

TEST_CASE("what cannot be written says why", "[weights]") {
  const Scratch scratch;
  CHECK(mentions(error_of([&] { put(scratch / "", "x"); }), "directory"));
  CHECK(mentions(error_of([&] { put(scratch / "no/such", "x"); }), "No such file"));
  CHECK(mentions(error_of([&] { put(std::string("a\0b", 3), "x"); }), "zero byte"));
  const std::string locked = scratch.file("locked", "old");
  REQUIRE(::chmod(locked.c_str(), 0400) == 0);
  if (::geteuid() != 0) CHECK(mentions(error_of([&] { put(locked, "x"); }), "Permission denied"));
  CHECK(read_file(locked) == "old");
}
