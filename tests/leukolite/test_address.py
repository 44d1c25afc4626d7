"""Addresses of cameras: no part of a secret is shown or recorded, however it is written."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukolite.address import (
    has_hidden,
    with_logins_hidden,
    with_secrets_hidden,
    without_login,
    without_password,
    without_secrets,
)


@pytest.mark.parametrize(
    ("name", "recorded"),
    [
        ("rtsp://alice:geheim@cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice@cam/x", "rtsp://***@cam/x"),
        ("rtsp://:geheim@cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice:geh/eim@cam/x?channel=1", "rtsp://***@cam/x?channel=1"),
        ("rtsp://alice:geh#eim@cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice:geh?eim@cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice:geheim@[cam/x", "rtsp://***@[cam/x"),
        ("rtsp://alice%3Ageheim%40cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice%253Ageheim%2540cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice:geh%40eim@cam/x", "rtsp://***@cam/x"),
        ("rtsp://alice:geh\teim@cam/x", "rtsp://***@cam/x"),
        ("http://alice:geheim@cam:80/a@b?c=d@e", "http://***@cam:80/a@b?c=***"),
        ("http://cam/v?user=alice&pwd=geheim", "http://cam/v?user=***&pwd=***"),
        ("http://cam/v?p%61ssword=geheim&channel=1", "http://cam/v?p%61ssword=***&channel=1"),
        ("http://cam/v?%2570assword=123", "http://cam/v?%2570assword=***"),
        ("http://cam/v?TOKEN=geheim;Key=geheim;auth=geheim;sig=geheim", "http://cam/v?TOKEN=***;Key=***;auth=***;sig=***"),
        ("http://cam/v?whatever=geheim", "http://cam/v?whatever=***"),
        ("http://cam:80/v?pwd=geh@eim", "http://cam:80/v?pwd=***"),
        ("http://cam/v?geheim", "http://cam/v?***"),
        ("http://cam/v?geheim==", "http://cam/v?geheim=***"),
        ("http://cam/v?channel=http://alice:geheim@x/", "http://cam/v?channel=***"),
        ("http://cam/v?loginuse=admin&loginpas=888", "http://cam/v?loginuse=***&loginpas=***"),
        ("rtsp://cam/user=alice_password=geheim_channel=1_stream=0.sdp", "rtsp://cam/user=***"),
        ("rtsp://cam/user=alice&password=geheim&channel=1", "rtsp://cam/user=***&password=***&channel=1"),
        ("rtsp://cam/channel=1_password=geheim", "rtsp://cam/channel=***"),
        ("http://cam/v;jsessionid=geheim", "http://cam/v;jsessionid=***"),
        ("http://cam/v#token=geheim", "http://cam/v"),
        ("rtsp:/alice:geheim@cam/x", "rtsp:/***@cam/x"),
    ],
)
def test_no_part_of_a_password_is_recorded_however_it_is_written(name, recorded):
    assert without_secrets(name) == recorded
    assert without_secrets(recorded) == recorded
    assert has_hidden(recorded) == ("***" in recorded and "://" in recorded)


@pytest.mark.parametrize(
    "name",
    [
        "rtsp://cam/live",
        "rtsp://[fe80::1]:554/h264/ch1/main/av_stream",
        "rtsp://10.0.0.2:554/cam/realmonitor?channel=1&subtype=0",
        "rtsp://10.0.0.2/Streaming/Channels/101?transportmode=unicast&profile=Profile_1",
        "http://10.0.0.2:8080/?action=stream",
        "http://10.0.0.2/mjpg/video.mjpg?resolution=640x480&fps=10&compression=30&camera=2",
        "http://10.0.0.2/axis-cgi/mjpg/video.cgi?streamprofile=3",
        "v4l2:/dev/video0",
        "v4l2:/dev/v4l/by-id/usb-A@B:C=D-video-index0",
        "picamera2:1",
        "synthetic:30",
    ],
)
def test_what_chooses_a_picture_is_kept(name):
    assert without_secrets(name) == name
    assert not has_hidden(name)


SECRET = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="./"), min_size=6, max_size=20)


@given(SECRET, st.sampled_from(["rtsp", "rtsps", "http", "https"]))
def test_a_password_of_any_characters_is_never_shown(secret, scheme):
    secret = f"Zq{secret}qZ"
    plain = re.sub("[&;#]", "", secret)
    for address in (f"{scheme}://joe:{secret}@cam.example/live", f"{scheme}://cam.example/live?pwd={plain}"):
        for shown in (without_secrets(address), without_login(address), with_logins_hidden(f"no answer of {address}")):
            assert "Zq" not in shown
            assert "qZ" not in shown


def test_addresses_that_differ_in_their_login_alone_are_one_camera():
    said = ["http://cam/v?channel=1", "http://a:b@cam/v?channel=1", "http://***@cam/v?channel=1", "http://cam/v?pwd=x&channel=1"]
    assert {without_login(one) for one in said} == {"http://cam/v?channel=1"}
    assert without_login("http://cam/v?channel=2") != without_login("http://cam/v?channel=1")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot open 'rtsp://a:b@cam/x': no", "cannot open 'rtsp://***@cam/x': no"),
        ("rtsp:/a:b@cam/x: no such file", "rtsp:/***@cam/x: no such file"),
        ("rtsp://a:b%40cam/x", "rtsp://***@cam/x"),
        ("GET /v?user=a&token=b&fps=3 failed at http://cam/v?pwd=c", None),
        ("write rtsp://USER:PASSWORD@cam/...", "write rtsp://USER:PASSWORD@cam/..."),
        ("a/b@2x.png: damaged", "a/b@2x.png: damaged"),
        ("see https://example.org/a and mail joe@example.org", "see https://example.org/a and mail joe@example.org"),
        ("file:///home/joe@home/x", "file:///home/joe@home/x"),
        ("temperature: 1/2 @ 3", "temperature: 1/2 @ 3"),
    ],
)
def test_an_error_of_anybodys_shows_no_login(text, shown):
    found = with_logins_hidden(text)
    assert found == (shown or "GET /v?user=***&token=***&fps=3 failed at http://cam/v?pwd=***")


@pytest.mark.parametrize("said", ["wrong password s3cr%t!", "wrong password s3cr%25t!", "Basic am9lOnMzY3IldCE=", "user joe?"])
def test_what_a_server_repeats_of_a_login_is_not_shown(said):
    found = with_secrets_hidden(said, "http://joe:s3cr%25t!@cam/live")
    assert "***" in found
    assert not any(secret in found for secret in ("s3cr", "am9l", "joe"))


def test_a_redirection_without_a_scheme_hides_its_login_too():
    assert without_password("//joe:geheim@cam/x?token=geheim") == "//cam/x"
    assert without_password("/login?user=joe&pwd=geheim") == "/login"
