// SPDX-License-Identifier: Apache-2.0
// test/weights_tools/pickle.cpp — the pickle machine on hand-made programs: values, wrong operands, limits.
#include "weights_tools/pickle.h"

#include "test/support/allocations.h"
#include "test/support/catch.h"
#include "test/weights_tools/files.h"

using namespace fovea;
using namespace fovea::test;
using Kind = PickleValue::Kind;

namespace {
Pickle read(const std::string& s, const PickleOptions& o = {}) { return read_pickle(bytes_of(s), "test", o); }
Error refused(const std::string& s, const PickleOptions& o = {}) {
  return error_of([&] { read(s, o); });
}
// The same, with what reading allocated until then.
struct Refusal {
  Error error;
  int64_t bytes;
};
Refusal costly(const std::string& s, const PickleOptions& o = {}) {
  const CountAllocations counting;
  return {refused(s, o), CountAllocations::so_far().bytes};
}
const std::string ordered = global("collections", "OrderedDict") + ")R", opaque = global("my.module", "Thing") + ")R";
}  // namespace

TEST_CASE("pickled values", "[weights]") {
  const std::string dict = "}(" + unicode("k") + "K\5" + unicode("k") + "K\6" + "K\1" + "Nu.";
  const Pickle p = read(dict);
  CHECK(p.root->find("k")->integer == 6);
  CHECK(p.root->find("none") == nullptr);
  const std::string minus = "J\xff\xff\xff\xff.", minus_long = std::string("\x8a\x02\x00\xff.", 5),
                    real = "G\x3f\xf8" + std::string(6, '\0') + ".";
  CHECK(read(minus).root->integer == -1);
  CHECK(read(minus_long).root->integer == -256);
  const std::string zero_long = std::string("\x8a\x00.", 3);
  CHECK(read(zero_long).root->integer == 0);
  CHECK(read(real).root->real == 1.5);
  const std::string wide = "\x8a\x0a" + std::string(10, '\1') + ".";
  CHECK(read(wide).root->is(Kind::big_integer));
  const std::string named = "\x80\x04\x8c\x02my\x8c\x05Thing\x93.";
  const Pickle thing = read(named);
  CHECK(thing.root->is_global("my", "Thing"));
  CHECK(thing.globals == std::vector<std::string>{"my.Thing"});
  const std::string circle =
      "]q\x01h\x01"
      "a.";  // a list that holds itself
  const Pickle self = read(circle);
  CHECK(self.root->items[0] == self.root);
}

TEST_CASE("opcodes on operands of a wrong type are refused", "[weights]") {
  // Every value that a pickle can put on the stack, against every opcode that takes operands.
  struct Operand {
    const char* name;
    std::string code;
    bool list_like, dict_like, set_like, takes_state, callable, is_tuple, is_text, is_id;
  };
  const std::string id =
      tuple({unicode("storage"), global("torch", "FloatStorage"), unicode("0"), unicode("cpu"), "K\4"});
  const std::vector<Operand> operands = {{"None", "N", 0, 0, 0, 0, 0, 0, 0, 0},
                                         {"True", "\x88", 0, 0, 0, 0, 0, 0, 0, 0},
                                         {"integer", "K\1", 0, 0, 0, 0, 0, 0, 0, 0},
                                         {"float", "G" + std::string(8, '\0'), 0, 0, 0, 0, 0, 0, 0, 0},
                                         {"text", unicode("a"), 0, 0, 0, 0, 0, 0, 1, 0},
                                         {"bytes", "C\1a", 0, 0, 0, 0, 0, 0, 0, 0},
                                         {"tuple", ")", 0, 0, 0, 0, 0, 1, 0, 0},
                                         {"list", "]", 1, 0, 0, 0, 0, 0, 0, 0},
                                         {"dict", "}", 0, 1, 0, 0, 0, 0, 0, 0},
                                         {"set", "\x8f", 0, 0, 1, 0, 0, 0, 0, 0},
                                         {"OrderedDict", ordered, 0, 1, 0, 1, 0, 0, 0, 0},
                                         {"class", global("a", "B"), 0, 0, 0, 0, 1, 0, 0, 0},
                                         {"object", opaque, 1, 1, 1, 1, 0, 0, 0, 0},
                                         {"storage id", id, 0, 0, 0, 0, 0, 1, 0, 1},
                                         {"storage", id + "Q", 0, 0, 0, 0, 0, 0, 0, 0}};
  const auto check = [](const std::string& what, const std::string& code, bool good) {
    const Error e = refused(code + ".");
    INFO(what);
    INFO(e.what());
    CHECK((e.kind() == Error::Kind::internal) == good);  // internal: nothing was thrown
    if (!good) CHECK(e.kind() == Error::Kind::format);
  };
  for (const Operand& o : operands) {
    check(cat("APPEND on ", o.name), o.code + "Na", o.list_like);
    check(cat("APPENDS on ", o.name), o.code + "(NNe", o.list_like);
    check(cat("SETITEM on ", o.name), o.code + "K\1Ns", o.dict_like);
    check(cat("SETITEMS on ", o.name), o.code + "(K\1Nu", o.dict_like);
    check(cat("ADDITEMS on ", o.name), o.code + "(K\1\x90", o.set_like);
    check(cat("BUILD on ", o.name), o.code + "}b", o.takes_state);
    check(cat("REDUCE of ", o.name), o.code + ")R", o.callable);
    check(cat("REDUCE with ", o.name), global("a", "B") + o.code + "R", o.is_tuple);
    check(cat("NEWOBJ of ", o.name), o.code + ")\x81", o.callable);
    check(cat("NEWOBJ with ", o.name), global("a", "B") + o.code + "\x81", o.is_tuple);
    check(cat("STACK_GLOBAL of ", o.name), o.code + unicode("b") + "\x93", o.is_text);
    check(cat("STACK_GLOBAL to ", o.name), unicode("b") + o.code + "\x93", o.is_text);
    check(cat("BINPERSID of ", o.name), o.code + "Q", o.is_id);
  }
  for (const char* op : {"0", "1", "2",    "I1\n", "L1L\n",  "V\n",      "S'a'\n",       "i",    "o",    "l",
                         "d", "P", "p0\n", "g0\n", "\x82\1", "\x83\1\1", "\x84\1\1\1\1", "\x91", "\x92", "\x97"})
    CHECK(mentions(refused(cat("N", op, ".")), "opcode"));
}

