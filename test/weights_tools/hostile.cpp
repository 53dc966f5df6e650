// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/hostile.cpp — thousands of damaged and crafted files of each format: read or refused as Python's
// own readers do, with the same tensors, in little memory and time.
#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <map>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/core/host_memory.h"
#include "test/support/allocations.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"
#include "weights_tools/foreign.h"
#include "weights_tools/npz.h"
#include "weights_tools/safetensors.h"
#include "weights_tools/sha256.h"
#include "weights_tools/torch_checkpoint.h"
#include "weights_tools/zip.h"

using namespace fovea;
using namespace fovea::test;

namespace {

struct HostileFile {
  std::string content;
  bool read = false;   // by Python
  std::string digest;  // of what it read
  std::string reason;  // of its refusal
};

// As test/golden/record/hostile_weights.py describes it.
std::vector<HostileFile> unpack(const std::string& format) {
  const Zip packed = Zip::open(MappedFile::open(str_cat(FOVEA_SOURCE_DIR, "/test/golden/hostile/", format, ".zip")));
  const KeptBytes all = packed.read(*packed.find("files"));
  ByteReader r(all.bytes, format);
  const auto text = [&](size_t n) { return std::string(text_of(r.take(n))); };
  std::vector<std::string> reasons(r.read<uint32_t>());
  for (std::string& reason : reasons) reason = text(r.read<uint16_t>());
  std::vector<HostileFile> files(r.read<uint32_t>());
  std::map<std::string, std::string> recorded{{"", ""}};
  for (HostileFile& f : files) {
    const std::string name = text(r.read<uint8_t>());
    if (!recorded.contains(name)) recorded[name] = read_file(golden(name));
    f.content = recorded[name];
    for (int changes = r.read<uint8_t>(); changes > 0; --changes) {
      const auto at = r.read<uint32_t>(), removed = r.read<uint32_t>();
      f.content.replace(at, removed, text(r.read<uint32_t>()));
    }
    f.read = r.read<uint8_t>() == 1;
    if (f.read) f.digest = text(8);
    else f.reason = reasons.at(r.read<uint16_t>());
  }
  REQUIRE(r.left() == 0);
  return files;
}

StateDict read(const std::string& format, const std::string& content) {
  const auto file = MappedFile::in_memory(bytes_of(content), "it", nullptr);
  if (format == "safetensors") return read_safetensors(file);
  if (format == "torch_zip") return read_torch_zip(Zip::open(file), {});
  if (format == "npz") return read_npz(Zip::open(file));
  if (format == "npy") {
    StateDict out;
    if (NpzEntry e = read_npy(file->bytes(), "x", file); e.tensor) out.set("x", std::move(e.tensor));
    return out;
  }
  if (!is_torch_stream(file->bytes())) throw Error(Error::Kind::format, "no stream of torch");
  return read_torch_stream(file, {});
}

std::string digest_of(const StateDict& tensors) {
  std::map<std::string, Tensor> sorted;
  for (const auto& [name, t] : tensors) sorted.emplace(name, t);
  Sha256 sum;
  for (const auto& [name, t] : sorted) {
    sum.update(bytes_of(name));
    if (foreign_kind(t)) {
      sum.update(bytes_of(std::string_view("\0?", 2)));
      continue;
    }
    const Tensor rows = dense(t);
    sum.update(bytes_of(std::string(1, '\0') + str_cat(name_of(t.dtype()), to_string(t.shape()))));
    if (rows.numel() > 0) sum.update({rows.bytes(), static_cast<size_t>(rows.meta().bytes())});
  }
  const auto bytes = sum.finish();
  return {reinterpret_cast<const char*>(bytes.data()), 8};
}

// Counts what tensors take.
struct Memory {
  int64_t bytes = 0;
  HostMemory counted{[](void* memory, size_t n, size_t alignment) {
                       static_cast<Memory*>(memory)->bytes += static_cast<int64_t>(n);
                       return ::aligned_alloc(alignment, (n + alignment - 1) / alignment * alignment);
                     },
                     [](void*, void* p, size_t, size_t) { ::free(p); }, this};
};

double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Answer {
  bool read = false;
  std::string digest, error, foreign;  // the last: why the values of some tensor cannot be had
  size_t tensors = 0;                  // of which they can
  int64_t bytes = 0;
  double seconds = 0;
};

Answer answer_of(const std::string& format, const std::string& content) {
  Answer a;
  Memory memory;
  const UseHostMemory use(memory.counted);
  const CountAllocations counting;
  const double start = cpu_seconds();
  try {
    const StateDict tensors = read(format, content);
    a.bytes = CountAllocations::so_far().bytes + memory.bytes;
    a.seconds = cpu_seconds() - start;
    a.digest = digest_of(tensors);
    for (const auto& [name, t] : tensors) {
      if (!foreign_kind(t)) ++a.tensors;
      else if (a.foreign.empty()) a.foreign = error_of([&, &t = t] { t.bytes(); }).what();
    }
    a.read = true;
  } catch (const Error& e) {
    CHECK(e.kind() != Error::Kind::internal);
    a.error = e.what();
    a.bytes = CountAllocations::so_far().bytes + memory.bytes;
    a.seconds = cpu_seconds() - start;
  }
  return a;
}

// Why the two may decide otherwise. `text` is part of fovea's message where Python reads the file, and of Python's
// where fovea does.
struct Exemption {
  const char *format, *text;
};
constexpr Exemption kStricter[] = {
    // which of the two is meant is anybody's guess
    {"safetensors", "occurs twice"},
    // Python believes the directory of an archive and looks at nothing else; what others see may be another archive
    {"torch_zip", "is not a sound zip archive"},
    {"torch_zip", "the extra field of"},
    {"torch_zip", "the directory of"},
    {"torch_zip", "does not have the checksum"},
    {"npz", "is not a sound zip archive"},
    {"npz", "the extra field of"},
    {"npz", "the directory of"},
    // bytes behind the last number are a sign of damage
    {"np", " bytes, but there are "},
    {"np", " texts of "},
    {"torch_stream", "after the last storage"},
    // literals in forms that Python understands and NumPy does not write
    {"np", "its header is not a dict"},
    {"np", "its shape is not a tuple"},
    {"np", "text after its header's dict"},
    {"np", "where a text belongs"},
    {"np", "where a size belongs"},
    {"np", "neither True nor False"},
    // values that would fit no tensor
    {"np", "a character beyond Unicode"},
    {"torch", "its size and stride are not two lists of at most"},
    {"torch_zip", "it is None"},
    // numbers of other machines are not turned around
    {"torch", "big-endian"},
    // what only looks like what torch.save wrote: keys twice, lists that are none, numbers of protocols that are none
    {"torch_stream", "lacks the storage"},
    {"torch_stream", "the list of storages"},
    {"torch_stream", "it views elements"},
    {"torch_stream", "pickle protocol"},
    {"torch_stream", "is a torch file of protocol"}};
constexpr Exemption kMilder[] = {
    // classes stay names, so that there is no need to refuse them; opcodes of protocols that PyTorch's reader lacks
    {"torch", "Unsupported global"},
    {"torch", "Weights only load failed"},
    {"torch", "Unsupported operand"},
    // texts of a pickle are whatever bytes they are
    {"torch", "UnicodeDecodeError"},
    // arguments of tensors besides their storage, place and shape, and what lies in archives besides tensors
    {"torch", "TypeError: _rebuild"},
    {"torch", "requires_grad must be a bool"},
    {"torch_stream", "TypeError: set_()"},
    {"torch_zip", "hasRecord"},
    {"torch_zip", "Couldn't parse the version"},
    {"torch_zip", "invalid literal for int()"},
    {"torch_zip", "not in a subdirectory"},
    // a checksum of 0 says that there is none
    {"npz", "Bad CRC"},
    // which version of a program is needed to unpack it
    {"npz", "zip file version"}};
// Names of dtypes that NumPy does not write: fovea reads the others and has no values of these.
constexpr Exemption kUnusual[] = {{"np", "is of dtype f4,"}, {"np", "is of dtype ?,"},       {"np", "is of dtype f,"},
                                  {"np", "is of dtype d,"},  {"np", "is of dtype float32,"}, {"np", "is of dtype int,"},
                                  {"np", "is of dtype <f,"}};

// From now on the kernel ends this process when it starts a program, talks to anybody, or changes a file.
bool forbid_all_but_reading() {
  constexpr uint32_t kWriting = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
  constexpr uint8_t kFlagsOfOpen = 1, kFlagsOfOpenat = 2;
  const auto step = [](int code, uint32_t k, uint8_t yes = 0, uint8_t no = 0) {
    return sock_filter{static_cast<uint16_t>(code), yes, no, k};
  };
  const auto load = [&](size_t at) { return step(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(at)); };
  const sock_filter kill = step(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  const sock_filter allow = step(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  std::vector<sock_filter> program{load(offsetof(seccomp_data, nr))};
  for (const long call :
       {SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_clone, SYS_clone3, SYS_socket, SYS_connect, SYS_unlink,
        SYS_unlinkat, SYS_rename, SYS_renameat, SYS_renameat2, SYS_mkdir, SYS_mkdirat, SYS_creat, SYS_chmod, SYS_kill})
    program.insert(program.end(), {step(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 1), kill});
  for (const auto& [call, flags] : {std::pair{SYS_open, kFlagsOfOpen}, std::pair{SYS_openat, kFlagsOfOpenat}})
    program.insert(program.end(), {step(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, 4),
                                   load(offsetof(seccomp_data, args) + 8 * flags),
                                   step(BPF_JMP | BPF_JSET | BPF_K, kWriting, 0, 1), kill, allow});
  program.push_back(allow);
  const sock_fprog whole{static_cast<unsigned short>(program.size()), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &whole) == 0;
}

// What f() does in a process that may only read: 0, or the signal that ended it; negative: there are no such processes.
template <class F>
int signal_while_only_reading(const F& f) {
  const pid_t process = ::fork();
  if (process == 0) {
    if (!forbid_all_but_reading()) ::_exit(2);
    f();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(process, &status, 0);
  if (WIFSIGNALED(status)) return WTERMSIG(status);
  return WEXITSTATUS(status) == 0 ? 0 : -1;
}

template <size_t N>
bool is_exempt(const Exemption (&all)[N], const std::string& format, const std::string& text) {
  return std::any_of(std::begin(all), std::end(all), [&](const Exemption& e) {
    return format.starts_with(e.format) && text.find(e.text) != text.npos;
  });
}

}  // namespace

TEST_CASE("damaged and crafted files are read or refused as Python does", "[weights]") {
  const std::string format = GENERATE(as<std::string>{}, "safetensors", "torch_zip", "torch_stream", "npy", "npz");
  constexpr int64_t kFree = int64_t{64} << 20;
  size_t alike = 0;
  const std::vector<HostileFile> files = unpack(format);
  CHECK(files.size() >= 2200);
  for (size_t i = 0; i < files.size(); ++i) {
    const HostileFile& f = files[i];
    const Answer a = answer_of(format, f.content);
    INFO(format << " " << i << "; fovea: " << (a.read ? "read" : a.error)
                << "; Python: " << (f.read ? "read" : f.reason));
    CHECK(a.bytes <= static_cast<int64_t>(f.content.size()) + kFree);
    CHECK(a.seconds < 1);
    // NumPy refuses arrays of which fovea gives no values
    const bool empty_handed = a.read && !a.foreign.empty() && (a.tensors == 0 || format == "npz");
    if (a.read && f.read) CHECK((a.digest == f.digest || is_exempt(kUnusual, format, a.foreign)));
    else if (f.read) CHECK(is_exempt(kStricter, format, a.error));
    else if (a.read && !empty_handed) CHECK(is_exempt(kMilder, format, f.reason));
    alike += a.read == f.read || (empty_handed && !f.read) ? 1 : 0;
  }
  INFO(format << ": " << alike << " of " << files.size() << " alike");
  CHECK(alike >= files.size() * 78 / 100);
}

TEST_CASE("reading a checkpoint starts, asks and writes nothing, whatever its pickle says", "[weights]") {
  const std::string format = GENERATE(as<std::string>{}, "torch_zip", "torch_stream");
  const std::vector<HostileFile> files = unpack(format);
  const int started = signal_while_only_reading([] { ::execl("/bin/true", "true", nullptr); });
  if (started < 0) {
    WARN("this system does not let a process forbid itself system calls");
    return;
  }
  CHECK(started == SIGSYS);
  CHECK(signal_while_only_reading([] { ::open("/tmp/fovea_was_tricked", O_WRONLY | O_CREAT, 0600); }) == SIGSYS);
  CHECK(signal_while_only_reading([&] {
          for (const HostileFile& f : files) try {
              read(format, f.content);
            } catch (const Error&) {}
        }) == 0);
}
