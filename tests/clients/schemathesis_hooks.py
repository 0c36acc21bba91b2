"""A check of our own for schemathesis: a request that has the schema's form is never told that its form is wrong.

Such a request may still be impossible, which no schema can say: a token that the model does not have, a regular
expression that is none, a tool that is chosen and not there. So schemathesis' own `positive_data_acceptance` has to
let 400 and 404 pass; this says for which reasons.
"""

import json

import schemathesis

MEANING = {"invalid_value", "context_length_exceeded", "model_not_found"}


@schemathesis.check
def refused_for_its_meaning(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 404):
        return
    error = json.loads(response.content)["error"]
    if error["code"] not in MEANING or error["param"] is None:
        raise AssertionError(f"valid by the schema, and refused for its form: {error}")
