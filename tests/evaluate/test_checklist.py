import dataclasses
from collections.abc import Callable

from components.evaluate.checklist import CLAIM, TRIPOD_AI, ItemStatus, checklist
from components.evaluate.evaluation import PRUNED, Evaluation


def test_every_item_of_both_guidelines_is_there_once(make_evaluation: Callable[..., Evaluation]) -> None:
    items = checklist(make_evaluation())
    claim = [item.number for item in items if item.guideline == CLAIM]
    tripod = [item.number for item in items if item.guideline == TRIPOD_AI]
    assert claim == [str(number) for number in range(1, 45)]
    assert len(tripod) == len(set(tripod)) == 52
    assert {int(number.rstrip("abcdefg")) for number in tripod} == set(range(1, 28))
    assert all(item.answer.endswith(".") for item in items)


def test_what_the_data_does_not_tell_is_left_to_a_human(make_evaluation: Callable[..., Evaluation]) -> None:
    by_number = {(item.guideline, item.number): item for item in checklist(make_evaluation())}
    assert by_number[CLAIM, "36"].status is ItemStatus.FILLED, "the fixture states the sex"
    assert by_number[CLAIM, "33"].status is ItemStatus.HUMAN
    assert by_number[CLAIM, "44"].status is ItemStatus.HUMAN
    assert "groups: none on two sides" in by_number[CLAIM, "20"].answer.lower()
    assert "30 test videos of 20 groups" in by_number[TRIPOD_AI, "21"].answer


def test_it_tells_how_this_dataset_was_sampled(make_evaluation: Callable[..., Evaluation]) -> None:
    evaluation = make_evaluation()
    pruned = evaluation.models[PRUNED]
    for sampling, selection, frames in (
        ("window", "The first clips of each video", "Frames at a fixed rate in seconds"),
        ("uniform", "One clip of each video", "Frames spread evenly over the video"),
    ):
        metadata = dataclasses.replace(pruned.metadata, dataset_parameters={"sampling": sampling})
        models = {**evaluation.models, PRUNED: dataclasses.replace(pruned, metadata=metadata)}
        items = checklist(dataclasses.replace(evaluation, models=models))
        answers = {item.number: item.answer for item in items if item.guideline == CLAIM}
        assert answers["10"].startswith(selection)
        assert answers["9"].startswith(frames)


def test_intervals_that_nobody_asked_for_are_not_claimed(make_evaluation: Callable[..., Evaluation]) -> None:
    items = checklist(dataclasses.replace(make_evaluation(), num_bootstrap=0))
    assert "No intervals were asked for." in {item.answer for item in items}
    assert not any("bootstrap intervals" in item.answer for item in items)
