import cv2
import numpy as np

from leukolite.sheets import encode_png, sheet

RED, BLUE = (np.full((16, 16, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))


def test_a_png_decodes_to_the_same_rgb():
    decoded = cv2.imdecode(np.frombuffer(encode_png(RED), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decoded[..., ::-1], RED)


def test_every_picture_is_on_the_sheet_in_its_place():
    pixels = sheet([("red", [RED, RED, RED]), ("blue", [BLUE])], columns=2, side=16)
    for colour, expected in ((RED[0, 0], 3), (BLUE[0, 0], 1)):
        assert (pixels == colour).all(axis=2).sum() == expected * 16 * 16
    assert np.array_equal(pixels[24:40, 4:20], RED)  # below the first title


def test_a_sheet_without_pictures_is_its_titles():
    assert sheet([("none", [])], columns=3, side=16).shape == (24, 3 * 20 + 4, 3)
