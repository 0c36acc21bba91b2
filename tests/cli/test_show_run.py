"""`show` of a run: what of it was made from a stage that has been made again since."""

import json

from pocketphi.artifact import open_artifact, publish


def test_a_result_of_an_older_stage_is_marked(pocketphi, tmp_path):
    def made(name, stage, parents=(), value=0):
        kind = "evaluation" if stage == "evaluate" else "checkpoint"
        read = [open_artifact(tmp_path / parent) for parent in parents]
        with publish(tmp_path / name, kind=kind, stage=stage, settings={"value": value}, parents=read) as draft:
            (draft.path / "weights").write_text(str(value))

    def lines():
        return {line.split()[0]: line for line in pocketphi("show", str(tmp_path))[1].splitlines()}

    made("sft", "sft")
    made("dpo", "dpo", ["sft"])
    made("model", "quantize", ["dpo"])
    made("evaluation-model", "evaluate", ["model"])
    made("report", "report", ["sft", "dpo", "model", "evaluation-model"])
    assert not any("older" in line for line in lines().values())

    made("dpo", "dpo", ["sft"], value=1)
    shown = lines()
    for name in ("model", "evaluation-model", "report"):
        assert shown[name].endswith("(made from an older dpo)")
    assert not any("older" in shown[name] for name in ("sft", "dpo"))
    told = json.loads(pocketphi("show", str(tmp_path), "--json")[1])
    assert {each["stage"]: each["outdated"] for each in told}["quantize"] == ["dpo"]

    # Made again with the same bytes: nothing is older.
    made("dpo", "dpo", ["sft"], value=0)
    assert not any("older" in line for line in lines().values())
    made("model", "quantize", ["dpo"])
    made("evaluation-model", "evaluate", ["model"], value=2)
    assert lines()["report"].endswith("(made from an older evaluation)")
