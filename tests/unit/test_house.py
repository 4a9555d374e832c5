"""The house keeps its own rules: sizes, generated code, and names that stand in two places."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor

from edgeclient.ingress.methods import CHAT_SERVICE, JOB_SERVICE, NODE_SERVICE
from edgeclient.v1 import chat_pb2, job_pb2, node_pb2

ROOT = Path(__file__).parents[2]
MOST_MODULE_LINES = 300
MOST_FUNCTION_LINES = 50
MOST_MEDIAN_LINES = 110
WIRING = {"edgeclient/app.py", "edgeclient/durable.py", "edgeclient/targets.py"}  # long lists of parts, no decisions

MODULES = sorted(path for path in (ROOT / "edgeclient").rglob("*.py") if path.parent.name != "v1")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_modules_are_small() -> None:
    lines = {_name(path): path.read_text().count("\n") for path in MODULES}

    assert {} == {name: count for name, count in lines.items() if count > MOST_MODULE_LINES}
    assert sorted(lines.values())[len(lines) // 2] <= MOST_MEDIAN_LINES


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_functions_are_short_and_modules_say_why(path: Path) -> None:
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}

    assert ast.get_docstring(tree)
    if _name(path) not in WIRING:
        assert {} == {name: count for name, count in long.items() if count > MOST_FUNCTION_LINES}


def test_generated_code_is_that_of_the_contract(tmp_path: Path) -> None:
    protos = sorted((ROOT / "protos" / "edgeclient" / "v1").glob("*.proto"))
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python", "mypy", "mypy_grpc")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}", *outputs, *map(str, protos)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # protoc looks for its plug-ins there
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"PATH": path})

    fresh = {path.name: path.read_text() for path in (tmp_path / "edgeclient" / "v1").iterdir()}
    here = {path.name: path.read_text() for path in (ROOT / "edgeclient" / "v1").glob("*_pb2*")}
    assert sorted(fresh) == sorted(here)
    assert [] == [name for name, text in fresh.items() if here[name] != text]


@pytest.mark.parametrize(
    ("file", "service"),
    [
        (chat_pb2.DESCRIPTOR, CHAT_SERVICE),
        (node_pb2.DESCRIPTOR, NODE_SERVICE),
        (job_pb2.DESCRIPTOR, JOB_SERVICE),
    ],
)
def test_every_method_of_the_contract_has_its_name_in_the_table(file: FileDescriptor, service: str) -> None:
    source = (ROOT / "edgeclient" / "ingress" / "methods.py").read_text()
    (described,) = [each for each in file.services_by_name.values() if each.full_name == service]

    assert [] == [method.name for method in described.methods if f'"{method.name}"' not in source]


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        pytest.param("import edgeclient.app", {"apsw", "cryptography"}, id="without a queue"),
        pytest.param(
            "import edgeclient.app, edgeclient.spool.spool, edgeclient.spool.control\n"
            "from edgeclient.spool.sealing import vault_of\nvault_of('')",
            {"cryptography"},
            id="with a plain queue",
        ),
        pytest.param(
            "from edgeclient.cli.serve import _hidden\nwith _hidden('rich', 'pygments'): import edgeclient.app",
            {"rich", "pygments"},
            id="beside tools that have brought them",
        ),
    ],
)
def test_a_node_loads_nothing_that_it_has_no_use_for(code: str, unwanted: set[str]) -> None:
    code = f"import sys\n{code}\nprint(sorted({unwanted!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert "[]\n" == done.stdout
