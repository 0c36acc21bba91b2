"""A process that forks leaves the engine's threads behind; the child gets an error, not a hang."""

import subprocess
import sys

from pocketphi.runtime.model import Model

CHILD = """
import os
import sys
from pathlib import Path

from pocketphi.errors import UserError
from pocketphi.formats.pocket import open_pocket
from pocketphi.runtime.model import Model

model = Model(open_pocket(Path(sys.argv[1])), threads=2)
before = model.logits([1, 2, 3])
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
