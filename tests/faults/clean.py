"""A test file of tests that leak nothing, however much they change and start: `PROJECT`."""

from __future__ import annotations

PROJECT = """
import asyncio, concurrent.futures, importlib, logging, multiprocessing.resource_tracker, os, random, signal, socket
import subprocess, sys, tempfile, threading, time, unittest.mock, warnings
import numpy as np
import pytest, torch
from pytest_torchbasics import Tensor, op

def double(x):
    return x * 2

CASES = [op(name, double, Tensor(2, 3), output=(2, 3)) for name in "abcdefgh"]
POOL = concurrent.futures.ThreadPoolExecutor(2)
KEPT, STARTED = [], []
pytestmark = [pytest.mark.cases(CASES), pytest.mark.checks("shape")]

# --- fixtures of wider scopes change what is global, for all their tests ---

@pytest.fixture(scope="session", autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)  # for the whole session, and never put back

@pytest.fixture(scope="session", autouse=True)
def service():
    stop = threading.Event()
    threading.Thread(target=stop.wait, name="service").start()
    yield
    stop.set()

@pytest.fixture(scope="session")
def opened(tmp_path_factory):
    with open(tmp_path_factory.mktemp("kept") / "log", "w") as file:
        yield file

@pytest.fixture(scope="module")
def variable():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OF_THE_MODULE", "1")
        yield

@pytest.fixture(scope="module")
def asks_for_others(request):
    request.getfixturevalue("opened")
    request.getfixturevalue("variable")

@pytest.fixture(scope="module")
def served():
    with socket.create_server(("127.0.0.1", 0)) as server, concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 0).result()
        yield server

@pytest.fixture(scope="module")
def child():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()

@pytest.fixture(scope="module")
def seeded():
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)

@pytest.fixture(scope="module", params=[1, 2])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)

@pytest.fixture(scope="class")
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)

@pytest.fixture
def grad_off():
    with torch.no_grad():
        yield

def setup_module():
    torch.backends.cudnn.benchmark = True

def teardown_module():
    torch.backends.cudnn.benchmark = False

class TestOfAClass:
    @classmethod
    def setup_class(cls):
        sys.setrecursionlimit(1500)
        cls.before = os.environ.setdefault("OF_THE_CLASS", "1")

    @classmethod
    def teardown_class(cls):
        sys.setrecursionlimit(1000)
        del os.environ["OF_THE_CLASS"]

    def setup_method(self):
        os.environ["OF_THE_METHOD"] = "1"

    def teardown_method(self):
        del os.environ["OF_THE_METHOD"]

    def test_of_a_class(self, check, deterministic):
        check()

def test_variable(check, variable):
    assert os.environ["OF_THE_MODULE"]
    check()

def test_wide_fixtures_that_ask_for_others(check, asks_for_others):
    check()

def test_open_file(check, opened):
    opened.write("x")
    check()

def test_server(check, served):
    check()

def test_child(check, child):
    check()

def test_seeds(check, seeded):
    KEPT.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert set(KEPT) == {KEPT[0]}
    check()

def test_threads(check, threads):
    assert torch.get_num_threads() == threads
    check()

def test_a_wide_fixture_in_the_middle(check, request, monkeypatch):
    monkeypatch.setenv("BEFORE", "1")
    request.getfixturevalue("variable")
    check()

# --- what a test itself changes, and what is undone for it ---

def test_monkeypatch(check, monkeypatch, tmp_path):
    monkeypatch.setenv("CHANGED", "1")
    monkeypatch.delenv("HOME")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(torch, "matmul", print)
    monkeypatch.setitem(sys.modules, "json", None)
    check()

def test_mock(check):
    with unittest.mock.patch("torch.cuda.is_available", return_value=True):
        assert torch.cuda.is_available()
    with unittest.mock.patch.dict(os.environ, {"X": "1"}, clear=True):
        pass
    check()

def test_contexts(check, grad_off):
    with torch.autocast("cpu"), torch.inference_mode(), torch.device("meta"), np.errstate(all="ignore"):
        torch.ones(2, 2) @ torch.ones(2, 2)
    with torch.random.fork_rng(), torch.autograd.forward_ad.dual_level(), torch.autograd.set_detect_anomaly(True):
        torch.manual_seed(0)
    check()

def test_draws(check):
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    torch.rand(3), random.random(), np.random.randn()
    check()

def test_capture(check, capsys, caplog, recwarn):
    print("said")
    logging.getLogger().warning("logged")
    caplog.set_level(logging.DEBUG)
    warnings.warn("warned")
    check()

def test_capfd(check, capfd):
    os.write(1, b"said")
    check()

def test_warnings(check):
    warnings.simplefilter("ignore")
    warnings.filterwarnings("error", message="nothing")
    check()

@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_marked_warnings(check):
    with pytest.warns(UserWarning):
        warnings.warn("x")
    check()

def test_imports(check, tmp_path, monkeypatch):
    name = f"made_{random.randrange(10**9)}_{time.time_ns()}"
    (tmp_path / f"{name}.py").write_text("import logging; logging.getLogger(__name__).setLevel(1)")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module(name)
    check()

def test_lazy_imports(check):
    import setuptools, sqlite3, xml.dom.minidom, torch._dynamo, torch._inductor.config, torch.utils.cpp_extension
    check()

def test_asyncio(check):
    async def work():
        return await asyncio.get_running_loop().run_in_executor(None, sum, [1, 2])
    assert asyncio.run(work()) == 3
    check()

def test_pool_that_is_kept(check):
    assert POOL.submit(sum, [1, 2]).result() == 3
    check()

def test_threads_that_end(check):
    thread = threading.Thread(target=time.sleep, args=(0.02,))
    thread.start()
    check()

def test_monitor_of_a_library(check):
    class Monitor(threading.Thread):
        __module__ = "tqdm._monitor"
        def run(self):
            time.sleep(2)
    Monitor(daemon=True).start()
    check()

def test_backward(check):
    torch.ones(3, requires_grad=True).mul(2).sum().backward()
    check()

def test_compile(check):
    assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2))[0] == 2
    check()

def test_compile_to_cpp(check):
    torch._dynamo.reset()
    assert torch.compile(lambda x: x.sin() + 1)(torch.zeros(2))[0] == 1
    check()

def test_subprocess(check):
    subprocess.run(["true"], check=True)
    check()

def test_a_process_that_ends(check):
    STARTED.append(subprocess.Popen(["sleep", "0.05"]))
    check()

def test_resource_tracker(check):
    multiprocessing.resource_tracker.ensure_running()
    check()

def test_file_freed_with_its_cycle(check, tmp_path):
    class Holder:
        pass
    holder = Holder()
    holder.me, holder.descriptor = holder, tempfile.TemporaryFile()
    check()

def test_alarm(check):
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 100)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    check()

def test_hook_that_is_removed(check):
    torch.nn.modules.module.register_module_forward_hook(lambda *given: None).remove()
    check()
"""