TEST_CASE("storages are named by five values of fixed types", "[weights]") {
  const std::string type = global("torch", "FloatStorage"), key = unicode("0"), place = unicode("cpu"), n = "K\4",
                    kind = unicode("storage");
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {kind},
                                                       {kind, type, key, place},
                                                       {kind, type, key, place, n, "N", "N"},
                                                       {unicode("module"), type, key, place, n},
                                                       {kind, key, key, place, n},
                                                       {kind, type, n, place, n},
                                                       {kind, type, key, place, "N"},
                                                       {n, type, key, place, n},
                                                       {kind, type, key, place, integer(-1)},
                                                       {kind, type, key, place, "G" + std::string(8, '\0')}};
  for (const auto& items : wrong) CHECK(refused(tuple(items) + "Q.").kind() == Error::Kind::format);
  CHECK(read(tuple({kind, type, key, place, n}) + "Q.").storages.size() == 1);
}

TEST_CASE("pickles that stop short, or leave the stack in disorder", "[weights]") {
  for (const std::string& s : {std::string(), std::string("N"), std::string("."), std::string("(."), std::string("NN."),
                               std::string("t."), std::string("(N."), std::string("}(K\1u."), std::string("h\0.", 3),
                               std::string("q\0.", 3), std::string("\x85."), std::string("N\x86."),
                               std::string("X\xff\xff\xff\xff."), std::string("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."),
                               std::string("ca\nb"), std::string("\x95\xff\xff\xff\xff\xff\xff\xff\x7f."),
                               std::string("\x80\x63."), std::string("](NR."), std::string("((N.")}) {
    CHECK(refused(s).kind() == Error::Kind::format);
  }
  CHECK(refused("}]Ns.").kind() == Error::Kind::format);  // a list as a key
}

TEST_CASE("pickles made to exhaust memory or time stop early", "[weights]") {
  constexpr int64_t kKilobyte = 1000, kMegabyte = 1000 * kKilobyte;
  const auto stops = [](const std::string& s, const char* why, int64_t bytes, const PickleOptions& o = {}) {
    const Refusal r = costly(s, o);
    CHECK(mentions(r.error, why));
    CHECK(r.bytes < bytes);
  };
  stops(std::string(2'000'000, '('), "1000 levels", 100 * kKilobyte);
  stops("N" + std::string(2'000'000, '\x85') + ".", "1000000 steps", 100 * kMegabyte);   // a tuple a step
  CHECK_NOTHROW(
      read("N" + std::string(900'000, '\x85') + "."));  // nested that deep: neither reading nor dropping it recurses
  stops("\x8a\x11" + std::string(17, '\1') + ".", "17 bytes", 100 * kKilobyte);
  stops("\x8b\xff\xff\xff\x7f.", "2147483647 bytes", 100 * kKilobyte);
  stops("c" + std::string(5000, 'a') + "\nb\n.", "5000 characters", 100 * kKilobyte);
  stops(unicode(std::string(1000, 'a')) + ".", "ends at byte 100", 100 * kKilobyte, {.max_bytes = 100});
  std::string copies = "]q\x01(";  // one long list, then dicts of it again and again
  for (int i = 0; i < 20'000; ++i) copies += "NN\x86";
  copies += "eq\x01";
  for (int i = 0; i < 1000; ++i) copies += global("collections", "OrderedDict") + "h\x01\x85R";
  stops(copies + ".", "many times", 100 * kMegabyte);    // all thousand: 20 MB for the lists of each sixty
}

TEST_CASE("globals that reach for the machine are told from those that make tensors", "[weights]") {
  for (const char* name : {"os.system",
                           "posix.system",
                           "nt.system",
                           "sys.modules",
                           "subprocess.Popen",
                           "builtins.eval",
                           "builtins.exec",
                           "__builtin__.apply",
                           "builtins.getattr",
                           "builtins.open",
                           "builtins.__import__",
                           "shutil.rmtree",
                           "socket.socket",
                           "importlib.import_module",
                           "runpy.run_path",
                           "pickle.loads",
                           "torch.load",
                           "torch.hub.load",
                           "numpy.testing._private.utils.runstring",
                           "ctypes.CDLL",
                           "webbrowser.open",
                           "operator.attrgetter",
                           "timeit.timeit",
                           "code.interact"}) {
    INFO(name);
    CHECK(is_suspicious_global(name));
  }
  for (const char* name :
       {"torch._utils._rebuild_tensor_v2", "collections.OrderedDict", "argparse.Namespace", "builtins.set",
        "torch.FloatStorage", "oslo.config", "system.x", "numpy.core.multiarray.scalar", "_codecs.encode", "codec.x"}) {
    INFO(name);
    CHECK_FALSE(is_suspicious_global(name));
  }
  CHECK(mentions(refused(global("os", "system") + "K\1R."), "os.system"));
}
