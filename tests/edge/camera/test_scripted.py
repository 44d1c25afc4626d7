"""The camera that ships for those without one."""

import itertools
import threading

import pytest
from fakes import a_frame

from leukolite.edge.camera.scripted import ScriptedCamera
from leukolite.edge.camera.source import Gap, Note
from leukolite.errors import SourceError


def test_items_come_as_they_are_listed():
    items = [Note("scripted", "opened"), a_frame(0), Gap(1, "scripted", "damaged")]
    assert list(ScriptedCamera(items).frames()) == items


def test_an_exception_is_raised_in_its_turn_and_the_camera_closed():
    camera = ScriptedCamera([a_frame(0), SourceError("scripted", "unplugged")])
    frames = camera.frames()
    assert next(frames).index == 0
    with pytest.raises(SourceError, match="scripted: unplugged"):
        next(frames)
    assert (camera.opened, camera.closed) == (1, 1)


def test_a_function_is_called_in_its_turn_and_may_let_the_camera_hang():
    asked, let_go = threading.Event(), threading.Event()
    frames = ScriptedCamera([asked.set, lambda: let_go.wait(10), a_frame(0)]).frames()
    found: list[int] = []
    reader = threading.Thread(target=lambda: found.append(next(frames).index))
    reader.start()
    assert asked.wait(10)
    assert found == []
    let_go.set()
    reader.join(10)
    assert found == [0]


def test_each_opening_has_its_list_and_the_last_one_stays():
    camera = ScriptedCamera([a_frame(0)], [a_frame(1)])
    assert [[frame.index for frame in camera.frames()] for _ in range(3)] == [[0], [1], [1]]


def test_a_camera_that_is_opened_while_it_is_open_is_counted():
    camera = ScriptedCamera(itertools.repeat(a_frame(0)))
    both = [camera.frames() for _ in range(2)]
    for frames in both:
        next(frames)
    assert camera.overlaps == 1


def test_name_truths_and_liveness_are_given():
    camera = ScriptedCamera([], name="microscope", truths=("blast",), live=True)
    assert (camera.name, camera.truths, camera.live) == ("microscope", ("blast",), True)


def test_without_a_list_there_is_no_camera():
    with pytest.raises(ValueError, match="one list of items at least"):
        ScriptedCamera()
