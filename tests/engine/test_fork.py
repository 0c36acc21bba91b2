"""A process that forks leaves the engine's threads behind; the child gets an error, not a hang."""

import subprocess
import sys

from pocketphi.runtime.model import Model

CHILD = """
import os
import sys
import threading
from pathlib import Path

from pocketphi.errors import UserError
from pocketphi.formats.pocket import open_pocket
from pocketphi.runtime.model import Model

model = Model(open_pocket(Path(sys.argv[1])), threads=2)
before = model.logits([1, 2, 3])
stop = threading.Event()


def work():
    while not stop.is_set():
        model.logits([1, 2, 3])


busy = threading.Thread(target=work)
busy.start()
for _ in range(20):  # some children are born while the lock is held
    child = os.fork()
    if child == 0:
        try:
            model.logits([1, 2, 3])
        except UserError:
            sys.exit(0)  # the finalizers run too
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stop.set()
busy.join()

child = os.fork()
if child == 0:
    try:
        model.logits([1, 2, 3])
    except UserError as error:
        assert "fork" in str(error), error
        model.close()
        os._exit(7)
    os._exit(1)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
assert (model.logits([1, 2, 3]) == before).all()
"""


def test_a_forked_child_gets_an_error_and_the_parent_goes_on(tiny_model: Model):
    subprocess.run([sys.executable, "-c", CHILD, tiny_model.file.path], check=True, timeout=60)
